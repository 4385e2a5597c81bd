"""Limits on inbound connections: their number, their buffered bytes, and the time that a slow connection has.

Wraps aiohttp's protocol. aiohttp alone has no connection limit, waits 75 s for slow request headers, and never times
out a client that does not read its response.
"""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong

from protocol.errors import ErrorCode
from protocol.jsonrpc import error_body
from runtime.http_server import SERVER, HalfClosableHandler, http_problem
from server import logs
from server.inbound.connection_limits import Admission, Verdict
from server.net.addresses import network_of, plain
from server.net.deadlines import Deadlines

TAKE_SECONDS: Final = 60.0  # for a client to read its response, once the transport has to buffer a part of it
MAX_UNTAKEN_BYTES: Final = 64 * 1024 * 1024  # of responses, buffered for all slow clients together
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024  # of requests without a response yet, of all connections together
LINE_TOO_LONG: Final = "the request line or a header is longer than 8,190 bytes\n"  # by aiohttp's default


def _head_and_body(status: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 " + status, *headers, b"Connection: close", b"Content-Type: application/json")
    return b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body))


# Responses written without aiohttp. They are JSON-RPC errors, because the request may be for /rpc.
CUT_SHORT: Final = _head_and_body(
    b"400 Bad Request",
    error_body(ErrorCode.PARSE_ERROR, {"problem": "the request headers are incomplete: an empty line must end them"}),
)
FULL: Final = _head_and_body(
    b"503 Service Unavailable",
    error_body(ErrorCode.RATE_LIMITED, {"retry_after_ms": 5000, "detail": "too many connections are open"}),
    b"Retry-After: 5",
)
TOO_SLOW: Final = _head_and_body(
    b"408 Request Timeout", error_body(ErrorCode.PARSE_ERROR, {"problem": "the request headers timed out"})
)


class HttpProtocol(HalfClosableHandler):
    """Writes the responses to unreadable requests in the words of `http_problem`, without the version of aiohttp."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond, log and close as aiohttp does, with an error text that does not quote the request."""
        if message:
            message = LINE_TOO_LONG if isinstance(exc, LineTooLong) else http_problem(message)
        response = super().handle_error(request, status, exc, message)
        response.headers[hdrs.SERVER] = SERVER
        return response


class ConnectionGuard:
    """Tracks all open inbound connections and enforces the global limits."""

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        limit: int,
        read_seconds: float,
        take_seconds: float = TAKE_SECONDS,
        max_untaken: int = MAX_UNTAKEN_BYTES,
        max_pending: int = MAX_PENDING_BYTES,
    ) -> None:
        """`make_protocol` creates aiohttp's protocol. A request head may take `read_seconds`."""
        self.make_protocol = make_protocol
        self.heads = Deadlines(read_seconds)
        self.answers = Deadlines(take_seconds)
        self._max_untaken = max_untaken
        self._max_pending = max_pending
        self._pending: dict[Connection, int] = {}  # bytes of requests
        self._pending_bytes = 0
        self._admission = Admission(limit)
        self._of: dict[str, dict[Connection, None]] = {}
        self._untaken: dict[Connection, int] = {}  # unread response bytes; the connection stalled longest comes first
        self._was_full = False

    def __repr__(self) -> str:
        return f"<ConnectionGuard {self._admission!r} untaken={len(self._untaken)}>"

    def __call__(self) -> "Connection":
        """Return the protocol of a new connection: the factory for `loop.create_server`."""
        return Connection(self)

    def admit(self, connection: "Connection", network: str) -> bool:
        """Return whether the connection is admitted. If all are in use, the heaviest network may lose a connection."""
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
        """Remove a connection from all counts. A second call has no effect."""
        self.drop_request_bytes(connection)
        theirs = self._of.get(network, {})
        if connection not in theirs:
            return
        del theirs[connection]
        if not theirs:
            del self._of[network]
        self._admission.leave(network)
        self.heads.stop(connection)
        self.response_read(connection)

    def add_request_bytes(self, connection: "Connection", size: int) -> None:
        """Record received request bytes. Above the global limit, abort the connection with the most pending bytes."""
        self._pending[connection] = self._pending.get(connection, 0) + size
        self._pending_bytes += size
        while self._pending_bytes > self._max_pending:
            max(self._pending, key=self._pending.__getitem__).abort()

    def drop_request_bytes(self, connection: "Connection") -> None:
        """Forget the pending bytes of a connection: its request has a response, or the connection is closed."""
        self._pending_bytes -= self._pending.pop(connection, 0)

    def response_stalled(self, connection: "Connection", size: int) -> None:
        """Record unread response bytes. Above the global limit, abort the connection that has been stalled longest."""
        self._untaken[connection] = size
        self.answers.start(connection)
        while sum(self._untaken.values()) > self._max_untaken:
            slowest = next(iter(self._untaken))
            self.response_read(slowest)
            slowest.abort()

    def response_read(self, connection: "Connection") -> None:
        """Forget the unread bytes of a connection: the client has read them, or the connection is closed."""
        if self._untaken.pop(connection, None) is not None:
            self.answers.stop(connection)

    def _note(self, *, full: bool) -> None:
        if full and not self._was_full:
            logs.server.warning("Reached the limit CHAT_MAX_CONNECTIONS: some connections are refused or closed")
        self._was_full = full


class Connection(asyncio.Protocol):
    """An inbound connection. Forwards the events of the transport to aiohttp's protocol once it is admitted."""

    __slots__ = ("_all", "_inner", "_is_over", "_network", "_transport", "_was_answered", "is_half_closed", "is_idle")

    def __init__(self, connections: ConnectionGuard) -> None:
        self._all = connections
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport
        self._network = ""
        self.is_idle = True  # no request is being received or handled
        self._is_over = False  # the last response is prepared; further bytes are not counted as a request
        self._was_answered = False
        self.is_half_closed = False  # the caller has shut down its sending side, or hung up

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Forward the connection to aiohttp if it is admitted; otherwise respond 503 and close."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._network = network_of(plain(ip_address(peer[0].partition("%")[0]))) if peer else ""
        if not self._all.admit(self, self._network):
            self._transport.write(FULL)
            self._transport.close()
            return
        # Call `pause_writing` for any buffered byte: the system's send buffer alone may hold megabytes.
        self._transport.set_write_buffer_limits(high=0)
        self._all.heads.start(self)  # a connection without a request is closed, too
        self._inner = self._all.make_protocol()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Forward the bytes; the first bytes of a request start its deadline."""
        if self._inner is None:
            return
        if not self._is_over:
            if self.is_idle:
                self.is_idle = False
                self._all.heads.start(self)
            self._all.add_request_bytes(self, len(data))
        if not self._transport.is_closing():
            self._inner.data_received(data)

    def head_received(self) -> float | None:
        """Mark the request head as complete. Return the deadline of the request in loop time, None if it has none."""
        return self._all.heads.stop(self)

    def request_done(self, *, is_over: bool) -> None:
        """Mark the request as handled. Further bytes start another request, or are not counted if `is_over`."""
        self._all.heads.stop(self)
        self._all.drop_request_bytes(self)
        self.is_idle, self._is_over, self._was_answered = True, is_over, True

    def eof_received(self) -> bool | None:
        """Keep the connection open while responses are pending."""
        self.is_half_closed = True
        if self._inner is None or self._inner.eof_received():
            return self._inner is not None
        if not self.is_idle and not self._was_answered:
            self._transport.write(CUT_SHORT)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the counts."""
        self._all.release(self, self._network)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the deadline for the client to read the response."""
        if self._inner is not None:
            self._inner.pause_writing()
            self._all.response_stalled(self, self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Stop the deadline of `pause_writing`."""
        self._all.response_read(self)
        if self._inner is not None:
            self._inner.resume_writing()

    def expire(self) -> None:
        """Close a connection that is too slow, with 408 if no response is being written."""
        if self._transport.get_write_buffer_size():  # an unread response: `close` would wait for it
            self.abort()
        else:
            self._transport.write(TOO_SLOW)
            self._transport.close()

    def abort(self) -> None:
        """Close at once and discard unsent bytes."""
        self._all.release(self, self._network)
        self._transport.abort()


def connection_of(request: web.BaseRequest) -> Connection | None:
    """Return the connection of a request, None if it is closed."""
    protocol = request.transport.get_protocol() if request.transport else None
    return protocol if isinstance(protocol, Connection) else None
