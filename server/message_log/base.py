"""What every engine of the log promises.

A message has its place (`seq`, from 1, each one higher by one but for the gaps that restored backups leave, see
`server.core.numbering`) when `append` returns, and not before; from then on it is there for every reader, and a notice
is there together with the change of the member that it tells of. Calls may overlap; each is atomic, and those that
store take effect, and return, in the order in which they were made. A call that is cancelled may still take effect.
What raises has changed nothing.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from server.core.entry import Draft, Entry
from server.core.members import Member
from server.core.numbering import Gap, count_entries
from server.core.store_clock import Mark


class LogError(Exception):
    """The log did not do what it was asked."""


class Taken(LogError):
    """The member's `id` or `name` (see `field`) is another's by now. Nothing was stored.

    `held_until` is given for a name whose owner is away: until then, on the store clock, it is kept.
    """

    def __init__(self, field: str, held_until: float | None = None) -> None:
        """Say which field it is."""
        super().__init__(f"{field} is taken")
        self.field = field
        self.held_until = held_until


class MessageIdReused(LogError):
    """The sender has used the `client_msg_id` for another text, which is stored as `seq`. Nothing was stored."""

    def __init__(self, draft: Draft, seq: int) -> None:
        """Take the refused draft, and where the other text is."""
        super().__init__(f"{draft.sender_id} has sent another text as {draft.client_msg_id}: message {seq}")
        self.seq = seq


class SenderAway(LogError):
    """The sender of a text has left: nobody speaks behind the notice that it is gone. Nothing was stored."""


class NotStored(LogError):
    """The engine could not store it (`str()` says why, for the server's own log). Nothing was stored.

    Only if the disk itself failed, and the server was killed right after, it may turn out to be stored nevertheless.
    """


class Unreadable(LogError):
    """The engine could not read (`str()` says why, for the server's own log)."""


class StoreUnusable(LogError):
    """What is to be opened cannot be used as a log; `str()` is the sentence that the operator reads."""


class Appended(NamedTuple):
    """The stored entry; `repeated` when the same `client_msg_id` and text had been stored before."""

    entry: Entry
    repeated: bool


class Forgotten(NamedTuple):
    """What was dropped: how many entries, and the members by their ids."""

    entries: int
    members: Sequence[str]


class MessageLog(ABC):
    """One log for all rooms, with the members and their cursors beside it."""

    epoch: str
    """Random, made with the log: a `seq` means something only together with it."""
    newest: int
    """The highest `seq` that was stored, or left out by a gap; 0 in a new log. It moves only after the commit."""
    oldest: int
    """The lowest `seq` that is kept; `newest` + 1 when none is."""
    gaps: Sequence[Gap]
    """The numbers that no entry has, in order."""

    def __init__(self, epoch: str, newest: int = 0, oldest: int = 1, gaps: Sequence[Gap] = ()) -> None:
        """Stand where the stored log stands."""
        self.epoch = epoch
        self.newest = newest
        self.oldest = oldest
        self.gaps = gaps
        self._grown = asyncio.Event()

    @abstractmethod
    async def append(self, draft: Draft, member: Member | None = None, cursor: int | None = None) -> Appended:
        """Store a message and, in the same step, the member as it is from then on, and its cursor if one is given.

        A new member for whom none is given begins at this `seq`. Raises `Taken` when the member's id belongs to another
        token, or its name to somebody else at `changed_at` (see `Members.other_called`); `SenderAway` when there is no
        member and the sender is one who is away; `MessageIdReused`; `NotStored`.
        """

    @abstractmethod
    async def put_member(self, member: Member, cursor: int | None = None) -> None:
        """Store a member that has changed without a notice, and its cursor if one is given. Raises as `append`."""

    @abstractmethod
    async def members(self) -> Sequence[tuple[Member, int]]:
        """List all members, present and away, each with its cursor. Raises `Unreadable`."""

    @abstractmethod
    async def save_cursors(self, cursors: Mapping[str, int]) -> None:
        """Store how far these members are; unknown ids are passed over. Raises `NotStored`."""

    @abstractmethod
    async def read_after(self, seq: int, limit: int) -> Sequence[Entry]:
        """Read the oldest `limit` entries above `seq`, oldest first. Raises `Unreadable`."""

    @abstractmethod
    def recent_after(self, seq: int, limit: int) -> Sequence[Entry] | None:
        """Give what `read_after` gives, at once, or None when it has to be read from somewhere."""

    @abstractmethod
    async def read_before(self, seq: int, limit: int) -> Sequence[Entry]:
        """Read the newest `limit` entries below `seq`, oldest first. Raises `Unreadable`."""

    @abstractmethod
    async def count_own(self, after: Mapping[str, int]) -> Mapping[str, int]:
        """Count for each sender its own entries above the `seq` that is given with it. Raises `Unreadable`."""

    @abstractmethod
    async def mark(self, at: float, wall: float) -> None:
        """Note that all entries so far were stored before `at` on the store clock (see `Mark`). Raises `NotStored`."""

    @abstractmethod
    async def recent_marks(self) -> Sequence[Mark]:
        """Give the marks of the last day before the newest one, and that one, oldest first. Raises `Unreadable`."""

    @abstractmethod
    async def forget_before(self, at: float) -> Forgotten:
        """Drop what is older than `at` on the store clock.

        That is: entries up to the newest mark before `at`, in portions if they are many, and all marks before that one;
        members who are away since before `at`, last and at once. Raises `NotStored`; then some may have gone.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish what is under way; afterwards nothing may be called."""

    def count(self, after: int, up_to: int) -> int:
        """Count the entries that were stored above `after`, up to and including `up_to`, whether or not they are kept.

        Nothing else derives a count from a `seq`.
        """
        return count_entries(after, up_to, self.gaps)

    async def wait_beyond(self, seq: int) -> None:
        """Return as soon as `newest` is above `seq`."""
        while self.newest <= seq:
            await self._grown.wait()

    def _grow_to(self, newest: int) -> None:
        """Let everybody who waits know that so much is stored; for engines, on the thread of the loop."""
        self.newest = newest
        self._grown.set()
        self._grown = asyncio.Event()
