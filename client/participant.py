"""One seat in the room: come in, stay in whatever happens to the server, send, and take each message once."""

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import msgspec

from client.callback import CallbackEndpoint
from client.errors import CallRefused, ClientError, SeatMissing, ServerUnreachable
from client.rpc import ServerRpc
from protocol import methods
from protocol.errors import ErrorCode
from protocol.messages import (
    ChatMessage,
    GetHistoryParams,
    GetHistoryResult,
    ListMembersParams,
    ListMembersResult,
    NoParams,
    PingResult,
    ReceiveTypingParams,
    RegisterParams,
    RegisterResult,
    RenameParams,
    RenameResult,
    SendMessageParams,
    SendMessageResult,
    SetTypingResult,
    UnregisterParams,
    UnregisterResult,
)
from protocol.signing import encode_secret

T = TypeVar("T")

PING_SECONDS: Final = 10.0
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 10.0
JITTER: Final = 0.2
GOODBYE_SECONDS: Final = 3.0
SECRET_KEY_BYTES: Final = 32

# What the server answers to one whose seat it does not hold now; registering again mends it.
SEAT_LOST: Final = frozenset({ErrorCode.AWAY, ErrorCode.UNAUTHORIZED})

_log = logging.getLogger(__name__)


class ConnectionState(StrEnum):
    """NEW -> ONLINE <-> RECONNECTING; REPLACED (another process has the seat) and LEFT are ends."""

    NEW = "new"
    ONLINE = "online"
    RECONNECTING = "reconnecting"
    REPLACED = "replaced"
    LEFT = "left"


class Listener(Protocol):
    """The face that a participant speaks to. Messages come only after the first `on_state(ONLINE)`."""

    def on_message(self, message: ChatMessage) -> None:
        """Show a message; each is given once, in `seq` order."""

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Show that somebody is writing."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Show the state; `detail` is a sentence for a person, or empty."""


def backoff(draw: Callable[[], float] = random.random) -> Iterator[float]:
    """Give the seconds to wait before each try: 0.5 doubling to 10, each up to 20 % shorter or longer.

    `draw` gives numbers from 0 to 1.
    """
    delay = FIRST_DELAY
    while True:
        yield delay * (1 - JITTER + 2 * JITTER * draw())
        delay = min(2 * delay, LONGEST_DELAY)


class _Seat:
    """Where the server rings one registration, and what was taken there.

    The server may ring before Register's answer is here; what comes so early is held back until the answer says
    from which `seq` on it counts. Each registration without a token has a seat of its own: one whose answer was lost
    leaves a seat behind that is closed, by which the server learns that nobody sits there.
    """

    def __init__(self, listener: Listener) -> None:
        self.id = secrets.token_urlsafe(16)
        self.key = secrets.token_bytes(SECRET_KEY_BYTES)
        self.taken = 0
        self._listener = listener
        self._held: list[ChatMessage] | None = []

    def receive(self, message: ChatMessage) -> None:
        if self._held is not None:
            self._held.append(message)
        elif message.seq > self.taken:
            self._listener.on_message(message)
            self.taken = message.seq

    def typing(self, who: ReceiveTypingParams) -> None:
        if self._held is None:
            self._listener.on_typing(who)

    def begin(self) -> None:
        held, self._held = self._held or [], None
        for message in held:
            self.receive(message)


class Participant:
    """One participant. `callback` is the prefix of what is registered, `":8080"` or `"http://host:port"`."""

    def __init__(
        self,
        rpc: ServerRpc,
        endpoint: CallbackEndpoint,
        callback: str,
        listener: Listener,
        *,
        join_key: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.id = ""
        self.name = ""
        self.state = ConnectionState.NEW
        self.registration: RegisterResult | None = None
        self._rpc = rpc
        self._endpoint = endpoint
        self._callback = callback
        self._listener = listener
        self._join_key = join_key
        self._sleep = sleep
        self._draw = draw
        self._seat = _Seat(listener)
        self._asked_id: str | None = None
        self._token: str | None = None
        self._after: int | None = None
        self._detail = ""
        self._seat_in_doubt = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Participant {self.name!r} ({self.id}) {self.state}, taken {self.taken}>"

    @property
    def taken(self) -> int:
        """The last `seq` that was taken."""
        return self._seat.taken

    async def enter(self, name: str, *, id: str | None = None) -> RegisterResult:
        """Come in under `name`: one try, after whose success the seat is kept until `leave`.

        Raises `CallRefused` or `ServerUnreachable`; then nothing has changed, and another try may follow.
        """
        if self._keeper is not None:
            raise RuntimeError(f"{self!r} is in already")
        self._asked_id = id
        result = await self._come_in(name)
        self._keeper = asyncio.create_task(self._keep(), name=f"keeper of {self.id}")
        self._keeper.add_done_callback(_log_failure)
        return result

    async def send(self, text: str, client_msg_id: str | None = None) -> int:
        """Say `text` and give its `seq`. A repeat with the same `client_msg_id` is stored only once."""
        params = SendMessageParams(user_id=self.id, text=text, client_msg_id=client_msg_id)
        return (await self._call(methods.SEND_MESSAGE, params, SendMessageResult)).seq

    async def history(
        self, *, before: int | None = None, after: int | None = None, limit: int | None = None
    ) -> GetHistoryResult:
        """Read the log, oldest first: the newest before `before`, or the oldest after `after`."""
        params = GetHistoryParams(before=before, after=after, limit=limit)
        return await self._call(methods.GET_HISTORY, params, GetHistoryResult)

    async def members(self, *, after_id: str | None = None, limit: int | None = None) -> ListMembersResult:
        """List who is here, ordered by id."""
        params = ListMembersParams(after_id=after_id, limit=limit)
        return await self._call(methods.LIST_MEMBERS, params, ListMembersResult)

    async def rename(self, name: str) -> str:
        """Go by another name; give it as the server writes it."""
        self.name = (await self._call(methods.RENAME, RenameParams(name=name), RenameResult)).name
        return self.name

    async def set_typing(self) -> None:
        """Let the others know that something is being written."""
        await self._call(methods.SET_TYPING, NoParams(), SetTypingResult)

    async def leave(self) -> None:
        """Give the seat back, within 3 seconds; if the server is away it will notice by itself."""
        if self.state in (ConnectionState.NEW, ConnectionState.LEFT):
            return
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self.state is not ConnectionState.REPLACED:  # else it would put the other process out
            await self._unregister()
        self._endpoint.close(self._seat.id)
        self._keeper = self._token = self.registration = None
        self._tell(ConnectionState.LEFT, "")

    async def _unregister(self) -> None:
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._call(methods.UNREGISTER, UnregisterParams(id=self.id), UnregisterResult)
        except (ClientError, TimeoutError) as error:
            _log.info("could not unregister %s: %s", self.id, error)

    async def _call(self, method: str, params: msgspec.Struct, result: type[T]) -> T:
        if self._token is None:
            raise SeatMissing
        try:
            return await self._rpc.call(method, params, result, self._token)
        except ServerUnreachable:
            self._seat_in_doubt.set()
            raise
        except CallRefused as error:
            if error.code in SEAT_LOST:
                self._seat_in_doubt.set()
            raise

    # Taking a seat.

    async def _take(self, seat: _Seat, name: str) -> RegisterResult:
        """Register at `seat`, with the token if there is one; when it worked, `seat` is the one that counts."""
        if seat is not self._seat:
            self._endpoint.open(seat.id, seat.key, seat)
        params = RegisterParams(
            id=None if self._token else self._asked_id,
            name=name,
            callback=self._callback + self._endpoint.path(seat.id),
            max_batch=methods.MAX_PUSH_BATCH,
            secret=encode_secret(seat.key),
            join_key=None if self._token else self._join_key,
            accepts=[methods.RECEIVE_TYPING],
            after=self._after,
        )
        old = seat  # to be closed
        try:
            result = await self._rpc.call(methods.REGISTER, params, RegisterResult, self._token)
            if seat is not self._seat:
                seat.taken = result.cursor
            old, self._seat = self._seat, seat
            return result
        finally:
            if old is not self._seat:
                self._endpoint.close(old.id)

    async def _come_in(self, name: str) -> RegisterResult:
        """Register as a newcomer, at a seat of its own."""
        result = await self._take(_Seat(self._listener), name)
        if self.registration is not None and self.registration.epoch != result.epoch:
            # Another log than the one that was followed until now: what others said there before is news as well.
            # At one more seat, since from the first one later messages may be in already.
            self._token, self._after = result.token, 0
            result = await self._take(_Seat(self._listener), name)
        self._settle(result)
        return result

    def _settle(self, result: RegisterResult) -> None:
        detail = _told_at_return(self.registration, result)
        self.registration = result
        self.id, self.name, self._token = result.id, result.name, result.token
        self._after = None
        self._tell(ConnectionState.ONLINE, detail)
        self._seat.begin()

    # Keeping it.

    async def _keep(self) -> None:
        while self.state is not ConnectionState.REPLACED:
            await self._until_next_ping()
            try:
                ping = await self._call(methods.PING, NoParams(), PingResult)
            except ServerUnreachable as error:
                await self._come_back(error)
            except CallRefused as error:
                if error.code in SEAT_LOST:
                    await self._come_back(error)
            else:
                self._check_callback(ping)

    async def _until_next_ping(self) -> None:
        """Wait 10 s, or until a call has failed in a way that puts the seat in doubt."""
        waits = {
            asyncio.ensure_future(self._sleep(PING_SECONDS)),
            asyncio.ensure_future(self._seat_in_doubt.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._seat_in_doubt.clear()

    def _check_callback(self, ping: PingResult) -> None:
        if self.registration is not None and ping.callback != self.registration.callback:
            self._endpoint.close(self._seat.id)
            self._token = None  # it is the other's now
            self._tell(ConnectionState.REPLACED, "This seat was taken over by another client that has its token.")

    async def _come_back(self, reason: ClientError) -> None:
        for delay in backoff(self._draw):
            self._tell(ConnectionState.RECONNECTING, self._told_while_away(reason))
            asked = reason.retry_after if isinstance(reason, CallRefused | ServerUnreachable) else None
            await self._sleep(max(delay, min(asked or 0.0, LONGEST_DELAY)))
            try:
                await self._register_again()
            except (CallRefused, ServerUnreachable) as error:
                reason = error
            else:
                break
        self._seat_in_doubt.clear()

    async def _register_again(self) -> None:
        try:
            if self._token is not None:
                seat = self._seat if self._after is None else _Seat(self._listener)
                self._settle(await self._take(seat, self.name))
                return
        except CallRefused as error:
            if error.code != ErrorCode.UNAUTHORIZED:
                raise
            self._token = None
        await self._come_in(self.name)

    def _told_while_away(self, reason: ClientError) -> str:
        if isinstance(reason, CallRefused) and reason.code == ErrorCode.TAKEN:
            return f"Somebody else is called {self.name} now. Waiting until the name is free again."
        return f"{reason} Trying again until it works."

    def _tell(self, state: ConnectionState, detail: str) -> None:
        if (state, detail) != (self.state, self._detail):
            self.state, self._detail = state, detail
            self._listener.on_state(state, detail)


# Makes the participant of a face; the join key is one that a person typed, None for that of the settings.
NewParticipant = Callable[[Listener, str | None], Participant]


def _told_at_return(before: RegisterResult | None, now: RegisterResult) -> str:
    if before is None:
        return ""
    if not now.resumed or now.epoch != before.epoch:
        why = "has begun a new log" if now.epoch != before.epoch else "did not know this seat any more"
        return f"Connected again, but as a newcomer: the server {why}."
    return f"Connected again. {now.lost} older messages are gone." if now.lost else "Connected again."


def _log_failure(keeper: asyncio.Task[None]) -> None:
    if not keeper.cancelled() and keeper.exception() is not None:
        _log.error("the keeper of a seat failed", exc_info=keeper.exception())
