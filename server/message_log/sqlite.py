"""The durable log engine: an SQLite file, a thread that writes in groups, and a thread that reads older entries."""

import asyncio
import functools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from server.chat.members import Member
from server.chat.store_clock import Mark
from server.message_log import statements
from server.message_log.base import Appended, Forgotten, MessageLog, StoreUnusable, Unreadable
from server.message_log.entry import Draft, Entry, EntryRun
from server.message_log.group_commit import GroupCommit
from server.message_log.store_file import StoreFile, open_store

T = TypeVar("T")

# Limits of the newest entries in memory, by number and by bytes. Deliveries to recipients that keep up read only these
# entries; deliveries that are further behind read the file.
RECENT_ENTRIES: Final = 2048
RECENT_BYTES: Final = 8 * 1024 * 1024


class SqliteLog(MessageLog):
    """A log in a file. Create instances with `open`."""

    def __init__(self, file: StoreFile, extent: statements.Extent, recent: Sequence[Entry] = ()) -> None:
        """Own the open `file`, with its `extent` and its newest entries `recent`."""
        super().__init__(*extent)
        self._file = file
        self._writer = GroupCommit(file.writer, file.check_in_place)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="message log reader")
        # Created once, because `GroupCommit` batches adjacent jobs whose `work` is the same object.
        self._say = functools.partial(statements.say, epoch=self.epoch)
        self._recent = EntryRun(recent[0].seq if recent else self.newest + 1)
        self._recent_bytes = 0
        for entry in recent:
            self._keep(entry)

    @classmethod
    async def open(cls, path: Path, new_epoch: str, now: float) -> "SqliteLog":
        """Open the log in a file, or create the file. Raise `StoreUnusable`.

        A new or restored log gets the epoch `new_epoch`. `now`, in Unix seconds, determines where the numbers of a
        restored log continue.
        """
        return cls(*await asyncio.to_thread(_open, path, new_epoch, now))

    def __repr__(self) -> str:
        return f"<SqliteLog {self.epoch} {self.oldest}..{self.newest} recent={self._recent!r}>"

    async def append(self, draft: Draft, member: Member | None = None, cursor: int | None = None) -> Appended:
        if member is None:
            return await self._writer.store_together(self._say, draft, self._note)
        announce = functools.partial(statements.announce, notice=draft, member=member, cursor=cursor, epoch=self.epoch)
        return await self._writer.store(announce, self._note)

    async def put_member(self, member: Member, cursor: int | None = None) -> None:
        await self._writer.store(lambda db: statements.put_member(db, member, cursor))

    async def members(self) -> Sequence[tuple[Member, int]]:
        return await self._read(statements.read_members)

    async def save_cursors(self, cursors: Mapping[str, int]) -> None:
        given = dict(cursors)
        await self._writer.store(lambda db: statements.save_cursors(db, given))

    async def read_after(self, seq: int, limit: int) -> Sequence[Entry]:
        if (recent := self.recent_after(seq, limit)) is not None:
            return recent
        newest = self.newest
        return await self._read(lambda db: statements.read_after(db, seq, newest, limit, self.epoch))

    def recent_after(self, seq: int, limit: int) -> Sequence[Entry] | None:
        return self._recent.after(seq, limit) if max(seq + 1, self.oldest) >= self._recent.first else None

    async def read_before(self, seq: int, limit: int) -> Sequence[Entry]:
        end = min(seq, self.newest + 1)
        recent = self._recent.before(end, limit)
        if len(recent) == limit or self._recent.first <= self.oldest:
            return recent
        return await self._read(lambda db: statements.read_before(db, end, limit, self.epoch))

    async def count_own(self, after: Mapping[str, int]) -> Mapping[str, int]:
        given, newest = dict(after), self.newest
        return await self._read(lambda db: statements.count_own(db, given, newest))

    async def mark(self, at: float, wall: float) -> None:
        await self._writer.store(lambda db: statements.mark(db, at, wall))

    async def recent_marks(self) -> Sequence[Mark]:
        return await self._read(statements.read_recent_marks)

    async def forget_before(self, at: float) -> Forgotten:
        dropped, more = 0, True
        while more:
            portion = await self._writer.store(lambda db: statements.forget_messages(db, at), self._note_oldest)
            dropped, more = dropped + portion.dropped, portion.more
        return Forgotten(dropped, await self._writer.store(lambda db: statements.forget_members(db, at)))

    async def close(self) -> None:
        """Finish the pending writes and reads, then close the file."""
        await self._writer.close()
        await asyncio.to_thread(self._reader.shutdown)
        await asyncio.to_thread(self._file.close)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, work, self._file.reader)
        except sqlite3.Error as error:
            raise Unreadable(str(error)) from None

    def _note(self, appended: Appended) -> None:
        if not appended.repeated:
            self._keep(appended.entry)
            self._grow_to(appended.entry.seq)

    def _keep(self, entry: Entry) -> None:
        self._recent.append(entry)
        self._recent_bytes += len(entry.request)
        if len(self._recent) > 2 * RECENT_ENTRIES or self._recent_bytes > 2 * RECENT_BYTES:
            self._trim()

    def _trim(self) -> None:
        """Shrink to the limits. Runs at twice the limits, so that a new entry does not always cost a full walk."""
        first, count = self._recent.first, len(self._recent)
        for entry in self._recent.after(0, count):
            if count <= RECENT_ENTRIES and self._recent_bytes <= RECENT_BYTES:
                break
            self._recent_bytes -= len(entry.request)
            first, count = entry.seq + 1, count - 1
        self._recent.drop_to(first)

    def _note_oldest(self, forgotten: statements.Portion) -> None:
        self.oldest = forgotten.oldest
        self._recent_bytes -= sum(len(entry.request) for entry in self._recent.drop_to(forgotten.oldest))


def _open(path: Path, new_epoch: str, now: float) -> tuple[StoreFile, statements.Extent, list[Entry]]:
    file = open_store(path, new_epoch, now)
    try:
        extent = statements.read_extent(file.reader)
        # After a restart many recipients may be a little behind: they share these entries, without a copy for each.
        return file, extent, statements.read_before(file.reader, extent.newest + 1, RECENT_ENTRIES, extent.epoch)
    except sqlite3.Error as error:
        file.close()
        raise StoreUnusable(f"{path} cannot be read: {error}") from None
