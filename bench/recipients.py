"""Recipients that cost as little as can be, all behind one listening socket, told apart by their paths.

They check what the contract promises while they count: the signature of the first message of each, and that `seq`
rises by one each time (none of them sends anything, so that each gets everything).
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
REMEMBERED: Final = 1000  # a batch goes to all within a moment
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "


class Call(msgspec.Struct, gc=False):
    """What is read of a call. A message's `id` is its `seq`; that of a challenge is a string."""

    id: int | str


class Challenge(msgspec.Struct):
    """A call of `VerifyCallback`."""

    id: str
    params: VerifyCallbackParams


class Replies(dict[tuple[int, int] | int, bytes]):
    """The HTTP answer to one message, or to a batch from its first to its last: made once for all recipients."""

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
    """One that answers. `first` and `last` are the `seq` that it had first and last, 0 before the first message."""

    __slots__ = ("first", "key", "last", "verified")
    is_counted = True

    def __init__(self) -> None:
        self.key = secrets.token_bytes(32)
        self.first = 0
        self.last = 0
        self.verified = False

    def reply(self, transport: asyncio.Transport, reply: bytes) -> None:
        """Answer a message."""
        transport.write(reply)


class Hanging(Recipient):
    """One that answers nothing but the challenge."""

    __slots__ = ()
    is_counted = False

    def reply(self, transport: asyncio.Transport, reply: bytes) -> None:
        """Leave a message without an answer."""


class Cut(Recipient):
    """One that answers, and whose connection breaks once a second."""

    __slots__ = ("_transport",)
    is_counted = False

    def __init__(self) -> None:
        super().__init__()
        self._transport: asyncio.Transport | None = None

    def reply(self, transport: asyncio.Transport, reply: bytes) -> None:
        """Answer, and remember what is to be cut."""
        self._transport = transport
        transport.write(reply)

    def cut_again_and_again(self) -> None:
        """Cut the connection, now and once a second from now on."""
        if self._transport is not None:
            self._transport.abort()
        asyncio.get_running_loop().call_later(CUT_EVERY_SECONDS, self.cut_again_and_again)


class Recipients:
    """All recipients of one process, and what they have counted: only of those that do nothing but answer."""

    def __init__(self, members: Sequence[Recipient], *, ordered: bool = True) -> None:
        """Without `ordered`, neither `seq` nor signatures are checked: a rival may send the same again and again."""
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
        """Take connections on a free port, and give it."""
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), "127.0.0.1", 0, backlog=BACKLOG
        )  # fmt: skip
        for member in self.members:
            if isinstance(member, Cut):
                member.cut_again_and_again()
        port: int = server.sockets[0].getsockname()[1]
        return port

    def take(self, path: bytes, body: bytes, received: bytes, transport: asyncio.Transport) -> None:
        """Take one POST. `received` is all of it as it came, as long as signatures are to be checked."""
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
            self.problems.append(f"a batch of {count} goes from message {first} to {last}")
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
            self.problems.append(f"a recipient got a message whose signature is wrong: {error}")
        member.verified = True
        self.unverified -= 1


class Connection(asyncio.Protocol):
    """One kept connection. Head and body may come in any number of pieces."""

    def __init__(self, recipients: Recipients) -> None:
        self._recipients = recipients
        self._parser = httptools.HttpRequestParser(self)
        self._received = b""
        self._path = b""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is one in all but name

    def data_received(self, data: bytes) -> None:
        """Parse it."""
        if self._recipients.unverified:
            self._received += data
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Note for whom it is; a URL that came in pieces is told in pieces."""
        self._path += url

    def on_body(self, body: bytes) -> None:
        """Note a piece of the body."""
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """Answer."""
        path, body, received = self._path, self._body, self._received
        self._path = self._body = self._received = b""
        self._recipients.take(path, body, received, self._transport)


def _taken(seq: int) -> bytes:
    return b'{"jsonrpc":"2.0","result":{"success":true},"id":%d}' % seq


def _with_head(body: bytes) -> bytes:
    return b"%b%d\r\n\r\n%b" % (HEAD, len(body), body)
