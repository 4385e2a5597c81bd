"""The log engine without a file: it keeps all entries in memory and loses them with the process."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence

from server.chat.members import Member, Members
from server.chat.store_clock import DAY, Mark
from server.message_log.base import Appended, Conflict, Forgotten, MessageIdReused, MessageLog, SenderAway
from server.message_log.entry import Draft, Entry, EntryRun, make_entry


class MemoryLog(MessageLog):
    """Keeps all entries in memory. No method suspends, so that each call is atomic."""

    def __init__(self, epoch: str) -> None:
        super().__init__(epoch)
        self._entries = EntryRun(self.oldest)
        self._members = Members()
        self._cursors: dict[str, int] = {}
        self._by_message_id: dict[tuple[str, str], int] = {}
        self._seqs_of: defaultdict[str, list[int]] = defaultdict(list)
        self._marks: list[Mark] = []

    def __repr__(self) -> str:
        return f"<MemoryLog {self.epoch} {self.oldest}..{self.newest} {self._members!r}>"

    async def append(self, draft: Draft, member: Member | None = None, cursor: int | None = None) -> Appended:
        if (earlier := self._find(draft)) is not None:
            return Appended(earlier, repeated=True)
        entry = make_entry(draft, self.newest + 1, self.epoch)
        if member is None:
            self._check_present(draft.sender_id)
        else:
            self._store(member, cursor)
            self._cursors.setdefault(member.id, entry.seq)
        self._entries.append(entry)
        self._seqs_of[draft.sender_id].append(entry.seq)
        if draft.client_msg_id is not None:
            self._by_message_id[draft.sender_id, draft.client_msg_id] = entry.seq
        self._grow_to(entry.seq)
        return Appended(entry, repeated=False)

    async def put_member(self, member: Member, cursor: int | None = None) -> None:
        self._store(member, cursor)
        self._cursors.setdefault(member.id, self.newest)

    async def members(self) -> Sequence[tuple[Member, int]]:
        return [(member, self._cursors[member.id]) for member in self._members]

    async def save_cursors(self, cursors: Mapping[str, int]) -> None:
        self._cursors.update((key, cursor) for key, cursor in cursors.items() if self._members.get(key))

    async def read_after(self, seq: int, limit: int) -> Sequence[Entry]:
        return self._entries.after(seq, limit)

    def recent_after(self, seq: int, limit: int) -> Sequence[Entry]:
        """Return the same as `read_after`: all entries are in memory."""
        return self._entries.after(seq, limit)

    async def read_before(self, seq: int, limit: int) -> Sequence[Entry]:
        return self._entries.before(seq, limit)

    async def count_own(self, after: Mapping[str, int]) -> Mapping[str, int]:
        return {sender_id: self._count(sender_id, seq) for sender_id, seq in after.items()}

    async def mark(self, at: float, wall: float) -> None:
        self._marks.append(Mark(at, wall, self.newest))

    async def recent_marks(self) -> Sequence[Mark]:
        return [mark for mark in self._marks if mark.at >= self._marks[-1].at - DAY]

    async def forget_before(self, at: float) -> Forgotten:
        dropped = self._drop_before(at)
        gone = [member.id for member in self._members.away_since_before(at)]
        for member_id in gone:
            self._members.forget(member_id)
            self._cursors.pop(member_id, None)
        return Forgotten(dropped, gone)

    async def close(self) -> None:
        """Do nothing: the log holds no resources."""

    def _find(self, draft: Draft) -> Entry | None:
        if draft.client_msg_id is None:
            return None
        seq = self._by_message_id.get((draft.sender_id, draft.client_msg_id))
        if seq is None:
            return None
        [earlier] = self._entries.after(seq - 1, 1)
        if earlier.message.text != draft.text:
            raise MessageIdReused(draft, seq)
        return earlier

    def _store(self, member: Member, cursor: int | None) -> None:
        self._check_claims(member)
        self._members.put(member)
        if cursor is not None:
            self._cursors[member.id] = cursor

    def _check_claims(self, member: Member) -> None:
        known = self._members.get(member.id)
        if known is not None and known.token_hash != member.token_hash:
            raise Conflict("id")
        if member.present and (holder := self._members.other_called(member.name, member.id, member.changed_at)):
            raise Conflict("name", None if holder.present else holder.name_held_until)

    def _check_present(self, sender_id: str) -> None:
        sender = self._members.get(sender_id)
        if sender is not None and not sender.present:
            raise SenderAway(f"{sender_id} is away")

    def _count(self, sender_id: str, after: int) -> int:
        seqs = self._seqs_of.get(sender_id, [])
        return len(seqs) - bisect_right(seqs, after)

    def _drop_before(self, at: float) -> int:
        old = sum(mark.at < at for mark in self._marks)
        if not old:
            return 0
        newest_old = self._marks[old - 1]
        del self._marks[: old - 1]
        dropped = [entry.message for entry in self._entries.drop_to(newest_old.seq + 1)]
        self.oldest = next((entry.seq for entry in self._entries.after(0, 1)), self.newest + 1)
        for message in dropped:
            if isinstance(message.client_msg_id, str):
                self._by_message_id.pop((message.sender_id, message.client_msg_id), None)
        for sender_id in {message.sender_id for message in dropped}:
            seqs = self._seqs_of[sender_id]
            del seqs[: bisect_right(seqs, newest_old.seq)]
            if not seqs:
                del self._seqs_of[sender_id]
        return len(dropped)
