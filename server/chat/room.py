"""The room: joining, leaving, renaming, messages. The log stores a change before `members` and deliveries see it."""

import asyncio
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from protocol import jsonrpc
from protocol.errors import ContractError, ErrorCode, invalid_params
from protocol.messages import ReceiveTypingParams
from protocol.methods import LOBBY, RECEIVE_TYPING
from server import logs
from server.callbacks.callback import Callback, Callbacks
from server.callbacks.callback_url import CallbackProblem, parse_callback
from server.chat.members import SILENT_SECONDS, Leaving, Member, Members, held_until
from server.chat.retention import Retention
from server.clock import Clock
from server.delivery.delivery import Delivery, DeliveryContext
from server.delivery.outbox import Outbox
from server.message_log.base import Appended, Conflict, LogError, MessageIdReused, MessageLog, NotStored, SenderAway
from server.message_log.entry import Draft
from server.net.addresses import literal_address

UNREACHABLE_NOTE: Final = " (unreachable)"
KICKED_NOTE: Final = " (removed by an operator)"  # for the server's log; the notice to the room does not say it


def hash_token(token: str) -> bytes:
    """Return the SHA-256 hash of a token, which the server stores. 256 random bits need no slower hash."""
    return hashlib.sha256(token.encode()).digest()


def removed() -> ContractError:
    """Return the error for a member that an operator has removed."""
    detail = "an operator has removed you from this chat"
    return ContractError(ErrorCode.UNAUTHORIZED, {"kicked": True, "detail": detail})


@dataclass(slots=True)
class MemberProgress:
    """The state of a member outside its delivery.

    `cursor` counts while the member has no delivery; `saved_cursor` is the cursor in the log. `active_at` is the time
    of the last request on the monotonic clock. `passed_over` counts the messages that earlier deliveries passed over.
    `has_token`: a request has shown that the member received its token.
    """

    cursor: int
    saved_cursor: int
    active_at: float
    passed_over: int = 0
    has_token: bool = False


class Room:
    """One room over one log. Methods that change a member hold the lock of that member.

    The room relies on the order of the log: its calls return in the order in which they took effect, so that `members`
    and `_progress` end in the same state as the log.
    """

    def __init__(
        self,
        log: MessageLog,
        callbacks: Callbacks,
        clock: Clock,
        retention: Retention,
        *,
        evict_after: float,
        keep_name_seconds: float,
        log_texts: bool = True,
    ) -> None:
        """Create an empty room; `open` loads the members."""
        self.log = log
        self.retention = retention
        self.members = Members()
        self.deliveries: dict[str, Delivery] = {}
        self.callbacks = callbacks
        self.clock = clock
        self.delivery_context = DeliveryContext(log, clock)
        self._evict_after = evict_after
        self._keep_name_seconds = keep_name_seconds
        self._log_texts = log_texts
        self._progress: dict[str, MemberProgress] = {}
        self._member_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._trouble = ""  # why the last write to the log failed; empty if it succeeded

    def __repr__(self) -> str:
        return f"<Room {self.members!r} deliveries={len(self.deliveries)} newest={self.log.newest}>"

    async def open(self) -> None:
        """Load the members from the log and resume their deliveries. Raise `Unreadable`."""
        now = self.clock.monotonic()
        for member, cursor in await self.log.members():
            self.members.put(member)
            self._progress[member.id] = MemberProgress(cursor, cursor, now, has_token=True)
        if self.log.gaps and self.log.gaps[-1].up_to == self.log.newest:
            restored = "The log was restored from a backup, which ends with message %d; the next message is %d"
            logs.server.info(restored, self.log.gaps[-1].after, self.log.newest + 1)
        elif self.members.present_count:
            here = "Resuming after message %d with %d members present"
            logs.server.info(here, self.log.newest, self.members.present_count)
        for member in self.members.present():
            self._retry_delivery(member)

    async def close(self) -> None:
        """Wait for the POSTs in flight. Members stay present, so the log gets no "left" notices."""
        await asyncio.gather(*(delivery.finish() for delivery in self.deliveries.values()))

    async def close_now(self) -> None:
        """Abort the POSTs in flight and save the cursors."""
        for delivery in self.deliveries.values():
            delivery.cut()
        try:
            await self.save_cursors()
        except LogError as error:
            logs.server.warning("Could not save delivery cursors; some messages will be delivered again: %s", error)

    def cursor_of(self, member_id: str) -> int:
        """Return the last `seq` that a member has acknowledged."""
        delivery = self.deliveries.get(member_id)
        return self._progress[member_id].cursor if delivery is None else delivery.outbox.cursor

    def passed_over_of(self, member_id: str) -> int:
        """Return the number of messages that were passed over because this member refused them too often."""
        delivery = self.deliveries.get(member_id)
        return self._progress[member_id].passed_over + (delivery.outbox.passed_over if delivery is not None else 0)

    def record_activity(self, member: Member) -> None:
        """Record a request by a member."""
        progress = self._progress[member.id]
        progress.active_at, progress.has_token = self.clock.monotonic(), True
        if delivery := self.deliveries.get(member.id):
            delivery.outbox.record_activity(self.clock.monotonic())

    async def behind(self, members: Sequence[Member]) -> Mapping[str, int]:
        """Return the number of unacknowledged messages by member id, for those of `members` that have a callback."""
        newest, oldest = self.log.newest, self.log.oldest
        cursors = {member.id: self.cursor_of(member.id) for member in members if member.callback is not None}
        late = {key: max(cursor, oldest - 1) for key, cursor in cursors.items() if cursor < newest}
        own = await self.log.count_own(late) if late else {}
        return {key: max(0, self.log.count(late[key], newest) - own[key]) if key in late else 0 for key in cursors}

    async def enter(self, member: Member, callback: Callback | None, after: int | None) -> None:
        """Make a member present, new or returning, and start to deliver to `callback` if given.

        `after` sets the cursor. Raise -32001, -32003, -32010.
        """
        async with self._member_lock(member.id):
            if (known := self.members.get(member.id)) is not None and known.kicked:
                raise removed()
            begin = await self._store_present(member, after)
            # The log has the member: an error from here on would leave it present without a delivery.
            now = self.clock.monotonic()
            progress = self._progress.setdefault(member.id, MemberProgress(begin, begin, now))
            progress.active_at, progress.has_token = now, known is not None
            self._cut_delivery(member.id)
            if after is not None:
                progress.cursor = progress.saved_cursor = after
            if callback is not None:
                self._start_delivery(member, callback)

    async def leave(self, member_id: str, *, keep_name: bool) -> None:
        """Make a present member away and store the notice. Raise -32010."""
        async with self._member_lock(member_id):
            await self._leave(member_id, Leaving.UNREGISTERED_KEEPING_NAME if keep_name else Leaving.UNREGISTERED)

    async def kick(self, member_id: str) -> None:
        """Make a member away and reject its token from now on. Raise -32010."""
        async with self._member_lock(member_id):
            member = self.members.get(member_id)
            if member is not None and member.present:
                await self._leave(member_id, Leaving.KICKED)
            elif member is not None:
                await self._store(msgspec.structs.replace(member, kicked=True, name_held_until=0.0), None)

    async def release(self, member_id: str) -> None:
        """Free the name of a member that is away. Raise -32010."""
        async with self._member_lock(member_id):
            member = self.members.get(member_id)
            if member is not None and not member.present:
                await self._store(msgspec.structs.replace(member, name_held_until=0.0), None)
                logs.client.info("The name of User %s (ID: %s) was released by an operator", member.name, member.id)

    def check_name(self, name: str, member_id: str | None) -> None:
        """Raise -32003 if the name belongs to a member other than `member_id`."""
        if holder := self.holder_of(name, member_id):
            raise self._name_taken(None if holder.present else holder.name_held_until)

    def holder_of(self, name: str, member_id: str | None = None) -> Member | None:
        """Return the member other than `member_id` that owns the name now, present or away."""
        return self.members.other_called(name, member_id, self.retention.now())

    async def rename(self, member_id: str, name: str) -> None:
        """Rename a present member and store the notice. Raise -32002, -32003, -32010."""
        async with self._member_lock(member_id):
            member = self.members.get(member_id)
            if member is None or not member.present:
                raise ContractError(ErrorCode.AWAY)
            if member.name != name:
                renamed = msgspec.structs.replace(member, name=name, changed_at=self.retention.now())
                await self._announce_rename(member, renamed)

    async def say(self, member: Member, text: str, client_msg_id: str | None) -> Appended:
        """Store a message of a member. Raise -32002, -32602, -32010."""
        draft = Draft(
            sender_id=member.id,
            sender_name=member.name,
            text=text,
            at=self.clock.unix(),
            client_msg_id=client_msg_id,
        )
        appended = await self._append(draft)
        if not appended.repeated:
            logs.broadcast.info("%s: %s", member.name, text if self._log_texts else f"({len(text)} characters)")
        return appended

    def typing(self, member: Member) -> None:
        """Send a typing notification to the recipients that accept it, except to `member`."""
        params = ReceiveTypingParams(sender_id=member.id, sender_name=member.name, room=LOBBY)
        notification = msgspec.json.encode(jsonrpc.notification(RECEIVE_TYPING, params))
        for delivery in self.deliveries.values():
            if RECEIVE_TYPING in delivery.member.accepts and delivery.member.id != member.id:
                delivery.show_typing(notification)

    async def dismiss_silent(self) -> None:
        """Make members without a delivery away after ten minutes without a request. Raise -32010."""
        for member in [member for member in self.members.present() if self._is_silent(member)]:
            async with self._member_lock(member.id):
                now = self.members.get(member.id)
                if now is not None and self._is_silent(now):  # it may have sent a request meanwhile
                    await self._leave(member.id, Leaving.SILENT)

    async def save_cursors(self) -> None:
        """Store the cursors that have changed since the last save. Raise `NotStored`."""
        cursors = {member_id: self.cursor_of(member_id) for member_id in self._progress}
        changed = {
            key: cursor
            for key, cursor in cursors.items()
            # Skip members whose lock is held: `enter` may be storing a new cursor, which must not be overwritten.
            if self._progress[key].saved_cursor != cursor and not self._is_locked(key)
        }
        if not changed:
            return
        await self.log.save_cursors(changed)
        for member_id, cursor in changed.items():
            if progress := self._progress.get(member_id):
                progress.saved_cursor = cursor

    async def drop_old(self) -> None:
        """Delete messages and absent members that are too old. Raise `NotStored`."""
        for member_id in (await self.retention.drop_old()).members:
            self.members.forget(member_id)
            self._progress.pop(member_id, None)
        await self.retention.mark()  # last: it fails on a full disk, and the deletions free space

    def _retry_delivery(self, member: Member) -> None:
        """Resume the delivery to a member that was present when the server stopped."""
        if member.callback is None:
            return
        try:
            url, caller = parse_callback(member.callback), literal_address(member.caller)
        except CallbackProblem as problem:  # another version may have accepted it
            logs.client.warning("Cannot deliver to %s until it registers again: its callback %s", member.id, problem)
        else:
            self._start_delivery(member, self.callbacks.to(url, caller, member.id))

    def _member_lock(self, member_id: str) -> asyncio.Lock:
        return self._member_locks.setdefault(member_id, asyncio.Lock())

    def _is_locked(self, member_id: str) -> bool:
        lock = self._member_locks.get(member_id)
        return lock is not None and lock.locked()

    def _is_silent(self, member: Member) -> bool:
        active_at = self._progress[member.id].active_at
        return member.id not in self.deliveries and active_at < self.clock.monotonic() - SILENT_SECONDS

    async def _store_present(self, member: Member, after: int | None) -> int:
        """Store a member, with a notice unless it is present under this name. Return the newest `seq`."""
        known = self.members.get(member.id)
        if known is not None and known.present and known.name == member.name:
            await self._store(member, after)
            logs.client.info("User %s (ID: %s) is back from %s", member.name, member.id, _where(member))
            return self.log.newest
        if known is not None and known.present:
            return await self._announce_rename(known, member, after)
        newest = await self._announce(_notice(member, "join", "joined the chat", self.clock.unix()), member, after)
        logs.join.info("User %s (ID: %s) joined the chat from %s", member.name, member.id, _where(member))
        return newest

    async def _leave(self, member_id: str, leaving: Leaving) -> None:
        member = self.members.get(member_id)
        if member is None or not member.present:
            return
        now, is_kicked = self.retention.now(), leaving is Leaving.KICKED
        # The response to Register may be lost: a member without its token could not come back for a kept name.
        keep_seconds = self._keep_name_seconds if self._progress[member_id].has_token else 0.0
        held = held_until(member, leaving, now, keep_seconds)
        gone = msgspec.structs.replace(member, present=False, changed_at=now, name_held_until=held, kicked=is_kicked)
        note = UNREACHABLE_NOTE if leaving is Leaving.EVICTED else ""
        await self._announce(_notice(gone, "leave", f"left the chat{note}", self.clock.unix()), gone)
        logs.leave.info("User %s (ID: %s) left the chat%s", gone.name, gone.id, KICKED_NOTE if is_kicked else note)
        self._cut_delivery(member_id)

    async def _on_gone(self, delivery: Delivery, evicted: bool) -> None:
        member_id = delivery.member.id
        async with self._member_lock(member_id):
            # A member that came back with its token while this delivery gave up has a new delivery.
            if self.deliveries.get(member_id) is delivery:
                await self._leave(member_id, Leaving.EVICTED if evicted else Leaving.GONE)

    def _start_delivery(self, member: Member, callback: Callback) -> None:
        cursor, now = self._progress[member.id].cursor, self.clock.monotonic()
        outbox = Outbox(member.id, cursor, member.max_batch, self._evict_after, now)
        delivery = Delivery(member, outbox, callback, self.delivery_context, self._on_gone)
        self.deliveries[member.id] = delivery
        delivery.start()

    def _cut_delivery(self, member_id: str) -> None:
        delivery = self.deliveries.pop(member_id, None)
        if delivery is not None:
            progress = self._progress[member_id]
            progress.cursor = delivery.outbox.cursor
            progress.passed_over += delivery.outbox.given_up
            delivery.cut()

    async def _announce_rename(self, before: Member, after: Member, cursor: int | None = None) -> int:
        newest = await self._announce(_rename_notice(before, after, self.clock.unix()), after, cursor)
        logs.client.info("User %s (ID: %s) is now %s", before.name, before.id, after.name)
        return newest

    async def _announce(self, notice: Draft, member: Member, cursor: int | None = None) -> int:
        """Store a notice and the changed member in one write; return the notice's `seq`."""
        appended = await self._append(notice, member, cursor)
        self.members.put(member)
        return appended.entry.seq

    async def _store(self, member: Member, cursor: int | None) -> None:
        try:
            await self.log.put_member(member, cursor)
        except LogError as error:
            raise self._refusal(error) from None
        self._trouble = ""
        self.members.put(member)

    async def _append(self, draft: Draft, member: Member | None = None, cursor: int | None = None) -> Appended:
        try:
            appended = await self.log.append(draft, member, cursor)
        except LogError as error:
            raise self._refusal(error) from None
        self._trouble = ""
        return appended

    def _name_taken(self, held: float | None) -> ContractError:
        """Return the error for a name that is taken, until `held` on the store clock if its owner is away."""
        if held is None:
            return ContractError(ErrorCode.TAKEN, {"field": "name"})
        wait = math.ceil((held - self.retention.now()) * 1000)
        return ContractError(ErrorCode.TAKEN, {"field": "name", "retry_after_ms": max(wait, 1)})

    def _refusal(self, error: LogError) -> Exception:
        """Return the error of the contract for an error of the log."""
        match error:
            case Conflict(field="name"):
                return self._name_taken(error.held_until)
            case Conflict():
                return ContractError(ErrorCode.TAKEN, {"field": error.field})
            case MessageIdReused():
                problem = f"has been used for another text, which is stored as message {error.seq}; use a new one"
                return invalid_params("client_msg_id", problem, seq=error.seq)
            case SenderAway():
                return ContractError(ErrorCode.AWAY)
            case NotStored():
                if self._trouble != str(error):  # log a full disk once, not for every request
                    self._trouble = str(error)
                    logs.server.error("Not stored: %s", error)
                return ContractError(ErrorCode.NOT_STORED)
        return error


def _where(member: Member) -> str:
    return member.callback or member.caller


def _notice(member: Member, event: str, did: str, now: float) -> Draft:
    return Draft(sender_id=member.id, sender_name=member.name, text=f"{member.name} {did}", at=now, event=event)


def _rename_notice(before: Member, after: Member, now: float) -> Draft:
    text = f"{before.name} is now {after.name}"
    return Draft(sender_id=after.id, sender_name=after.name, text=text, at=now, event="rename")
