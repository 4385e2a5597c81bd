"""A kept connection to a callback: writes a request, reads its response, and detects that the peer closed it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable
from typing import Final, Protocol, cast

from protocol.methods import MAX_REPLY_BYTES
from server.callbacks.exchange import HttpResponse
from server.callbacks.http_response import BadResponse, ResponseParser
from server.callbacks.io_batcher import IoBatcher

ENDED: Final = "the connection ended before a response came"
QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class Owner(Protocol):
    """Receives the outcome of requests on a connection."""

    def responded(self, response: HttpResponse, *, reusable: bool) -> None:
        """Handle the response. `reusable` is false if the connection is closed."""

    def lost(self, connection: "Connection", problem: str, *, unanswered: bool) -> None:
        """Handle the loss of the connection. `unanswered` is true if no byte of a response had arrived."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. After `close`, the connection does not call its owner again."""

    __slots__ = ("_asked", "_owner", "_reader", "_transport", "_turns", "_wire")

    def __init__(self, owner: Owner, batcher: IoBatcher) -> None:
        """Report to `owner`; `batcher` batches the reads and writes."""
        self._owner: Owner | None = owner
        self._turns = batcher
        self._reader = ResponseParser()
        self._asked = False
        self._wire: asyncio.Transport  # the TCP transport, below TLS: its write buffer holds the unsent bytes
        self._transport: asyncio.Transport

    def __repr__(self) -> str:
        return f"<Connection {'asked' if self._asked else 'idle'}>"

    @property
    def is_closed(self) -> bool:
        """True when the connection does not call its owner again."""
        return self._owner is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport. asyncio and uvloop have set TCP_NODELAY on it."""
        self._wire = self._transport = cast("asyncio.Transport", transport)

    async def start_tls(self, tls: ssl.SSLContext, name: str) -> None:
        """Do the TLS handshake. Raise `OSError` (`ssl.SSLError` is a subclass), `ValueError`."""
        secured = await asyncio.get_running_loop().start_tls(self._transport, self, tls, server_hostname=name)
        if secured is None:
            raise ConnectionResetError("the connection ended during the handshake")
        self._transport = secured

    def use_once(self) -> None:
        """Close the connection after its first response."""
        self._reader.reusable = False

    def send(self, request: Iterable[bytes]) -> None:
        """Write a request, in pieces, in the current batch. The owner receives the outcome."""
        self._asked = True
        self._turns.write_later(self, request)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write now. If the transport is closing, do nothing: `connection_lost` reports it to the owner."""
        if not self._transport.is_closing():
            self._transport.writelines(pieces)

    def close(self) -> None:
        """Abort the connection, even during an exchange."""
        self._owner = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Queue the data for the current batch."""
        # A peer that responds before it has read the whole request may take the rest of it for the next request.
        if self._wire.get_write_buffer_size():
            self._reader.reusable = False
        if len(data) >= MAX_REPLY_BYTES:
            self._transport.pause_reading()  # already too large for a response; buffer no more until the batch runs
        self._turns.read_later(self, data)

    def eof_received(self) -> None:
        """Queue the end of the stream behind the data before it. The transport closes itself."""
        self._turns.read_later(self, b"")

    def read(self, data: bytes) -> None:
        """Parse `data`. Empty `data` is the end of the stream, which may complete a response."""
        if not self._asked:
            self._lose("the other side sent data without a request" if data else ENDED)
            return
        try:
            response = self._reader.feed(data) if data else self._reader.end()
        except BadResponse as problem:
            self._lose(str(problem))
            return
        if response is not None:
            self._deliver(response)
        elif data:
            self._acknowledge()
        if not (self.is_closed or self._transport.is_reading()):
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Report the loss to the owner, unless that has happened."""
        self._lose(ENDED)
        self._reader.drop()

    def _deliver(self, response: HttpResponse) -> None:
        """Pass the response to the owner. Close the connection first if it cannot carry another exchange."""
        self._asked = False
        owner, reusable = self._owner, self._reader.reusable
        if not reusable:
            self.close()
        if owner is not None:
            owner.responded(response, reusable=reusable)

    def _lose(self, problem: str) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.lost(self, problem, unanswered=not self._reader.begun)
            self._transport.abort()

    def _acknowledge(self) -> None:
        """Send the TCP acknowledgement now, and not up to 40 ms later.

        A recipient that writes head and body separately, with Nagle's algorithm on, sends the body only after the
        acknowledgement of the head (RFC 9293, section 3.7.4; tcp(7), TCP_QUICKACK).
        """
        if QUICKACK is not None and not self._wire.is_closing():
            with contextlib.suppress(OSError):  # the socket may be closing
                self._wire.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
