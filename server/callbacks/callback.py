"""The way to one callback: one exchange at a time, over one connection that is kept."""

import asyncio
from collections.abc import Callable
from typing import Final

from protocol.methods import CONTENT_TYPE, EXCHANGE_SECONDS, RECIPIENT_HEADER
from server.callbacks.connection import ENDED, Connection
from server.callbacks.deadlines import Deadlines
from server.callbacks.dialling import CallbackError, Dialler
from server.callbacks.places import Places
from server.core.address_policy import IPAddress
from server.core.callback_url import CallbackUrl, literal_address
from server.core.reply import Reply

HEAD: Final = (
    "POST {url.target} HTTP/1.1\r\n"
    "Host: {url.authority}\r\n"
    "User-Agent: ringback\r\n"
    "Accept-Encoding: identity\r\n"
    f"Content-Type: {CONTENT_TYPE}\r\n"
    f"{RECIPIENT_HEADER}: {{recipient}}\r\n"
)

NOTHING: Final = (b"", b"", b"")
LOOKED_UP_SECONDS: Final = 60.0  # for so long the addresses of a name are taken to be the same
NEVER: Final = float("inf")

Done = Callable[[Reply | CallbackError], None]


class Callbacks:
    """What all callbacks share: who makes connections, and how long an exchange may take."""

    def __init__(self, dialler: Dialler, exchange_seconds: float = EXCHANGE_SECONDS) -> None:
        """Let one exchange take `exchange_seconds`, with look-up and connecting."""
        self.dialler = dialler
        self.deadlines = Deadlines(exchange_seconds)
        self.places = Places()

    def to(self, url: CallbackUrl, caller: IPAddress | None, recipient: str) -> "Callback":
        """Give the way to one callback that was registered by `caller` for the member with the id `recipient`."""
        return Callback(self, url, caller, recipient)


class Callback:
    """Dials when there is something to post and no connection.

    The address that was checked is kept until it fails, the other side hangs up by itself, or it was looked up a minute
    ago: another may have it by then. A connection that works is kept longer, if its address is still one of the name's.
    """

    __slots__ = (
        "_address", "_caller", "_connection", "_deadlines", "_dialler", "_dialling", "_done", "_head", "_is_fresh",
        "_place", "_places", "_request", "_stale_at", "url",
    )  # fmt: skip

    def __init__(self, callbacks: Callbacks, url: CallbackUrl, caller: IPAddress | None, recipient: str) -> None:
        """Nothing is looked up before the first POST."""
        self.url = url
        self._dialler = callbacks.dialler
        self._deadlines = callbacks.deadlines
        self._places = callbacks.places
        self._caller = caller
        self._head = HEAD.format(url=url, recipient=recipient).encode()
        self._address: IPAddress | None = None
        self._stale_at = NEVER  # by the loop, when the name is to be looked up again
        self._place: IPAddress | None = None  # the address at which others may have a callback as well
        self._connection: Connection | None = None
        self._is_fresh = False  # the connection has not brought an answer yet
        self._request = NOTHING
        self._done: Done | None = None
        self._dialling: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Callback {self.url.text} at {self._address} {self._connection}>"

    @property
    def exchange_under_way(self) -> object | None:
        """Return what identifies the exchange that is under way, if any."""
        return self._done

    @property
    def is_served(self) -> bool:
        """True while an exchange is under way on a connection that has brought an answer before."""
        return self._done is not None and self._connection is not None and not self._is_fresh

    @property
    def is_idle(self) -> bool:
        """True while a connection is kept and nothing is under way."""
        return self._done is None and self._connection is not None

    def post(self, headers: bytes, body: bytes, done: Done) -> None:
        """Post once; `done` gets the answer, or why there is none, and is never called before this returns.

        `headers` are the end of the head, with Content-Length and the empty line. Nothing may be under way.
        """
        self._done = done
        self._request = (self._head, headers, body)
        now = self._deadlines.start(self)
        if self._connection is None:
            self._dial_soon()
        elif now >= self._stale_at:
            self._dialling = asyncio.create_task(self._look_up(), name=f"look up {self.url.host}")
        else:
            self._connection.send(self._request)

    async def exchange(self, headers: bytes, body: bytes) -> Reply:
        """Post once, and wait for the answer. Raises `CallbackError`, `AddressNotAllowed`."""
        answered: asyncio.Future[Reply | CallbackError] = asyncio.get_running_loop().create_future()

        def settle(result: Reply | CallbackError) -> None:
            if not answered.done():  # it may be cancelled in the very moment
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
        """Hang up. What is under way is dropped, and nobody hears of it."""
        self._done = None
        self._deadlines.stop(self)
        self._hang_up()
        self._leave_place()

    def drop(self) -> None:
        """Forget connection and address, while nothing is under way: the next POST looks the name up."""
        self._hang_up()
        self._address = None

    def let_go(self) -> None:
        """Close the connection that is kept, if any."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def replied(self, reply: Reply, *, reusable: bool) -> None:
        """Hand the answer over."""
        self._is_fresh = False
        if not reusable:
            self._connection = None
        self._deadlines.stop(self)
        self._request = NOTHING
        done, self._done = self._done, None
        if done is not None:
            done(reply)

    def lost(self, connection: Connection, problem: str, *, unanswered: bool) -> None:
        """Dial again, once and at once, if a kept connection had ended; else nothing came of it.

        The other side may close a connection that nothing is sent on, and that may cross with a request
        (RFC 9112, section 9.3.1).
        """
        if connection is not self._connection:
            return
        self._connection = self._address = None
        if self._done is None or self._dialling is not None:
            return
        if unanswered and not self._is_fresh:
            self._dial_soon()
        else:
            self._fail(CallbackError("http", problem))

    def expire(self) -> None:
        """Give up: the time is over."""
        self._hang_up()
        self._fail(CallbackError("timeout", f"no complete answer within {self._deadlines.seconds:g} s"))

    def _dial_soon(self) -> None:
        self._dialling = asyncio.create_task(self._dial(), name=f"dial {self.url.text}")

    async def _look_up(self) -> None:
        """See whether the connection still leads to an address of the name before it is used."""
        try:
            has_moved = self._address not in await self._dialler.addresses(self.url, self._caller)
        except CallbackError:
            has_moved = False  # a name server that is out of order changes nothing
        self._note_look_up()
        if has_moved:
            self.let_go()
            self._address = None
        if self._connection is None:  # it may have ended meanwhile
            await self._dial()
            return
        self._dialling = None
        self._connection.send(self._request)

    async def _dial(self) -> None:
        known = self._address if asyncio.get_running_loop().time() < self._stale_at else None
        if known is None:
            self._note_look_up()
        try:
            self._address, connection = await self._dialler.dial(self.url, self._caller, known, self, self._enter_place)
        except CallbackError as error:
            self._dialling = None
            self._fail(error)
            return
        self._dialling = None
        if connection.is_closed:
            self._fail(CallbackError("http", ENDED))
            return
        self._connection = connection
        self._is_fresh = True
        connection.send(self._request)

    def _note_look_up(self) -> None:
        is_name = literal_address(self.url.host) is None
        self._stale_at = asyncio.get_running_loop().time() + LOOKED_UP_SECONDS if is_name else NEVER

    def _enter_place(self, address: IPAddress, connection: Connection) -> None:
        """Note where a connection leads, as soon as there is one."""
        if self._place not in (None, address):
            self._leave_place()
        self._place = address
        if self._places.enter(address, self.url.port, self).connected(self):
            connection.use_once()

    def _leave_place(self) -> None:
        if self._place is not None:
            self._places.leave(self._place, self.url.port, self)
            self._place = None

    def _fail(self, error: CallbackError) -> None:
        self._address = None
        self._deadlines.stop(self)
        self._request = NOTHING
        done, self._done = self._done, None
        if done is not None:
            done(error)

    def _hang_up(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        self.let_go()
