"""The connections that others have to this server: how many, and for how long they may be slow.

It stands between the transport and aiohttp, which itself waits 75 s for a head that drips, for ever for an answer to be
taken, and has no limit of connections.
"""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final, cast

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong

from protocol.errors import ErrorCode, error_body
from runtime.http_problem import http_problem
from server import journal
from server.callbacks.deadlines import Deadlines
from server.core.address_policy import plain
from server.core.admission import Admission, Verdict
from server.core.caller import network_of

TAKE_SECONDS: Final = 60.0  # for an answer to be taken, once more of it waits than the transport likes
MAX_UNTAKEN_BYTES: Final = 64 * 1024 * 1024  # of answers that all the slow together may leave waiting
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024  # of requests that have not been answered, of all together
SERVER: Final = "Ringback"  # strangers need not know which version of what this runs on
UNEXPECTED: Final = "nothing but 100-continue can be expected\n"
LINE_TOO_LONG: Final = "the address or a header of this request is longer than 8,190 bytes\n"  # by aiohttp's default


def _head_and_body(status: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 " + status, *headers, b"Connection: close", b"Content-Type: application/json")
    return b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body))


# What is written without aiohttp: nobody knows yet whether the request is for /rpc.
CUT_SHORT: Final = _head_and_body(
    b"400 Bad Request",
    error_body(ErrorCode.PARSE_ERROR, {"problem": "the head is not complete: an empty line must end it"}),
)
FULL: Final = _head_and_body(
    b"503 Service Unavailable",
    error_body(ErrorCode.RATE_LIMITED, {"retry_after_ms": 5000, "detail": "there are too many connections now"}),
    b"Retry-After: 5",
)
TOO_SLOW: Final = _head_and_body(
    b"408 Request Timeout", error_body(ErrorCode.PARSE_ERROR, {"problem": "the head did not come in time"})
)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class HttpProtocol(web.RequestHandler):
    """aiohttp's protocol; what is not HTTP it does not repeat to its sender, and its version it keeps to itself.

    aiohttp closes a connection as soon as the caller has shut down its sending side; here the caller gets its responses
    first (RFC 9112, section 9.6). client/http_protocol.py does the same for callbacks.
    """

    __slots__ = ()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks for a boolean; aiohttp has none to give
        """Return True if responses are still to be written; the connection closes behind the last of them."""
        if self._is_waiting():
            return False
        self._end_behind_the_last()
        return True

    def _is_waiting(self) -> bool:
        return not self._messages and (not self._request_count or self._waiter is not None)

    def _end_behind_the_last(self, is_second_look: bool = False) -> None:
        if self._messages:
            message, payload = self._messages[-1]
            if isinstance(message, RawRequestMessage):
                self._messages[-1] = message._replace(should_close=True), payload
        elif self._current_request is not None:
            payload = self._current_request._payload
            self.close()
        elif is_second_look:  # the response is written; what may be missing of the request's body will not come
            self.force_close()
            return
        else:  # the task of the request may not have begun
            self._loop.call_soon(self._end_behind_the_last, True)
            return
        if not payload.is_eof():
            payload.set_exception(web.RequestPayloadError("the caller has sent only a part of the body"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer, log and close as aiohttp does, in words of our own."""
        if message:
            message = LINE_TOO_LONG if isinstance(exc, LineTooLong) else http_problem(message)
        response = super().handle_error(request, status, exc, message)
        response.headers[hdrs.SERVER] = SERVER
        return response


class Connections:
    """All that are open."""

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        limit: int,
        read_seconds: float,
        take_seconds: float = TAKE_SECONDS,
        max_untaken: int = MAX_UNTAKEN_BYTES,
        max_pending: int = MAX_PENDING_BYTES,
    ) -> None:
        """Hand over to the protocols of aiohttp. A request head may take `read_seconds`."""
        self.make_protocol = make_protocol
        self.heads = Deadlines(read_seconds)
        self.answers = Deadlines(take_seconds)
        self._max_untaken = max_untaken
        self._max_pending = max_pending
        self._pending: dict[Connection, int] = {}  # bytes of requests
        self._pending_bytes = 0
        self._admission = Admission(limit)
        self._of: dict[str, dict[Connection, None]] = {}
        self._untaken: dict[Connection, int] = {}  # bytes, in the order in which they became slow
        self._was_full = False

    def __repr__(self) -> str:
        return f"<Connections {self._admission!r} untaken={len(self._untaken)}>"

    def __call__(self) -> "Connection":
        """Make the protocol of a new one, as `loop.create_server` wants it."""
        return Connection(self)

    def admit(self, connection: "Connection", network: str) -> bool:
        """Let one in if there is room, or if there is somebody to make some."""
        verdict = self._admission.judge(network)
        self._note(full=verdict is not Verdict.ADMIT)
        if verdict is Verdict.REFUSE:
            return False
        if verdict is Verdict.DISPLACE:
            theirs = self._of[self._admission.heaviest]
            next((one for one in theirs if one.is_idle), next(iter(theirs))).abort()
        self._admission.enter(network)
        self._of.setdefault(network, {})[connection] = None
        return True

    def release(self, connection: "Connection", network: str) -> None:
        """Let one go; harmless when it has gone."""
        self.done(connection)
        theirs = self._of.get(network, {})
        if connection not in theirs:
            return
        del theirs[connection]
        if not theirs:
            del self._of[network]
        self._admission.leave(network)
        self.heads.stop(connection)
        self.taken(connection)

    def pending(self, connection: "Connection", size: int) -> None:
        """Note that so many bytes of a request have come. If it is too much in all, whoever has sent most goes."""
        self._pending[connection] = self._pending.get(connection, 0) + size
        self._pending_bytes += size
        while self._pending_bytes > self._max_pending:
            max(self._pending, key=self._pending.__getitem__).abort()

    def done(self, connection: "Connection") -> None:
        """Note that its request is answered, or that nobody waits for that any more."""
        self._pending_bytes -= self._pending.pop(connection, 0)

    def untaken(self, connection: "Connection", size: int) -> None:
        """Note that so many bytes wait to be taken. If it is too much in all, whoever has been slow longest goes."""
        self._untaken[connection] = size
        self.answers.start(connection)
        while sum(self._untaken.values()) > self._max_untaken:
            slowest = next(iter(self._untaken))
            self.taken(slowest)
            slowest.abort()

    def taken(self, connection: "Connection") -> None:
        """Note that they were taken, or that nobody waits any more."""
        if self._untaken.pop(connection, None) is not None:
            self.answers.stop(connection)

    def _note(self, *, full: bool) -> None:
        if full and not self._was_full:
            journal.server.warning("There are as many connections as CHAT_MAX_CONNECTIONS allows: some are turned away")
        self._was_full = full


class Connection(asyncio.Protocol):
    """One of them. Everything goes on to aiohttp's protocol, once it is admitted."""

    __slots__ = ("_all", "_inner", "_is_over", "_network", "_transport", "_was_answered", "is_half_closed", "is_idle")

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport
        self._network = ""
        self.is_idle = True  # no request is coming in or being answered
        self._is_over = False  # what still comes is passed over
        self._was_answered = False
        self.is_half_closed = False  # the caller sends nothing more: it waits for a response, or has hung up

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for admission."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._network = network_of(plain(ip_address(peer[0].partition("%")[0]))) if peer else ""
        if not self._all.admit(self, self._network):
            self._transport.write(FULL)
            self._transport.close()
            return
        # Whatever waits to be taken is to be told of: the system's own buffer alone may hold some megabytes.
        self._transport.set_write_buffer_limits(high=0)
        self._all.heads.start(self)  # who has nothing to ask after all makes room
        self._inner = self._all.make_protocol()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand on; the first bytes of a request let its time begin."""
        if self._inner is None:
            return
        if not self._is_over:
            if self.is_idle:
                self.is_idle = False
                self._all.heads.start(self)
            self._all.pending(self, len(data))
        if not self._transport.is_closing():
            self._inner.data_received(data)

    def called(self) -> float | None:
        """Note that the head is here; gives when the time of its request is over, by the loop, if that is known."""
        return self._all.heads.stop(self)

    def answered(self, *, is_over: bool) -> None:
        """Note that the request is done with: the next bytes are of another one, or if it is over, of no interest."""
        self._all.heads.stop(self)
        self._all.done(self)
        self.is_idle, self._is_over, self._was_answered = True, is_over, True

    def eof_received(self) -> bool | None:
        """Keep the connection as long as responses are to be written."""
        self.is_half_closed = True
        if self._inner is None or self._inner.eof_received():
            return self._inner is not None
        if not self.is_idle and not self._was_answered:
            self._transport.write(CUT_SHORT)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._all.release(self, self._network)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Let the time begin in which the answer must be taken."""
        if self._inner is not None:
            self._inner.pause_writing()
            self._all.untaken(self, self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on."""
        self._all.taken(self)
        if self._inner is not None:
            self._inner.resume_writing()

    def expire(self) -> None:
        """Give up on one that is too slow."""
        if self._transport.get_write_buffer_size():  # an answer, which nobody takes: closing would wait for that
            self.abort()
        else:
            self._transport.write(TOO_SLOW)
            self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._all.release(self, self._network)
        self._transport.abort()


def connection_of(request: web.BaseRequest) -> Connection | None:
    """Give the connection that a request came by, if it is still there."""
    protocol = request.transport.get_protocol() if request.transport else None
    return protocol if isinstance(protocol, Connection) else None


def refusing_odd_expectations(handler: Handler) -> Handler:
    """Answer 417 (RFC 9110, section 10.1.1) to an Expect that aiohttp stumbles over when it wants to repeat it."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get(hdrs.EXPECT, "").isascii():
            return await handler(request)
        return web.Response(status=417, text=UNEXPECTED, headers={hdrs.SERVER: SERVER})

    return handle
