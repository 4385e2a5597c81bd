"""The session of one participant: register, stay registered through outages, send, and receive each message once."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import msgspec

from client.errors import CallRefused, ClientError, NotRegistered, ServerUnreachable, words_for_clocks
from client.session.backoff import LONGEST_DELAY, backoff
from client.session.callback_endpoint import CallbackEndpoint
from client.session.catch_up import CatchUp, CatchUpRequest, read_catch_up
from client.session.inbox import Inbox
from client.session.listener import REGISTERED, ConnectionState, Listener
from client.session.registration_file import Registration, RegistrationFile, RegistrationFiles
from client.session.rpc import ServerRpc
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

KEY_WANTED: Final = "The server does not know this client any more, and a new registration needs a join key."

# Errors for a caller that is not registered at present. A new `Register` resolves them.
SEAT_LOST: Final = frozenset({ErrorCode.AWAY, ErrorCode.UNAUTHORIZED})

_log = logging.getLogger(__name__)


class Participant:
    """One participant. `callback` is the prefix of the registered callback, `":8080"` or `"http://host:port"`.

    `registration_files` stores its registration (see `recall`); None: the registration ends with this process.
    """

    def __init__(
        self,
        rpc: ServerRpc,
        endpoint: CallbackEndpoint,
        callback: str,
        listener: Listener,
        *,
        join_key: str | None = None,
        registration_files: RegistrationFiles | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.id = ""
        self.name = ""
        self.state = ConnectionState.NEW
        self.registration: RegisterResult | None = None
        self.reason: ClientError | None = None  # why the state is RECONNECTING
        self.keeps_name = False  # the server reserves the name while this participant is away
        self.ends_without_key = False  # JOIN_KEY_WRONG ends in REPLACED instead of further tries
        self.wait = 0.0  # seconds from the last try to the next
        self.next_try = 0.0  # time of the event loop
        self._rpc = rpc
        self._endpoint = endpoint
        self._callback = callback
        self._listener = listener
        self._join_key = join_key
        self._registration_files = registration_files
        self._sleep = sleep
        self._draw = draw
        self._asked_id: str | None = None
        self._token: str | None = None
        self._after: int | None = None
        self._detail = ""
        self._file: RegistrationFile | None = None
        self._known: Registration | None = None  # the last registration, of this process or an earlier process
        self._recap: CatchUpRequest | None = None
        self._ping_now = asyncio.Event()
        self._knocked = asyncio.Event()
        self._inbox = self._new_inbox()
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Participant {self.name!r} ({self.id}) {self.state}, taken {self.taken}>"

    @property
    def taken(self) -> int:
        """The last `seq` that was received."""
        return self._inbox.taken

    @property
    def lacks_name(self) -> bool:
        """Whether only the name prevents reconnecting: another member has it, or the server refuses it."""
        is_away = self.state is ConnectionState.RECONNECTING
        return is_away and isinstance(self.reason, CallRefused) and self.reason.is_about_name

    @property
    def _keeps_name(self) -> bool:
        """Whether to ask the server to reserve the name: only if the token that the name needs is stored."""
        return self.keeps_name and self._file is not None and self._file.is_usable

    def recall(self, key: str, *, name: str = "", others: Iterable[str] = ()) -> str | None:
        """Load the registration stored under `key`, and store every later registration there.

        If `key` has none, a registration under one of the keys `others` that has the name `name` and is not in use
        moves to `key`. `enter` and `resume` continue the registration, and missed messages arrive.

        Return the name of the registration, or None if none was found or if its owner has left. Errors of the file are
        reported with the next state. See `registration_file`. Raise `RuntimeError` after `enter` or `resume`.
        """
        if self._keeper is not None:
            raise RuntimeError(f"{self!r} is already registered")
        self.release()
        if self._registration_files is None:
            return None
        self._registration_files.move(name, key, others)
        self._file = self._registration_files.open(key)
        self._known = known = self._file.remembered
        if known is None:
            return None
        self.id, self.name, self._token = known.id, known.name, known.token
        self._inbox = self._new_inbox(known)
        self._endpoint.open(self._inbox.id, self._inbox.key, self._inbox)
        return None if known.left else known.name

    def request_catch_up(self, lines: int, show: Callable[[CatchUp], None]) -> None:
        """Call `show` with the last `lines` messages after every registration and ONLINE; the server pushes the rest.

        If the log cannot be read, `show` is not called and the server pushes all missed messages.
        """
        self._recap = CatchUpRequest(lines, show)

    async def enter(self, name: str, *, id: str | None = None) -> RegisterResult:
        """Register as `name` with a single try; on success, stay registered until `leave`.

        A recalled registration continues under `name`; if the server does not know it any more, a new one replaces it.
        Raise `CallRefused` or `ServerUnreachable`; then the state is unchanged, and another call may follow.
        """
        if self._keeper is not None:
            raise RuntimeError(f"{self!r} is already registered")
        self._asked_id = id
        result = await self._register(name)
        self._start(self._keep())
        return result

    def resume(self) -> None:
        """Continue the recalled registration, as after an outage: register with as many tries as it takes."""
        self._tell(ConnectionState.RECONNECTING, "")
        self._start(self._renew_and_keep())

    async def send(self, text: str, client_msg_id: str | None = None) -> SendMessageResult:
        """Send `text`. The server stores a repeat with the same `client_msg_id` only once."""
        params = SendMessageParams(user_id=self.id, text=text, client_msg_id=client_msg_id)
        return await self._call(methods.SEND_MESSAGE, params, SendMessageResult)

    async def history(
        self, *, before: int | None = None, after: int | None = None, limit: int | None = None
    ) -> GetHistoryResult:
        """Read the log, oldest first: the newest messages before `before`, or the oldest after `after`."""
        params = GetHistoryParams(before=before, after=after, limit=limit)
        return await self._call(methods.GET_HISTORY, params, GetHistoryResult)

    async def members(self, *, after_id: str | None = None, limit: int | None = None) -> ListMembersResult:
        """List the members that are present, ordered by id."""
        params = ListMembersParams(after_id=after_id, limit=limit)
        return await self._call(methods.LIST_MEMBERS, params, ListMembersResult)

    async def rename(self, name: str) -> str:
        """Change the name. Return it as the server writes it, or as given if the next try to reconnect uses it."""
        if self.lacks_name:
            self.name = name
            self._knocked.set()
            return name
        self.name = (await self._call(methods.RENAME, RenameParams(name=name), RenameResult)).name
        self._keep_taken()
        return self.name

    async def set_typing(self) -> None:
        """Show the other members that this participant is typing."""
        await self._call(methods.SET_TYPING, NoParams(), SetTypingResult)

    async def leave(self, *, forget: bool = False, away: bool = False) -> None:
        """Leave the room within 3 seconds; an unreachable server detects the absence itself.

        `forget` removes the stored registration, so that no later start continues it. `away` asks the server to reserve
        the name.
        """
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        is_on_its_way_in = self.state is ConnectionState.NEW and self.registration is not None
        if self.state in REGISTERED or is_on_its_way_in:  # in REPLACED, `Unregister` would remove the other process
            is_told = await self._unregister(away)
            self._keep_taken()
            if forget:
                self._forget_file(is_told)
        elif forget and self._file is not None:
            self._file.forget()
        self.release()
        if self.state is not ConnectionState.NEW:
            self._tell(ConnectionState.LEFT, "")

    def release(self) -> None:
        """Close the callback and release the stored registration, without a request to the server."""
        self._close(self._inbox)
        if self._file is not None:
            self._file.close()
        self._file = self._known = self._keeper = self._token = self._after = self.registration = None

    async def _unregister(self, away: bool) -> bool:
        """Call `Unregister`; return whether the server has responded."""
        params = UnregisterParams(id=self.id, keep_name=(away and self._keeps_name) or None)
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._call(methods.UNREGISTER, params, UnregisterResult)
        except (ClientError, TimeoutError) as error:
            _log.info("Could not unregister %s: %s", self.id, error)
            return isinstance(error, CallRefused)
        return True

    def _forget_file(self, is_told: bool) -> None:
        """Remove the file, unless the server still reserves the name: the next `enter` then needs the token."""
        if self._file is None:
            return
        if is_told or self._known is None or not self._keeps_name:
            self._file.forget()
        else:
            self._file.write(msgspec.structs.replace(self._known, left=True))

    async def _call(self, method: str, params: msgspec.Struct, result: type[T]) -> T:
        if self._token is None:
            raise NotRegistered
        try:
            return await self._rpc.call(method, params, result, self._token)
        except ServerUnreachable:
            self._ping_now.set()
            raise
        except CallRefused as error:
            if error.code in SEAT_LOST:
                self._ping_now.set()
            raise

    # Registration.

    async def _register(self, name: str) -> RegisterResult:
        """Register with the token. Without a token, or if the server does not know it, register as a new member."""
        try:
            if self._token is not None:
                inbox = self._inbox if self._after is None else self._new_inbox()
                return await self._settle(await self._take(inbox, name))
        except CallRefused as error:
            if error.kicked:
                self._forget()
            if error.kicked or error.code != ErrorCode.UNAUTHORIZED:
                raise
            self._token = self._after = None
        return await self._come_in(name)

    async def _come_in(self, name: str) -> RegisterResult:
        """Register as a new member, with a new callback path."""
        result = await self._take(self._new_inbox(), name)
        if self.registration is not None and self.registration.epoch != result.epoch:
            # The epoch has changed: earlier messages of the new log are unknown here as well, so read it from seq 0.
            self.id, self._token, self._after = result.id, result.token, 0
            result = await self._take(self._new_inbox(), name)
        return await self._settle(result)

    async def _take(self, inbox: Inbox, name: str) -> RegisterResult:
        """Register with the callback path of `inbox`, and with the token if there is one; on success, use `inbox`.

        Each registration without a token uses a new path. If its response is lost, the path is closed and responds with
        410, so that the server removes the orphaned member.
        """
        if inbox is not self._inbox:
            self._endpoint.open(inbox.id, inbox.key, inbox)
        params = RegisterParams(
            id=None if self._token else self._asked_id,
            name=name,
            callback=self._callback + self._endpoint.path(inbox.id),
            max_batch=methods.MAX_PUSH_BATCH,
            secret=encode_secret(inbox.key),
            join_key=None if self._token else self._join_key,
            accepts=[methods.RECEIVE_TYPING],
            after=self._after,
            keep_name=self._keeps_name or None,
        )
        old = inbox  # to close if the call fails
        try:
            result = await self._rpc.call(methods.REGISTER, params, RegisterResult, self._token)
            old, self._inbox = self._inbox, inbox
            return result
        except CallRefused as error:
            error.clocks_apart = self._endpoint.clocks_apart(inbox.id)
            error.data.setdefault("name", name)
            raise
        finally:
            if old is not self._inbox:
                self._close(old)

    async def _settle(self, result: RegisterResult) -> RegisterResult:
        """Apply the result of `Register`: store it, report ONLINE, and accept messages.

        Messages wait until the catch-up has been read, shown and marked as received; then repeats of it are dropped.
        """
        before, again = self._known, self.registration is not None
        self._inbox.set_log(result.epoch, result.cursor)
        self.registration = result
        self.id, self.name, self._token = result.id, result.name, result.token
        self._after = None
        trouble = self._remember()
        catch_up = await self._read_catch_up(result, again)
        told = _told_at_entry(result, before, again=again and catch_up is None)
        self._inbox.open(result.epoch, result.cursor)  # wakes the waiting POSTs, which run after this method
        self._say(ConnectionState.ONLINE, " ".join(filter(None, (told, trouble))))
        if catch_up is not None and self._recap is not None:
            self._recap.show(catch_up)
            self._inbox.pass_over(catch_up.newest)
            self._inbox.keep()
        return result

    async def _read_catch_up(self, result: RegisterResult, again: bool) -> CatchUp | None:
        if self._recap is None:
            return None
        taken = max(self._inbox.taken, result.cursor)
        return await read_catch_up(self._rpc, result, taken, self._recap.lines, again=again)

    def _hold(self) -> None:
        """Accept no messages before the catch-up."""
        if self._recap is not None:
            self._knocked.clear()
            self._inbox.hold()

    # Storage of the registration.

    def _new_inbox(self, known: Registration | None = None) -> Inbox:
        epoch, taken = (known.epoch, known.taken) if known else ("", 0)
        return Inbox(
            self._listener,
            on_other_log=self._ping_now.set,
            on_held_push=self._knocked.set,
            keep=self._keep_taken,
            epoch=epoch,
            taken=taken,
        )

    def _remember(self) -> str:
        """Store the registration and its cursor. Return a new problem as a sentence, or ""."""
        if self._token is None:
            return ""
        self._known = Registration(
            id=self.id, name=self.name, token=self._token, epoch=self._inbox.epoch, taken=self._inbox.taken
        )
        if self._file is None:
            return ""
        self._file.write(self._known)
        return self._file.trouble()

    def _forget(self) -> None:
        """Discard the token and the stored registration."""
        self._token = self._after = self._known = None
        if self._file is not None:
            self._file.forget()

    def _keep_taken(self) -> None:
        if trouble := self._remember():
            _log.warning(trouble)

    def _close(self, inbox: Inbox) -> None:
        self._endpoint.close(inbox.id)
        inbox.close()

    # Keep-alive.

    def _start(self, keeping: Coroutine[Any, Any, None]) -> None:
        self._keeper = asyncio.create_task(keeping, name=f"keeper of {self.id}")
        self._keeper.add_done_callback(self._on_kept)

    def _on_kept(self, keeper: "asyncio.Task[None]") -> None:
        """End with REPLACED if the keep-alive task crashed: else the client looks connected but never recovers."""
        if keeper.cancelled() or (bug := keeper.exception()) is None:
            return
        _log.error("The keep-alive task of a registration failed", exc_info=bug)
        self._lose(f"Internal error of this client: {bug!r}")

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
        """Wait 10 s, or until the registration is in doubt after a failed call or a POST with another epoch."""
        await self._sleep_until(self._ping_now, PING_SECONDS)
        self._ping_now.clear()

    async def _sleep_until(self, event: asyncio.Event, seconds: float) -> None:
        """Sleep for `seconds`, or until `event` is set."""
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
            # Checked before the callback: a restored log may contain an outdated callback.
            await self._renew()
        elif ping.callback != self.registration.callback:
            self._lose("This registration was taken over by another client that has its token.")
        elif (seconds := self._endpoint.clocks_apart(self._inbox.id)) is not None:
            self._tell(self.state, f"{words_for_clocks(seconds)} Until then no messages arrive.")

    def _lose(self, why: str) -> None:
        """End with REPLACED, without `Unregister`: the registration now belongs to another process, or is void."""
        self._close(self._inbox)
        if self._file is not None:
            self._file.close()
        self._token = None
        self._tell(ConnectionState.REPLACED, why)

    async def _renew(self) -> None:
        """Register again: at once, then with backoff until it succeeds."""
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
            await self._sleep_until(self._knocked, self.wait)  # a POST shows that the server is back
            self._knocked.clear()
            try:
                await self._register(self.name)
            except (CallRefused, ServerUnreachable) as error:
                reason = error
            else:
                break
        self._ping_now.clear()

    def _is_hopeless(self, refused: CallRefused) -> bool:
        """Return whether further tries cannot succeed until a person acts."""
        return refused.kicked or (self.ends_without_key and refused.code == ErrorCode.JOIN_KEY_WRONG)

    def _told_while_away(self, reason: ClientError) -> str:
        if isinstance(reason, CallRefused) and reason.code == ErrorCode.TAKEN and reason.retry_after is None:
            return f"The name {self.name} is in use now. Waiting until it is free."
        return f"{reason} Trying again until it works."

    def _tell(self, state: ConnectionState, detail: str) -> None:
        if (state, detail) != (self.state, self._detail):
            self._say(state, detail)

    def _say(self, state: ConnectionState, detail: str) -> None:
        self.state, self._detail = state, detail
        self._listener.on_state(state, detail)


# Creates the participant of a face. The join key was typed by a person; None: use the key of the settings.
NewParticipant = Callable[[Listener, str | None], Participant]


def _told_at_entry(now: RegisterResult, before: Registration | None, *, again: bool) -> str:
    """Return sentences on what has changed since `before`, or "". `again`: this process was registered before."""
    if before is None:
        return ""
    if now.token != before.token:
        why = "has begun a new log" if now.epoch != before.epoch else "did not know this registration any more"
        return f"{'Connected again, but' if again else 'You are here'} as a newcomer: the server {why}."
    told = ["Connected again."] if again else []
    if now.epoch != before.epoch:
        told.append("The server has another log now: older messages may come again, and the latest may be gone.")
    if now.lost:
        told.append(f"{now.lost} older messages are gone.")
    return " ".join(told)
