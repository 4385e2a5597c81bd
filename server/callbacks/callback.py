"""The way to one callback: one exchange at a time, over one connection that is kept."""

import asyncio
from collections.abc import Callable
from typing import Final

from protocol.methods import CONTENT_TYPE, EXCHANGE_SECONDS, RECIPIENT_HEADER
from server.callbacks.connection import ENDED, Connection
from server.callbacks.deadlines import Deadlines
from server.callbacks.dialling import CallbackError, Dialler
from server.core.address_policy import IPAddress
from server.core.callback_url import CallbackUrl
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

Done = Callable[[Reply | CallbackError], None]


class Callbacks:
    """What all callbacks share: who makes connections, and how long an exchange may take."""

    def __init__(self, dialler: Dialler, exchange_seconds: float = EXCHANGE_SECONDS) -> None:
        """Let one exchange take `exchange_seconds`, with look-up and connecting."""
        self.dialler = dialler
        self.deadlines = Deadlines(exchange_seconds)

    def to(self, url: CallbackUrl, caller: IPAddress | None, recipient: str) -> "Callback":
        """Give the way to one callback that was registered by `caller` for the member with the id `recipient`."""
        return Callback(self, url, caller, recipient)


class Callback:
    """Dials when there is something to post and no connection. It keeps the address that was checked until it fails."""

    __slots__ = (
        "_address", "_caller", "_connection", "_deadlines", "_dialler", "_dialling", "_done", "_head", "_is_fresh",
        "_request", "url",
    )  # fmt: skip

    def __init__(self, callbacks: Callbacks, url: CallbackUrl, caller: IPAddress | None, recipient: str) -> None:
        """Nothing is looked up before the first POST."""
        self.url = url
        self._dialler = callbacks.dialler
        self._deadlines = callbacks.deadlines
        self._caller = caller
        self._head = HEAD.format(url=url, recipient=recipient).encode()
        self._address: IPAddress | None = None
        self._connection: Connection | None = None
        self._is_fresh = False  # the connection has not brought an answer yet
        self._request = NOTHING
        self._done: Done | None = None
        self._dialling: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Callback {self.url.text} at {self._address} {self._connection}>"

    def post(self, headers: bytes, body: bytes, done: Done) -> None:
        """Post once; `done` gets the answer, or why there is none, and is never called before this returns.

        `headers` are the end of the head, with Content-Length and the empty line. Nothing may be under way.
        """
        self._done = done
        self._request = (self._head, headers, body)
        self._deadlines.start(self)
        if self._connection is None:
            self._dialling = asyncio.create_task(self._dial(), name=f"dial {self.url.text}")
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
        self._connection = None
        if self._done is None:
            return
        if unanswered and not self._is_fresh:
            self._dialling = asyncio.create_task(self._dial(), name=f"dial {self.url.text}")
        else:
            self._fail(CallbackError("http", problem))

    def expire(self) -> None:
        """Give up: the time is over."""
        self._hang_up()
        self._fail(CallbackError("timeout", f"no complete answer within {self._deadlines.seconds:g} s"))

    async def _dial(self) -> None:
        try:
            self._address, connection = await self._dialler.dial(self.url, self._caller, self._address, self)
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
        if self._connection is not None:
            self._connection.close()
            self._connection = None
