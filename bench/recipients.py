"""Recipients at minimum cost: all share a listening socket and differ by their paths.

While they count, they check the protocol's promises: the signature of the first message of each recipient, and that
`seq` increases by 1 (recipients send no messages, so that each recipient receives all entries).
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import httptools
import msgspec

from bench.timing import Timing
from protocol.messages import VerifyCallbackParams
from protocol.signing import SignatureError, verify

BACKLOG: Final = 4096
CUT_EVERY_SECONDS: Final = 1.0
REMEMBERED: Final = 1000  # enough, because the server sends a batch to all recipients within a short time
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "


class Call(msgspec.Struct, gc=False):
    """The decoded part of a request. The `id` of a message is its `seq`; the `id` of a challenge is a string."""

    id: int | str


class Challenge(msgspec.Struct):
    """A `VerifyCallback` request."""

    id: str
    params: VerifyCallbackParams


class Replies(dict[tuple[int, int] | int, bytes]):
    """Cache of HTTP responses, by the `seq` of a message or the first and last `seq` of a batch."""

    def __missing__(self, key: tuple[int, int] | int) -> bytes:
        if len(self) >= REMEMBERED:
            self.clear()
        if isinstance(key, int):
            body = _taken(key)
        else:
            body = b"[%b]" % b",".join([_taken(seq) for seq in range(key[0], key[1] + 1)])
        reply = self[key] = _with_head(body)
        return reply


class Recipient:
    """A recipient that responds. `first` and `last` are its first and last `seq`, 0 before the first message."""

    __slots__ = ("first", "key", "last", "verified")
    is_counted = True

    def __init__(self) -> None:
        self.key = secrets.token_bytes(32)
        self.first = 0
        self.last = 0
        self.verified = False

    def reply(self, transport: asyncio.Transport, reply: bytes) -> None:
        """Send the response to a message."""
        transport.write(reply)


class Hanging(Recipient):
    """A recipient that responds only to the challenge."""

    __slots__ = ()
    is_counted = False

    def reply(self, transport: asyncio.Transport, reply: bytes) -> None:
        """Send no response."""


class Cut(Recipient):
    """A recipient that responds, and aborts its connection once a second."""

    __slots__ = ("_transport",)
    is_counted = False

    def __init__(self) -> None:
        super().__init__()
        self._transport: asyncio.Transport | None = None

    def reply(self, transport: asyncio.Transport, reply: bytes) -> None:
        """Send the response, and store the transport for the next abort."""
        self._transport = transport
        transport.write(reply)

    def cut_again_and_again(self) -> None:
        """Abort the connection, now and then every `CUT_EVERY_SECONDS`."""
        if self._transport is not None:
            self._transport.abort()
        asyncio.get_running_loop().call_later(CUT_EVERY_SECONDS, self.cut_again_and_again)


class Recipients:
    """All recipients of a process, and the counts of plain recipients: `Hanging` and `Cut` are not counted."""

    def __init__(self, members: Sequence[Recipient], *, ordered: bool = True) -> None:
        """Without `ordered`, skip the checks of `seq` and signatures: a rival may repeat the same message."""
        self.members = members
        self.posts = 0
        self.deliveries = 0
        self.problems: list[str] = []
        self.timing: Timing | None = None
        self.on_arrival: Callable[[int], None] | None = None
        self.unverified = sum(member.is_counted for member in members) if ordered else 0
        self._ordered = ordered
        self._by_path = {b"/%d" % number: member for number, member in enumerate(members)}
        self._replies = Replies()
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(Call | list[Call]).decode
        self._decode_challenge = msgspec.json.Decoder(Challenge).decode

    async def listen(self) -> int:
        """Listen on a free port of 127.0.0.1. Return the port."""
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), "127.0.0.1", 0, backlog=BACKLOG
        )  # fmt: skip
        for member in self.members:
            if isinstance(member, Cut):
                member.cut_again_and_again()
        port: int = server.sockets[0].getsockname()[1]
        return port

    def take(self, path: bytes, body: bytes, received: bytes, transport: asyncio.Transport) -> None:
        """Handle a POST. `received` is the raw request while signatures are checked, and empty afterwards."""
        member = self._by_path[path]
        calls = self._decode(body)
        if type(calls) is list:
            first, last, count = calls[0].id, calls[-1].id, len(calls)
            member.reply(transport, self._replies[first, last])
        elif type(calls.id) is int:
            first, last, count = calls.id, calls.id, 1
            member.reply(transport, self._replies[first])
        else:
            transport.write(self._answer_challenge(body))
            return
        if member.is_counted:
            self.posts += 1
            self.deliveries += count
            if self.timing is not None:
                self.timing.note(range(first, last + 1), body)
            if self._ordered:
                self._check(member, first, last, count, received)
            if self.on_arrival is not None:
                for seq in range(first, last + 1):
                    self.on_arrival(seq)

    def _answer_challenge(self, body: bytes) -> bytes:
        call = self._decode_challenge(body)
        return _with_head(msgspec.json.encode({"jsonrpc": "2.0", "result": call.params.challenge, "id": call.id}))

    def _check(self, member: Recipient, first: int, last: int, count: int, received: bytes) -> None:
        if not member.last:
            member.first = first
        elif first != member.last + 1:
            self.problems.append(f"a recipient got message {first} after {member.last}")
        if last - first + 1 != count:
            self.problems.append(f"a batch of {count} has messages {first} to {last}")
        member.last = last
        if not member.verified:
            self._check_signature(member, received)

    def _check_signature(self, member: Recipient, received: bytes) -> None:
        head, _, body = received.partition(b"\r\n\r\n")
        lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        try:
            verify(member.key, headers, body, time.time())
        except SignatureError as error:
            self.problems.append(f"a recipient got a message with a wrong signature: {error}")
        member.verified = True
        self.unverified -= 1


class Connection(asyncio.Protocol):
    """A kept connection. Head and body may arrive in any number of pieces."""

    def __init__(self, recipients: Recipients) -> None:
        self._recipients = recipients
        self._parser = httptools.HttpRequestParser(self)
        self._received = b""
        self._path = b""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has the same methods, but not the type

    def data_received(self, data: bytes) -> None:
        if self._recipients.unverified:
            self._received += data
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Append to the path: httptools calls this once for each piece of the URL."""
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """Pass the POST to `Recipients`."""
        path, body, received = self._path, self._body, self._received
        self._path = self._body = self._received = b""
        self._recipients.take(path, body, received, self._transport)


def _taken(seq: int) -> bytes:
    return b'{"jsonrpc":"2.0","result":{"success":true},"id":%d}' % seq


def _with_head(body: bytes) -> bytes:
    return b"%b%d\r\n\r\n%b" % (HEAD, len(body), body)
