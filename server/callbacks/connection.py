"""One kept connection to a callback: writes a request, reads its answer, and notices when the other side hangs up."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable
from typing import Final, Protocol, cast

from protocol.methods import MAX_REPLY_BYTES
from server.callbacks.answer import AnswerReader, BadAnswer
from server.callbacks.turns import Turns
from server.core.reply import Reply

ENDED: Final = "the connection ended before there was an answer"
QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class Owner(Protocol):
    """Who is told what comes of it."""

    def replied(self, reply: Reply, *, reusable: bool) -> None:
        """Take the answer to the request that was sent, and note whether the connection is still there."""

    def lost(self, connection: "Connection", problem: str, *, unanswered: bool) -> None:
        """Take note that the connection has ended. `unanswered`: before the first byte of an answer."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. After `close` the owner hears nothing more."""

    __slots__ = ("_asked", "_owner", "_reader", "_transport", "_turns", "_wire")

    def __init__(self, owner: Owner, turns: Turns) -> None:
        """Answer to `owner`, in `turns`."""
        self._owner: Owner | None = owner
        self._turns = turns
        self._reader = AnswerReader()
        self._asked = False
        self._wire: asyncio.Transport  # what has left TLS waits here
        self._transport: asyncio.Transport

    def __repr__(self) -> str:
        return f"<Connection {'asked' if self._asked else 'idle'}>"

    @property
    def is_closed(self) -> bool:
        """True when the owner will hear nothing more."""
        return self._owner is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, on which asyncio and uvloop have set TCP_NODELAY."""
        self._wire = self._transport = cast("asyncio.Transport", transport)

    async def start_tls(self, tls: ssl.SSLContext, name: str) -> None:
        """Shake hands. Raises `OSError` (of which `ssl.SSLError` is one), `ValueError`."""
        secured = await asyncio.get_running_loop().start_tls(self._transport, self, tls, server_hostname=name)
        if secured is None:
            raise ConnectionResetError("the connection ended during the handshake")
        self._transport = secured

    def use_once(self) -> None:
        """Let the connection go after its first answer."""
        self._reader.reusable = False

    def send(self, request: Iterable[bytes]) -> None:
        """Write a request, in pieces; the owner hears what comes of it."""
        self._asked = True
        self._turns.write_later(self, request)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write now, unless it has been closed since: then that is what the owner hears."""
        if not self._transport.is_closing():
            self._transport.writelines(pieces)

    def close(self) -> None:
        """Hang up at once, whatever is under way."""
        self._owner = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read when it is time."""
        # Who answers before it has read the whole request may take the rest of it for the next one.
        if self._wire.get_write_buffer_size():
            self._reader.reusable = False
        if len(data) >= MAX_REPLY_BYTES:
            self._transport.pause_reading()  # it is too much for an answer already, and is not to grow until its turn
        self._turns.read_later(self, data)

    def eof_received(self) -> None:
        """Take the end, after what has come before it; the transport closes itself meanwhile."""
        self._turns.read_later(self, b"")

    def read(self, data: bytes) -> None:
        """Read what has come; no bytes mean that nothing more will, which may complete an answer."""
        if not self._asked:
            self._lose("the other side spoke without being asked" if data else ENDED)
            return
        try:
            reply = self._reader.feed(data) if data else self._reader.end()
        except BadAnswer as problem:
            self._lose(str(problem))
            return
        if reply is not None:
            self._deliver(reply)
        elif data:
            self._acknowledge()
        if not (self.is_closed or self._transport.is_reading()):
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the owner, if it does not know."""
        self._lose(ENDED)
        self._reader.drop()

    def _deliver(self, reply: Reply) -> None:
        """Hand over the answer, and let the connection go if it cannot carry another exchange."""
        self._asked = False
        owner, reusable = self._owner, self._reader.reusable
        if not reusable:
            self.close()
        if owner is not None:
            owner.replied(reply, reusable=reusable)

    def _lose(self, problem: str) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.lost(self, problem, unanswered=not self._reader.begun)
            self._transport.abort()

    def _acknowledge(self) -> None:
        """Acknowledge what has come now, and not up to 40 ms later.

        A recipient that writes head and body apart, with Nagle's algorithm on, sends the body only when it has the
        acknowledgement of the head (RFC 9293, section 3.7.4; tcp(7), TCP_QUICKACK).
        """
        if QUICKACK is not None and not self._wire.is_closing():
            with contextlib.suppress(OSError):  # it is being closed
                self._wire.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
