"""The room: who comes, speaks and goes. Every change is in the log first, then in the members, then on its way."""

import asyncio
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from protocol.errors import ContractError, ErrorCode, invalid_params
from protocol.messages import ReceiveTypingParams
from protocol.methods import LOBBY, RECEIVE_TYPING
from server import journal
from server.callbacks.callback import Callback, Callbacks
from server.clock import Clock
from server.core.callback_url import CallbackProblem, literal_address, parse_callback
from server.core.entry import Draft
from server.core.members import SILENT_SECONDS, Leaving, Member, Members, held_until
from server.core.outbox import Outbox
from server.delivery import Delivery, Fanout
from server.message_log.base import Appended, LogError, MessageIdReused, MessageLog, NotStored, SenderAway, Taken
from server.retention import Retention

UNREACHABLE_NOTE: Final = " (unreachable)"
KICKED_NOTE: Final = " (removed by an operator)"  # for the log; the others are only told that somebody left


def hash_token(token: str) -> bytes:
    """Give what is kept of a token. It has 256 random bits, so that one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def removed() -> ContractError:
    """Give what one is told whom an operator has removed."""
    detail = "an operator has removed you from this chat"
    return ContractError(ErrorCode.UNAUTHORIZED, {"kicked": True, "detail": detail})


@dataclass(slots=True)
class Standing:
    """What the room itself keeps of a member: how far it is, while nothing is delivered, and when it was last heard.

    `saved_cursor` is the cursor that the log has. `heard_at` is on the monotonic clock. `passed_over` counts the
    messages that earlier deliveries passed over. `has_token`: a call has shown that the member received its token.
    """

    cursor: int
    saved_cursor: int
    heard_at: float
    passed_over: int = 0
    has_token: bool = False


class Room:
    """One room over one log. Methods that change a member take turns for that member.

    That calls of the log return in the order in which they took effect is relied on here: what the log has last is what
    the members and their standings are set to last.
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
        """Begin empty; `open` brings back who was here."""
        self.log = log
        self.retention = retention
        self.members = Members()
        self.deliveries: dict[str, Delivery] = {}
        self.callbacks = callbacks
        self.clock = clock
        self.fanout = Fanout(log, clock)
        self._evict_after = evict_after
        self._keep_name_seconds = keep_name_seconds
        self._log_texts = log_texts
        self._standings: dict[str, Standing] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._trouble = ""  # why nothing could be stored last; empty when it could

    def __repr__(self) -> str:
        return f"<Room {self.members!r} deliveries={len(self.deliveries)} newest={self.log.newest}>"

    async def open(self) -> None:
        """Take over from the log who was here, and go on delivering. Raises `Unreadable`."""
        now = self.clock.monotonic()
        for member, cursor in await self.log.members():
            self.members.put(member)
            self._standings[member.id] = Standing(cursor, cursor, now, has_token=True)
        if self.log.gaps and self.log.gaps[-1].up_to == self.log.newest:
            restored = "The log was restored from a backup, which ends with message %d; the next message is %d"
            journal.server.info(restored, self.log.gaps[-1].after, self.log.newest + 1)
        elif self.members.present_count:
            here = "Going on after message %d, with %d still in the room"
            journal.server.info(here, self.log.newest, self.members.present_count)
        for member in self.members.present():
            self._ring_again(member)

    async def close(self) -> None:
        """Let every POST in flight finish. Nobody is told "left"."""
        await asyncio.gather(*(delivery.finish() for delivery in self.deliveries.values()))

    async def abandon(self) -> None:
        """Drop what is still in flight, and save how far everybody is."""
        for delivery in self.deliveries.values():
            delivery.cut()
        try:
            await self.save_cursors()
        except LogError as error:
            journal.server.warning("Not saved how far everybody is, so that some will get messages twice: %s", error)

    def cursor_of(self, member_id: str) -> int:
        """Give the last `seq` that a member has acknowledged."""
        delivery = self.deliveries.get(member_id)
        return self._standings[member_id].cursor if delivery is None else delivery.outbox.cursor

    def passed_over_of(self, member_id: str) -> int:
        """Count the messages that were passed over because this member refused them too often."""
        delivery = self.deliveries.get(member_id)
        return self._standings[member_id].passed_over + (delivery.outbox.passed_over if delivery is not None else 0)

    def heard(self, member: Member) -> None:
        """Note a call by a member."""
        standing = self._standings[member.id]
        standing.heard_at, standing.has_token = self.clock.monotonic(), True
        if delivery := self.deliveries.get(member.id):
            delivery.outbox.heard(self.clock.monotonic())

    async def behind(self, members: Sequence[Member]) -> Mapping[str, int]:
        """Count for each of these members that has a callback the messages for it that it has not acknowledged."""
        newest, oldest = self.log.newest, self.log.oldest
        cursors = {member.id: self.cursor_of(member.id) for member in members if member.callback is not None}
        late = {key: max(cursor, oldest - 1) for key, cursor in cursors.items() if cursor < newest}
        own = await self.log.count_own(late) if late else {}
        return {key: max(0, self.log.count(late[key], newest) - own[key]) if key in late else 0 for key in cursors}

    async def enter(self, member: Member, callback: Callback | None, after: int | None) -> None:
        """Let a newcomer in, or one with its token back in, from now on rung at `callback`.

        Raises -32001, -32003, -32010.
        """
        async with self._turn(member.id):
            if (known := self.members.get(member.id)) is not None and known.kicked:
                raise removed()
            begin = await self._let_in(member, after)
            # The log has it: from here on nothing may fail, or somebody would be present whom nobody rings.
            now = self.clock.monotonic()
            standing = self._standings.setdefault(member.id, Standing(begin, begin, now))
            standing.heard_at, standing.has_token = now, known is not None
            self._cut_delivery(member.id)
            if after is not None:
                standing.cursor = standing.saved_cursor = after
            if callback is not None:
                self._start_delivery(member, callback)

    async def leave(self, member_id: str, *, keep_name: bool) -> None:
        """Make a member away and tell the others, if it is still here. Raises -32010."""
        async with self._turn(member_id):
            await self._leave(member_id, Leaving.UNREGISTERED_KEEPING_NAME if keep_name else Leaving.UNREGISTERED)

    async def kick(self, member_id: str) -> None:
        """Make a member away for good: its token is of no use any more. Raises -32010."""
        async with self._turn(member_id):
            member = self.members.get(member_id)
            if member is not None and member.present:
                await self._leave(member_id, Leaving.KICKED)
            elif member is not None:
                await self._store(msgspec.structs.replace(member, kicked=True, name_held_until=0.0), None)

    async def release(self, member_id: str) -> None:
        """Let others have the name of a member that is away. Raises -32010."""
        async with self._turn(member_id):
            member = self.members.get(member_id)
            if member is not None and not member.present:
                await self._store(msgspec.structs.replace(member, name_held_until=0.0), None)
                journal.client.info("The name of User %s (ID: %s) was released by an operator", member.name, member.id)

    def check_name(self, name: str, member_id: str | None) -> None:
        """Raise -32003 when the name belongs to another member than `member_id`."""
        if holder := self.holder_of(name, member_id):
            raise self._name_taken(None if holder.present else holder.name_held_until)

    def holder_of(self, name: str, member_id: str | None = None) -> Member | None:
        """Find who else than `member_id` has a name now, present or away."""
        return self.members.other_called(name, member_id, self.retention.now())

    async def rename(self, member_id: str, name: str) -> None:
        """Give a member another name. Raises -32002, -32003, -32010."""
        async with self._turn(member_id):
            member = self.members.get(member_id)
            if member is None or not member.present:
                raise ContractError(ErrorCode.AWAY)
            if member.name != name:
                renamed = msgspec.structs.replace(member, name=name, changed_at=self.retention.now())
                await self._announce_rename(member, renamed)

    async def say(self, member: Member, text: str, client_msg_id: str | None) -> Appended:
        """Store what a member says. Raises -32002, -32602, -32010."""
        draft = Draft(
            sender_id=member.id,
            sender_name=member.name,
            text=text,
            at=self.clock.unix(),
            client_msg_id=client_msg_id,
        )
        appended = await self._append(draft)
        if not appended.repeated:
            journal.broadcast.info("%s: %s", member.name, text if self._log_texts else f"({len(text)} characters)")
        return appended

    def typing(self, member: Member) -> None:
        """Tell those who want to know that a member is writing."""
        params = ReceiveTypingParams(sender_id=member.id, sender_name=member.name, room=LOBBY)
        notification = msgspec.json.encode({"jsonrpc": "2.0", "method": RECEIVE_TYPING, "params": params})
        for delivery in self.deliveries.values():
            if RECEIVE_TYPING in delivery.member.accepts and delivery.member.id != member.id:
                delivery.show_typing(notification)

    async def dismiss_silent(self) -> None:
        """Make those away whom nobody rings, for want of a callback, and who have not called for ten minutes."""
        for member in [member for member in self.members.present() if self._is_silent(member)]:
            async with self._turn(member.id):
                now = self.members.get(member.id)
                if now is not None and self._is_silent(now):  # it may have come back while others had their turn
                    await self._leave(member.id, Leaving.SILENT)

    async def save_cursors(self) -> None:
        """Put into the log how far everybody is, as far as it has changed. Raises `NotStored`."""
        cursors = {member_id: self.cursor_of(member_id) for member_id in self._standings}
        changed = {
            key: cursor
            for key, cursor in cursors.items()
            # Whoever has its turn may just be given another cursor, which this one must not undo.
            if self._standings[key].saved_cursor != cursor and not self._has_turn(key)
        }
        if not changed:
            return
        await self.log.save_cursors(changed)
        for member_id, cursor in changed.items():
            if standing := self._standings.get(member_id):
                standing.saved_cursor = cursor

    async def drop_old(self) -> None:
        """Drop messages and absent members that are too old. Raises `NotStored`."""
        for member_id in (await self.retention.drop_old()).members:
            self.members.forget(member_id)
            self._standings.pop(member_id, None)
        await self.retention.mark()  # last: on a full disk it fails, and what was dropped makes room

    def _ring_again(self, member: Member) -> None:
        """Go on delivering to somebody who was here before the server was started again."""
        if member.callback is None:
            return
        try:
            url, caller = parse_callback(member.callback), literal_address(member.caller)
        except CallbackProblem as problem:  # another version may have let it pass
            journal.client.warning("%s cannot be rung until it registers again: its callback %s", member.id, problem)
        else:
            self._start_delivery(member, self.callbacks.to(url, caller, member.id))

    def _turn(self, member_id: str) -> asyncio.Lock:
        return self._turns.setdefault(member_id, asyncio.Lock())

    def _has_turn(self, member_id: str) -> bool:
        turn = self._turns.get(member_id)
        return turn is not None and turn.locked()

    def _is_silent(self, member: Member) -> bool:
        heard_at = self._standings[member.id].heard_at
        return member.id not in self.deliveries and heard_at < self.clock.monotonic() - SILENT_SECONDS

    async def _let_in(self, member: Member, after: int | None) -> int:
        """Store somebody who comes (back), with the notice that the others get, if any; gives the newest `seq`."""
        known = self.members.get(member.id)
        if known is not None and known.present and known.name == member.name:
            await self._store(member, after)
            journal.client.info("User %s (ID: %s) is back from %s", member.name, member.id, _where(member))
            return self.log.newest
        if known is not None and known.present:
            return await self._announce_rename(known, member, after)
        newest = await self._announce(_notice(member, "join", "joined the chat", self.clock.unix()), member, after)
        journal.join.info("User %s (ID: %s) joined the chat from %s", member.name, member.id, _where(member))
        return newest

    async def _leave(self, member_id: str, leaving: Leaving) -> None:
        member = self.members.get(member_id)
        if member is None or not member.present:
            return
        now, is_kicked = self.retention.now(), leaving is Leaving.KICKED
        # The response to Register may be lost: nobody could come back for the name of a member without a token.
        keep_seconds = self._keep_name_seconds if self._standings[member_id].has_token else 0.0
        held = held_until(member, leaving, now, keep_seconds)
        gone = msgspec.structs.replace(member, present=False, changed_at=now, name_held_until=held, kicked=is_kicked)
        note = UNREACHABLE_NOTE if leaving is Leaving.EVICTED else ""
        await self._announce(_notice(gone, "leave", f"left the chat{note}", self.clock.unix()), gone)
        journal.leave.info("User %s (ID: %s) left the chat%s", gone.name, gone.id, KICKED_NOTE if is_kicked else note)
        self._cut_delivery(member_id)

    async def _farewell(self, delivery: Delivery, evicted: bool) -> None:
        member_id = delivery.member.id
        async with self._turn(member_id):
            # Somebody who came back with its token while this delivery gave up has a new one.
            if self.deliveries.get(member_id) is delivery:
                await self._leave(member_id, Leaving.EVICTED if evicted else Leaving.GONE)

    def _start_delivery(self, member: Member, callback: Callback) -> None:
        cursor, now = self._standings[member.id].cursor, self.clock.monotonic()
        outbox = Outbox(member.id, cursor, member.max_batch, self._evict_after, now)
        delivery = Delivery(member, outbox, callback, self.fanout, self._farewell)
        self.deliveries[member.id] = delivery
        delivery.start()

    def _cut_delivery(self, member_id: str) -> None:
        delivery = self.deliveries.pop(member_id, None)
        if delivery is not None:
            standing = self._standings[member_id]
            standing.cursor = delivery.outbox.cursor
            standing.passed_over += delivery.outbox.given_up
            delivery.cut()

    async def _announce_rename(self, before: Member, after: Member, cursor: int | None = None) -> int:
        newest = await self._announce(_rename_notice(before, after, self.clock.unix()), after, cursor)
        journal.client.info("User %s (ID: %s) is now %s", before.name, before.id, after.name)
        return newest

    async def _announce(self, notice: Draft, member: Member, cursor: int | None = None) -> int:
        """Store a notice together with the member as it is from now on; gives the notice's `seq`."""
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
        """Give what is told of a name that another has, or has until `held` on the store clock."""
        if held is None:
            return ContractError(ErrorCode.TAKEN, {"field": "name"})
        wait = math.ceil((held - self.retention.now()) * 1000)
        return ContractError(ErrorCode.TAKEN, {"field": "name", "retry_after_ms": max(wait, 1)})

    def _refusal(self, error: LogError) -> Exception:
        """Say in the words of the contract what the log refused."""
        match error:
            case Taken(field="name"):
                return self._name_taken(error.held_until)
            case Taken():
                return ContractError(ErrorCode.TAKEN, {"field": error.field})
            case MessageIdReused():
                problem = f"has been used for another text, which is stored as message {error.seq}; give a new one"
                return invalid_params("client_msg_id", problem, seq=error.seq)
            case SenderAway():
                return ContractError(ErrorCode.AWAY)
            case NotStored():
                if self._trouble != str(error):  # a full disk is told once, not for every call
                    self._trouble = str(error)
                    journal.server.error("Not stored: %s", error)
                return ContractError(ErrorCode.NOT_STORED)
        return error


def _where(member: Member) -> str:
    return member.callback or member.caller


def _notice(member: Member, event: str, did: str, now: float) -> Draft:
    return Draft(sender_id=member.id, sender_name=member.name, text=f"{member.name} {did}", at=now, event=event)


def _rename_notice(before: Member, after: Member, now: float) -> Draft:
    text = f"{before.name} is now {after.name}"
    return Draft(sender_id=after.id, sender_name=after.name, text=text, at=now, event="rename")
