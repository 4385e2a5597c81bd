"""The contract of every log engine.

`append` assigns the `seq`: it starts at 1 and increases by 1, except for the gaps of restored backups (see
`numbering`). An entry is visible to every reader from the return of `append` on, not earlier. A notice becomes visible
together with the change of its member. Calls may overlap, and each call is atomic. Calls that store take effect, and
return, in the order in which they were made. A cancelled call may still take effect. A call that raises has changed
nothing.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from server.chat.members import Member
from server.chat.store_clock import Mark
from server.message_log.entry import Draft, Entry
from server.message_log.numbering import Gap, count_entries


class LogError(Exception):
    """Base class: the log could not carry out a call."""


class Conflict(LogError):
    """The member's `id` or `name` (see `field`) belongs to another member. Nothing was stored.

    `held_until` is not None for a name whose owner is away: the store clock time until which the name is reserved.
    """

    def __init__(self, field: str, held_until: float | None = None) -> None:
        super().__init__(f"{field} is taken")
        self.field = field
        self.held_until = held_until


class MessageIdReused(LogError):
    """The sender has used the `client_msg_id` for a different text, which is stored as `seq`. Nothing was stored."""

    def __init__(self, draft: Draft, seq: int) -> None:
        """Describe the refused draft, and the `seq` of the stored text."""
        super().__init__(f"{draft.sender_id} has sent a different text as {draft.client_msg_id}: message {seq}")
        self.seq = seq


class SenderAway(LogError):
    """The sender has left: no message may follow the sender's own leave notice. Nothing was stored."""


class NotStored(LogError):
    """The engine could not store the data (`str()` is the cause, for the server's log). Nothing was stored.

    Exception: after a failure of the disk itself, followed by a kill of the server, the data may be stored after all.
    """


class Unreadable(LogError):
    """The engine could not read (`str()` is the cause, for the server's log)."""


class StoreUnusable(LogError):
    """The file cannot be used as a log. `str()` is the sentence that the operator reads."""


class Appended(NamedTuple):
    """The stored entry. `repeated` is true if the same `client_msg_id` and text were stored before."""

    entry: Entry
    repeated: bool


class Forgotten(NamedTuple):
    """The result of `forget_before`: the number of dropped entries, and the ids of the dropped members."""

    entries: int
    members: Sequence[str]


class MessageLog(ABC):
    """One log for all rooms, with the members and their cursors beside it."""

    epoch: str
    """Random, created with the log. A `seq` is meaningful only together with its epoch."""
    newest: int
    """The highest `seq` that was stored or is in a gap; 0 in a new log. It changes only after the commit."""
    oldest: int
    """The lowest `seq` that is kept; `newest` + 1 if the log is empty."""
    gaps: Sequence[Gap]
    """The ranges of numbers that no entry has, in order."""

    def __init__(self, epoch: str, newest: int = 0, oldest: int = 1, gaps: Sequence[Gap] = ()) -> None:
        """Start with the epoch and extent of the stored log; without arguments, with those of a new log."""
        self.epoch = epoch
        self.newest = newest
        self.oldest = oldest
        self.gaps = gaps
        self._grown = asyncio.Event()

    @abstractmethod
    async def append(self, draft: Draft, member: Member | None = None, cursor: int | None = None) -> Appended:
        """Store a message and, in the same transaction, the new state of `member` and its `cursor`, if given.

        Without `cursor`, a known member keeps its cursor, and that of a new member is the `seq` of this entry. Raise
        `Conflict` if the member's id belongs to another token, or its name to another member at `changed_at` (see
        `Members.other_called`); `SenderAway` if `member` is None and the sender is away; `MessageIdReused`;
        `NotStored`.
        """

    @abstractmethod
    async def put_member(self, member: Member, cursor: int | None = None) -> None:
        """Store a member that has changed without a notice, and its `cursor`, if given. Raise as `append` does."""

    @abstractmethod
    async def members(self) -> Sequence[tuple[Member, int]]:
        """Return all members, present and away, each with its cursor. Raise `Unreadable`."""

    @abstractmethod
    async def save_cursors(self, cursors: Mapping[str, int]) -> None:
        """Store cursors, by member id. Ignore unknown ids. Raise `NotStored`."""

    @abstractmethod
    async def read_after(self, seq: int, limit: int) -> Sequence[Entry]:
        """Return the oldest `limit` entries above `seq`, oldest first. Raise `Unreadable`."""

    @abstractmethod
    def recent_after(self, seq: int, limit: int) -> Sequence[Entry] | None:
        """Return the result of `read_after` from memory, or None if it has to be read from the disk."""

    @abstractmethod
    async def read_before(self, seq: int, limit: int) -> Sequence[Entry]:
        """Return the newest `limit` entries below `seq`, oldest first. Raise `Unreadable`."""

    @abstractmethod
    async def count_own(self, after: Mapping[str, int]) -> Mapping[str, int]:
        """Return for each sender the number of its own entries above the given `seq`. Raise `Unreadable`."""

    @abstractmethod
    async def mark(self, at: float, wall: float) -> None:
        """Store that all entries so far are older than `at` on the store clock (see `Mark`). Raise `NotStored`."""

    @abstractmethod
    async def recent_marks(self) -> Sequence[Mark]:
        """Return the newest mark and those of the day before it, oldest first. Raise `Unreadable`."""

    @abstractmethod
    async def forget_before(self, at: float) -> Forgotten:
        """Drop entries, marks and members that are older than `at` on the store clock.

        First, in portions, drop entries up to the newest mark before `at`, and all marks before that mark. Then, in one
        transaction, drop members that have been away since before `at`. Raise `NotStored`; a part may be dropped then.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish the pending calls and release the resources. No method may be called afterwards."""

    def count(self, after: int, up_to: int) -> int:
        """Return the number of entries stored above `after`, up to and including `up_to`. Dropped entries count too.

        Because of the gaps, this is the only valid way to derive a count from `seq` numbers.
        """
        return count_entries(after, up_to, self.gaps)

    async def wait_beyond(self, seq: int) -> None:
        """Return as soon as `newest` is above `seq`."""
        while self.newest <= seq:
            await self._grown.wait()

    def _grow_to(self, newest: int) -> None:
        """Set `newest` and wake all `wait_beyond` calls. For engines, on the loop's thread only."""
        self.newest = newest
        self._grown.set()
        self._grown = asyncio.Event()
