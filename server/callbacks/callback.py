"""Client for a callback: exchanges in sequence, over a kept connection."""

import asyncio
from collections.abc import Callable
from typing import Final

from protocol.methods import CONTENT_TYPE, EXCHANGE_SECONDS, RECIPIENT_HEADER
from server.callbacks.callback_url import CallbackUrl
from server.callbacks.connection import ENDED, Connection
from server.callbacks.connector import CallbackError, Connector
from server.callbacks.endpoints import Endpoints
from server.callbacks.exchange import HttpResponse
from server.net.addresses import IPAddress, literal_address
from server.net.deadlines import Deadlines

HEAD: Final = (
    "POST {url.target} HTTP/1.1\r\n"
    "Host: {url.authority}\r\n"
    "User-Agent: ringback\r\n"
    "Accept-Encoding: identity\r\n"
    f"Content-Type: {CONTENT_TYPE}\r\n"
    f"{RECIPIENT_HEADER}: {{recipient}}\r\n"
)

NOTHING: Final = (b"", b"", b"")
LOOKED_UP_SECONDS: Final = 60.0  # lifetime of a look-up
NEVER: Final = float("inf")

Done = Callable[[HttpResponse | CallbackError], None]


class Callbacks:
    """State that all callbacks share: the dialler, the deadlines and the places."""

    def __init__(self, connector: Connector, exchange_seconds: float = EXCHANGE_SECONDS) -> None:
        """Limit an exchange to `exchange_seconds`, look-up and connecting included."""
        self.connector = connector
        self.deadlines = Deadlines(exchange_seconds)
        self.endpoints = Endpoints()

    def to(self, url: CallbackUrl, caller: IPAddress | None, recipient: str) -> "Callback":
        """Return the client for `url`, which `caller` registered for the member with the id `recipient`."""
        return Callback(self, url, caller, recipient)


class Callback:
    """Posts to a callback; dials when a POST finds no connection.

    The checked address is kept until an exchange fails, the peer closes a kept connection, or the look-up is
    `LOOKED_UP_SECONDS` old: by then the address may belong to another host. A working connection outlives the look-up
    if a new look-up still returns its address.
    """

    __slots__ = (
        "_address", "_caller", "_connecting", "_connection", "_connector", "_deadlines", "_done", "_endpoint",
        "_endpoints", "_head", "_is_fresh", "_request", "_stale_at", "url",
    )  # fmt: skip

    def __init__(self, callbacks: Callbacks, url: CallbackUrl, caller: IPAddress | None, recipient: str) -> None:
        """Look nothing up before the first POST."""
        self.url = url
        self._connector = callbacks.connector
        self._deadlines = callbacks.deadlines
        self._endpoints = callbacks.endpoints
        self._caller = caller
        self._head = HEAD.format(url=url, recipient=recipient).encode()
        self._address: IPAddress | None = None
        self._stale_at = NEVER  # loop time at which the look-up expires
        self._endpoint: IPAddress | None = None  # the address under which `_endpoints` has this callback
        self._connection: Connection | None = None
        self._is_fresh = False  # no response has arrived on this connection yet
        self._request = NOTHING
        self._done: Done | None = None
        self._connecting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Callback {self.url.text} at {self._address} {self._connection}>"

    @property
    def exchange_under_way(self) -> object | None:
        """Return an object that identifies the exchange in flight, or None."""
        return self._done

    @property
    def is_served(self) -> bool:
        """True while an exchange is in flight on a connection that has carried a response before."""
        return self._done is not None and self._connection is not None and not self._is_fresh

    @property
    def is_idle(self) -> bool:
        """True while a connection is kept and no exchange is in flight."""
        return self._done is None and self._connection is not None

    def post(self, headers: bytes, body: bytes, done: Done) -> None:
        """Start a POST; `done` receives the response or the `CallbackError`, never before this method returns.

        `headers` are the end of the head, with Content-Length and the empty line. No exchange may be in flight.
        """
        self._done = done
        self._request = (self._head, headers, body)
        now = self._deadlines.start(self)
        if self._connection is None:
            self._connect_soon()
        elif now >= self._stale_at:
            self._connecting = asyncio.create_task(self._look_up(), name=f"look up {self.url.host}")
        else:
            self._connection.send(self._request)

    async def exchange(self, headers: bytes, body: bytes) -> HttpResponse:
        """Post, and return the response. Raise `CallbackError`, `AddressNotAllowed`."""
        answered: asyncio.Future[HttpResponse | CallbackError] = asyncio.get_running_loop().create_future()

        def settle(result: HttpResponse | CallbackError) -> None:
            if not answered.done():  # it may have been cancelled in the same loop iteration
                answered.set_result(result)

        self.post(headers, body, settle)
        try:
            result = await answered
        except asyncio.CancelledError:
            self.close()
            raise
        if isinstance(result, CallbackError):
            raise result
        return result

    def close(self) -> None:
        """Close the connection. Drop the exchange in flight without a call of its `done`."""
        self._done = None
        self._deadlines.stop(self)
        self._hang_up()
        self._leave_endpoint()

    def drop(self) -> None:
        """Drop connection and address, while no exchange is in flight. The next POST looks the name up again."""
        self._hang_up()
        self._address = None

    def release(self) -> None:
        """Close the kept connection, if any."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def responded(self, response: HttpResponse, *, reusable: bool) -> None:
        """Complete the exchange with a response."""
        self._is_fresh = False
        if not reusable:
            self._connection = None
        self._deadlines.stop(self)
        self._request = NOTHING
        done, self._done = self._done, None
        if done is not None:
            done(response)

    def lost(self, connection: Connection, problem: str, *, unanswered: bool) -> None:
        """Retry the POST once on a new connection if a reused connection ended without a response; else fail it.

        A peer may close an idle connection at the moment at which a request is sent (RFC 9112, section 9.3.1).
        """
        if connection is not self._connection:
            return
        self._connection = self._address = None
        if self._done is None or self._connecting is not None:
            return
        if unanswered and not self._is_fresh:
            self._connect_soon()
        else:
            self._fail(CallbackError("http", problem))

    def expire(self) -> None:
        """Fail the exchange with a timeout."""
        self._hang_up()
        self._fail(CallbackError("timeout", f"no complete response within {self._deadlines.seconds:g} s"))

    def _connect_soon(self) -> None:
        self._connecting = asyncio.create_task(self._connect(), name=f"dial {self.url.text}")

    async def _look_up(self) -> None:
        """Check that the name still resolves to the connection's address, then send; else dial again."""
        try:
            has_moved = self._address not in await self._connector.addresses(self.url, self._caller)
        except CallbackError:
            has_moved = False  # a failing name server must not end a working connection
        self._note_look_up()
        if has_moved:
            self.release()
            self._address = None
        if self._connection is None:  # closed above, or lost during the look-up
            await self._connect()
            return
        self._connecting = None
        self._connection.send(self._request)

    async def _connect(self) -> None:
        known = self._address if asyncio.get_running_loop().time() < self._stale_at else None
        if known is None:
            self._note_look_up()
        try:
            self._address, connection = await self._connector.connect(
                self.url, self._caller, known, self, self._enter_endpoint
            )
        except CallbackError as error:
            self._connecting = None
            self._fail(error)
            return
        self._connecting = None
        if connection.is_closed:
            self._fail(CallbackError("http", ENDED))
            return
        self._connection = connection
        self._is_fresh = True
        connection.send(self._request)

    def _note_look_up(self) -> None:
        is_name = literal_address(self.url.host) is None
        self._stale_at = asyncio.get_running_loop().time() + LOOKED_UP_SECONDS if is_name else NEVER

    def _enter_endpoint(self, address: IPAddress, connection: Connection) -> None:
        """Register with the place of a new connection. Called before the TLS handshake."""
        if self._endpoint not in (None, address):
            self._leave_endpoint()
        self._endpoint = address
        if self._endpoints.enter(address, self.url.port, self).connected(self):
            connection.use_once()

    def _leave_endpoint(self) -> None:
        if self._endpoint is not None:
            self._endpoints.leave(self._endpoint, self.url.port, self)
            self._endpoint = None

    def _fail(self, error: CallbackError) -> None:
        self._address = None
        self._deadlines.stop(self)
        self._request = NOTHING
        done, self._done = self._done, None
        if done is not None:
            done(error)

    def _hang_up(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        self.release()
