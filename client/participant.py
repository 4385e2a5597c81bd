"""One seat in the room: come in, stay in whatever happens to the server, send, and take each message once."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import msgspec

from client.backoff import LONGEST_DELAY, backoff
from client.callback import CallbackEndpoint
from client.errors import CallRefused, ClientError, SeatMissing, ServerUnreachable, words_for_clocks
from client.listener import SEATED, ConnectionState, Listener
from client.recap import Recap, RecapAsked, read_recap
from client.rpc import ServerRpc
from client.seat import Seat
from client.seat_file import Remembered, SeatFile, SeatFiles
from protocol import methods
from protocol.errors import ErrorCode
from protocol.messages import (
    GetHistoryParams,
    GetHistoryResult,
    ListMembersParams,
    ListMembersResult,
    NoParams,
    PingResult,
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
GOODBYE_SECONDS: Final = 3.0

KEY_WANTED: Final = "The server does not know you any more, and asks newcomers for a join key."

# What the server answers to one whose seat it does not hold now; registering again mends it.
SEAT_LOST: Final = frozenset({ErrorCode.AWAY, ErrorCode.UNAUTHORIZED})

_log = logging.getLogger(__name__)


class Participant:
    """One participant. `callback` is the prefix of what is registered, `":8080"` or `"http://host:port"`.

    `seat_files` is where it remembers its seat, if it is to (see `recall`).
    """

    def __init__(
        self,
        rpc: ServerRpc,
        endpoint: CallbackEndpoint,
        callback: str,
        listener: Listener,
        *,
        join_key: str | None = None,
        seat_files: SeatFiles | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.id = ""
        self.name = ""
        self.state = ConnectionState.NEW
        self.registration: RegisterResult | None = None
        self.reason: ClientError | None = None  # why it is reconnecting
        self.keeps_name = False  # while it is away; nobody else may have the name then
        self.ends_without_key = False  # in REPLACED, when the server wants a join key that this client does not know
        self.wait = 0.0  # seconds from the last try to the next one
        self.next_try = 0.0  # by the clock of the event loop
        self._rpc = rpc
        self._endpoint = endpoint
        self._callback = callback
        self._listener = listener
        self._join_key = join_key
        self._seat_files = seat_files
        self._sleep = sleep
        self._draw = draw
        self._asked_id: str | None = None
        self._token: str | None = None
        self._after: int | None = None
        self._detail = ""
        self._file: SeatFile | None = None
        self._known: Remembered | None = None  # the seat as it was last, in this process or before it
        self._recap: RecapAsked | None = None
        self._seat_in_doubt = asyncio.Event()
        self._knocked = asyncio.Event()
        self._seat = self._new_seat()
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Participant {self.name!r} ({self.id}) {self.state}, taken {self.taken}>"

    @property
    def taken(self) -> int:
        """The last `seq` that was taken."""
        return self._seat.taken

    @property
    def lacks_name(self) -> bool:
        """Whether it is but the name that keeps it from coming back: somebody else has it, or the server refuses it."""
        is_away = self.state is ConnectionState.RECONNECTING
        return is_away and isinstance(self.reason, CallRefused) and self.reason.is_about_name

    @property
    def _keeps_name(self) -> bool:
        """Whether the name is to be kept: not if nobody will have the token to come back to it."""
        return self.keeps_name and self._file is not None and self._file.is_usable

    def recall(self, key: str, *, name: str = "", others: Iterable[str] = ()) -> str | None:
        """Look for the seat that is remembered as `key`, and remember there, from now on, the one that is taken.

        If there is none, the seat called `name` that is remembered as one of `others`, and not in use, becomes that.

        Gives the name that the seat had; `enter` and `resume` come back to it, and what was missed arrives. None: there
        is no such seat. What stands in the way of remembering is told with the next state. See `client.seat_file`.
        """
        if self._keeper is not None:
            raise RuntimeError(f"{self!r} is in already")
        self.let_go()
        if self._seat_files is None:
            return None
        self._seat_files.move(name, key, others)
        self._file = self._seat_files.open(key)
        self._known = known = self._file.remembered
        if known is None:
            return None
        self.id, self.name, self._token = known.id, known.name, known.token
        self._seat = self._new_seat(known)
        self._endpoint.open(self._seat.id, self._seat.key, self._seat)
        return None if known.left else known.name

    def ask_for_recap(self, lines: int, show: Callable[[Recap], None]) -> None:
        """Have `show` given the end of the log at every entry, after ONLINE; only what comes behind that is pushed.

        When the log cannot be read then, there is no recap, and what was missed is pushed, as to any other face.
        """
        self._recap = RecapAsked(lines, show)

    async def enter(self, name: str, *, id: str | None = None) -> RegisterResult:
        """Come in under `name`: one try, after whose success the seat is kept until `leave`.

        A seat that was recalled is taken again, and called `name` from then on; one that the server does not know any
        more is forgotten, for a newcomer's. Raises `CallRefused` or `ServerUnreachable`; then nothing has changed, and
        another try may follow.
        """
        if self._keeper is not None:
            raise RuntimeError(f"{self!r} is in already")
        self._asked_id = id
        result = await self._register(name)
        self._start(self._keep())
        return result

    def resume(self) -> None:
        """Come back to the seat that was recalled, as after a break: with as many tries as it takes."""
        self._tell(ConnectionState.RECONNECTING, "")
        self._start(self._renew_and_keep())

    async def send(self, text: str, client_msg_id: str | None = None) -> SendMessageResult:
        """Say `text`. A repeat with the same `client_msg_id` is stored only once."""
        params = SendMessageParams(user_id=self.id, text=text, client_msg_id=client_msg_id)
        return await self._call(methods.SEND_MESSAGE, params, SendMessageResult)

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
        """Go by another name; give it as the server writes it, or as given if the next try to come back is under it."""
        if self.lacks_name:
            self.name = name
            self._knocked.set()
            return name
        self.name = (await self._call(methods.RENAME, RenameParams(name=name), RenameResult)).name
        self._keep_taken()
        return self.name

    async def set_typing(self) -> None:
        """Let the others know that something is being written."""
        await self._call(methods.SET_TYPING, NoParams(), SetTypingResult)

    async def leave(self, *, forget: bool = False, away: bool = False) -> None:
        """Leave the room, within 3 seconds; if the server is away it will notice by itself.

        The seat stays remembered, unless it is to be forgotten: then nobody will come back to it. Who is only `away`
        keeps the name.
        """
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        is_on_its_way_in = self.state is ConnectionState.NEW and self.registration is not None
        if self.state in SEATED or is_on_its_way_in:  # not when it was replaced: that would put the other process out
            is_told = await self._unregister(away)
            self._keep_taken()
            if forget:
                self._forget_file(is_told)
        elif forget and self._file is not None:
            self._file.forget()
        self.let_go()
        if self.state is not ConnectionState.NEW:
            self._tell(ConnectionState.LEFT, "")

    def let_go(self) -> None:
        """Leave what was recalled to others, and tell the server nothing."""
        self._close(self._seat)
        if self._file is not None:
            self._file.close()
        self._file = self._known = self._keeper = self._token = self._after = self.registration = None

    async def _unregister(self, away: bool) -> bool:
        """Tell the server, and return whether it knows now."""
        params = UnregisterParams(id=self.id, keep_name=(away and self._keeps_name) or None)
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._call(methods.UNREGISTER, params, UnregisterResult)
        except (ClientError, TimeoutError) as error:
            _log.info("could not unregister %s: %s", self.id, error)
            return isinstance(error, CallRefused)
        return True

    def _forget_file(self, is_told: bool) -> None:
        """Remove the file; but keep the token of a name that the server still keeps, for who enters again."""
        if self._file is None:
            return
        if is_told or self._known is None or not self._keeps_name:
            self._file.forget()
        else:
            self._file.write(msgspec.structs.replace(self._known, left=True))

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

    async def _register(self, name: str) -> RegisterResult:
        """Come back with the token if there is one, else, or if the server does not know it, as a newcomer."""
        try:
            if self._token is not None:
                seat = self._seat if self._after is None else self._new_seat()
                return await self._settle(await self._take(seat, name))
        except CallRefused as error:
            if error.kicked:
                self._forget()
            if error.kicked or error.code != ErrorCode.UNAUTHORIZED:
                raise
            self._token = self._after = None
        return await self._come_in(name)

    async def _come_in(self, name: str) -> RegisterResult:
        """Register as a newcomer, at a seat of its own."""
        result = await self._take(self._new_seat(), name)
        if self.registration is not None and self.registration.epoch != result.epoch:
            # Another log than the one that was followed until now: what others said there before is news as well.
            self.id, self._token, self._after = result.id, result.token, 0
            result = await self._take(self._new_seat(), name)
        return await self._settle(result)

    async def _take(self, seat: Seat, name: str) -> RegisterResult:
        """Register at `seat`, with the token if there is one; when it worked, `seat` is the one that counts.

        Each registration without a token has a seat of its own: one whose answer was lost leaves a seat behind that is
        closed, by which the server learns that nobody sits there.
        """
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
            keep_name=self._keeps_name or None,
        )
        old = seat  # to be closed
        try:
            result = await self._rpc.call(methods.REGISTER, params, RegisterResult, self._token)
            old, self._seat = self._seat, seat
            return result
        except CallRefused as error:
            error.clocks_apart = self._endpoint.clocks_apart(seat.id)
            error.data.setdefault("name", name)
            raise
        finally:
            if old is not self._seat:
                self._close(old)

    async def _settle(self, result: RegisterResult) -> RegisterResult:
        """Take the answer to `Register` for what holds now: remember it, tell it, and let messages come in.

        Those wait until the recap has been read, shown and marked as taken; then what they repeat of it is dropped.
        """
        before, again = self._known, self.registration is not None
        self._seat.note(result.epoch, result.cursor)
        self.registration = result
        self.id, self.name, self._token = result.id, result.name, result.token
        self._after = None
        trouble = self._remember()
        recap = await self._read_recap(result, again)
        told = _told_at_entry(result, before, again=again and recap is None)
        self._seat.settle(result.epoch, result.cursor)  # what waits there comes after all that is done here
        self._say(ConnectionState.ONLINE, " ".join(filter(None, (told, trouble))))
        if recap is not None and self._recap is not None:
            self._recap.show(recap)
            self._seat.pass_over(recap.newest)
            self._seat.keep()
        return result

    async def _read_recap(self, result: RegisterResult, again: bool) -> Recap | None:
        if self._recap is None:
            return None
        taken = max(self._seat.taken, result.cursor)
        return await read_recap(self._rpc, result, taken, self._recap.lines, again=again)

    def _hold(self) -> None:
        """Let nothing come in before the recap."""
        if self._recap is not None:
            self._knocked.clear()
            self._seat.hold()

    # Remembering it.

    def _new_seat(self, known: Remembered | None = None) -> Seat:
        epoch, taken = (known.epoch, known.taken) if known else ("", 0)
        return Seat(
            self._listener,
            on_doubt=self._seat_in_doubt.set,
            on_knock=self._knocked.set,
            keep=self._keep_taken,
            epoch=epoch,
            taken=taken,
        )

    def _remember(self) -> str:
        """Write down whose seat this is and how far it is; gives what went wrong, if it is not known yet."""
        if self._token is None:
            return ""
        self._known = Remembered(
            id=self.id, name=self.name, token=self._token, epoch=self._seat.epoch, taken=self._seat.taken
        )
        if self._file is None:
            return ""
        self._file.write(self._known)
        return self._file.trouble()

    def _forget(self) -> None:
        """Let nobody come back to this seat."""
        self._token = self._after = self._known = None
        if self._file is not None:
            self._file.forget()

    def _keep_taken(self) -> None:
        if trouble := self._remember():
            _log.warning(trouble)

    def _close(self, seat: Seat) -> None:
        self._endpoint.close(seat.id)
        seat.close()

    # Keeping it.

    def _start(self, keeping: Coroutine[Any, Any, None]) -> None:
        self._keeper = asyncio.create_task(keeping, name=f"keeper of {self.id}")
        self._keeper.add_done_callback(self._on_kept)

    def _on_kept(self, keeper: "asyncio.Task[None]") -> None:
        """Let a bug end it for all to see: a seat that nobody keeps looks well, and is lost at the next trouble."""
        if keeper.cancelled() or (bug := keeper.exception()) is None:
            return
        _log.error("the keeper of a seat failed", exc_info=bug)
        self._lose(f"This client has failed within: {bug!r}")

    async def _renew_and_keep(self) -> None:
        await self._renew()
        await self._keep()

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
                await self._heed(ping)

    async def _until_next_ping(self) -> None:
        """Wait 10 s, or until something has put the seat in doubt: a call that failed, or a POST of another log."""
        await self._sleep_until(self._seat_in_doubt, PING_SECONDS)
        self._seat_in_doubt.clear()

    async def _sleep_until(self, event: asyncio.Event, seconds: float) -> None:
        """Sleep, but not beyond the event."""
        waits = {asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(event.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _heed(self, ping: PingResult) -> None:
        if self.registration is None:
            return
        if ping.epoch != self.registration.epoch:
            # Before the callback is looked at: a store that was restored may know one of long ago.
            await self._renew()
        elif ping.callback != self.registration.callback:
            self._lose("This seat was taken over by another client that has its token.")
        elif (seconds := self._endpoint.clocks_apart(self._seat.id)) is not None:
            self._tell(self.state, f"{words_for_clocks(seconds)} Until then nothing that others say comes in.")

    def _lose(self, why: str) -> None:
        """Give the seat up for good, and tell the server nothing: it is somebody else's now, or nobody's."""
        self._close(self._seat)
        if self._file is not None:
            self._file.close()
        self._token = None
        self._tell(ConnectionState.REPLACED, why)

    async def _renew(self) -> None:
        """Register again: at once, and then as often as it takes."""
        self._hold()
        try:
            await self._register(self.name)
        except (CallRefused, ServerUnreachable) as error:
            await self._come_back(error)

    async def _come_back(self, reason: ClientError) -> None:
        self._hold()
        for delay in backoff(self._draw):
            if isinstance(reason, CallRefused) and self._is_hopeless(reason):
                self.reason = reason
                self._forget()
                self._lose(str(reason) if reason.kicked else KEY_WANTED)
                break
            asked = reason.retry_after if isinstance(reason, CallRefused | ServerUnreachable) else None
            self.reason, self.wait = reason, max(delay, min(asked or 0.0, LONGEST_DELAY))
            self.next_try = asyncio.get_running_loop().time() + self.wait
            self._tell(ConnectionState.RECONNECTING, self._told_while_away(reason))
            await self._sleep_until(self._knocked, self.wait)  # a server that rings is back
            self._knocked.clear()
            try:
                await self._register(self.name)
            except (CallRefused, ServerUnreachable) as error:
                reason = error
            else:
                break
        self._seat_in_doubt.clear()

    def _is_hopeless(self, refused: CallRefused) -> bool:
        """Return whether no further try will succeed without a person."""
        return refused.kicked or (self.ends_without_key and refused.code == ErrorCode.JOIN_KEY_WRONG)

    def _told_while_away(self, reason: ClientError) -> str:
        if isinstance(reason, CallRefused) and reason.code == ErrorCode.TAKEN and reason.retry_after is None:
            return f"Somebody else is called {self.name} now. Waiting until the name is free again."
        return f"{reason} Trying again until it works."

    def _tell(self, state: ConnectionState, detail: str) -> None:
        if (state, detail) != (self.state, self._detail):
            self._say(state, detail)

    def _say(self, state: ConnectionState, detail: str) -> None:
        self.state, self._detail = state, detail
        self._listener.on_state(state, detail)


# Makes the participant of a face; the join key is one that a person typed, None for that of the settings.
NewParticipant = Callable[[Listener, str | None], Participant]


def _told_at_entry(now: RegisterResult, before: Remembered | None, *, again: bool) -> str:
    """Say what a person should know of how the seat is `now`; `again`: this process has had it `before`."""
    if before is None:
        return ""
    if now.token != before.token:
        why = "has begun a new log" if now.epoch != before.epoch else "did not know this seat any more"
        return f"{'Connected again, but' if again else 'You are here'} as a newcomer: the server {why}."
    told = ["Connected again."] if again else []
    if now.epoch != before.epoch:
        told.append("The server has another log now: older messages may come again, and the latest may be gone.")
    if now.lost:
        told.append(f"{now.lost} older messages are gone.")
    return " ".join(told)
