"""What is the durable log's own, beyond what every engine promises: it outlives the process, and trouble."""

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from server.chat.members import Member
from server.message_log import group_commit
from server.message_log.base import MessageLog, NotStored, StoreUnusable, Unreadable
from server.message_log.entry import Draft, Entry
from server.message_log.sqlite import RECENT_BYTES, RECENT_ENTRIES, SqliteLog
from server.message_log.statements import FORGOTTEN_AT_ONCE, read_extent
from server.message_log.store_file import open_store

NOW = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@contextlib.asynccontextmanager
async def opened(path: Path, epoch: str = "first") -> AsyncIterator[SqliteLog]:
    log = await SqliteLog.open(path, epoch, NOW)
    try:
        yield log
    finally:
        await log.close()


@pytest.fixture
async def log(path: Path) -> AsyncIterator[SqliteLog]:
    async with opened(path) as log:
        yield log


ALICE = Member(
    id="a1",
    name="Ａlice",
    token_hash=bytes(range(32)),
    secret=bytes(range(24)),
    caller="fd00::7",
    callback="https://alice.example:8443/rpc?x=1",
    max_batch=256,
    accepts=frozenset({"ReceiveTyping", "ReceiveMore"}),
    present=True,
    changed_at=NOW + 0.125,
    name_held_until=NOW + 600.25,
)


def said(text: str, sender: str = "a1", at: float = NOW, client_msg_id: str | None = None) -> Draft:
    return Draft(sender_id=sender, sender_name=sender, text=text, at=at, client_msg_id=client_msg_id)


def joined(member: Member) -> Draft:
    return Draft(sender_id=member.id, sender_name=member.name, text="joined", at=NOW, event="join")


async def fill(log: MessageLog, count: int, text: str = "hi", at: float = NOW) -> list[Entry]:
    appended = await asyncio.gather(*(log.append(said(f"{text} {number}", at=at)) for number in range(count)))
    return [one.entry for one in appended]


async def change(path: Path, statement: str) -> None:
    """Do something to the file behind the log's back."""

    def work() -> None:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute(statement)
            db.commit()

    await asyncio.to_thread(work)


# It outlives the process


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    away = msgspec.structs.replace(ALICE, id="b2", name="Bob", token_hash=b"bob", callback=None, present=False)
    async with opened(path) as log:
        before = [
            (await log.append(joined(ALICE), ALICE)).entry,
            (await log.append(joined(away), away, cursor=0)).entry,
            (await log.append(said("žluť 🐎 \u0000 \u2028\n", at=NOW + 0.5, client_msg_id="m-1"))).entry,
        ]
        await log.save_cursors({"a1": 2})
    async with opened(path, "second") as log:
        assert (log.epoch, log.newest, log.oldest) == ("first", 3, 1)
        assert list(await log.read_after(0, 10)) == before
        assert sorted(await log.members(), key=lambda row: row[0].id) == [(ALICE, 2), (away, 0)]
        again = await log.append(said("žluť 🐎 \u0000 \u2028\n", client_msg_id="m-1"))
        assert (again.entry, again.repeated) == (before[2], True)
        assert (await log.append(said("next"))).entry.seq == 4


async def test_a_log_that_forgot_everything_goes_on_counting_after_a_restart(path: Path) -> None:
    async with opened(path) as log:
        await fill(log, 3)
        await log.mark(NOW, NOW)
        await log.forget_before(NOW + 1)
    async with opened(path) as log:
        assert [mark.at for mark in await log.recent_marks()] == [NOW]
        assert (log.newest, log.oldest) == (3, 4)
        assert (await log.append(said("hi"))).entry.seq == 4


async def test_what_cannot_be_opened_is_said(path: Path) -> None:
    async with opened(path):
        with pytest.raises(StoreUnusable, match="in use by another server"):
            await SqliteLog.open(path, "second", NOW)


async def test_a_file_that_lacks_what_is_to_be_in_it_is_said_and_given_back(path: Path) -> None:
    async with opened(path):
        pass
    await change(path, "DELETE FROM log")
    with pytest.raises(StoreUnusable, match="is damaged"):
        await SqliteLog.open(path, "second", NOW)
    await change(path, "INSERT INTO log VALUES ('first', 1)")
    async with opened(path):
        pass


# Reading what is no longer in memory


async def test_old_and_new_are_read_alike(log: SqliteLog) -> None:
    entries = await fill(log, 3 * RECENT_ENTRIES)
    for seq in (0, 1, 1000, 2 * RECENT_ENTRIES, 3 * RECENT_ENTRIES - 2):
        assert list(await log.read_after(seq, 300)) == entries[seq : seq + 300]
        assert list(await log.read_before(seq, 300)) == entries[max(0, seq - 301) : max(0, seq - 1)]
    assert list(await log.read_before(3 * RECENT_ENTRIES + 9, 2)) == entries[-2:]
    assert log.recent_after(0, 300) is None, "that has to be read from the file"
    assert log.recent_after(3 * RECENT_ENTRIES - 2, 300) == entries[-2:]


@pytest.mark.parametrize(("count", "text"), [(5 * RECENT_ENTRIES, "hi"), (1400, "x" * 15_000)])
async def test_memory_holds_a_bounded_part_of_the_log(log: SqliteLog, count: int, text: str) -> None:
    entries = await fill(log, count, text)
    shown = re.search(r"recent=<EntryRun (\d+)\.\.(\d+)>", repr(log))
    assert shown
    kept = entries[int(shown[1]) - 1 : int(shown[2])]
    assert kept[-1] == entries[-1]
    assert RECENT_ENTRIES <= len(kept) <= 2 * RECENT_ENTRIES or len(text) > 1000
    assert sum(len(entry.request) for entry in kept) <= 2 * RECENT_BYTES


async def test_after_a_restart_the_newest_are_in_memory_again(path: Path) -> None:
    async with opened(path) as log:
        await fill(log, RECENT_ENTRIES + 10)
    async with opened(path) as log:
        assert f"recent=<EntryRun 11..{RECENT_ENTRIES + 10}>" in repr(log)


async def test_reading_does_not_wait_for_storing(path: Path, log: SqliteLog) -> None:
    entries = await fill(log, 3 * RECENT_ENTRIES)
    with contextlib.closing(await asyncio.to_thread(sqlite3.connect, path, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        waiting = asyncio.create_task(log.append(said("wait")))
        assert list(await log.read_after(0, 2)) == entries[:2]
        assert not waiting.done()
        await asyncio.to_thread(other.execute, "ROLLBACK")
    assert (await waiting).entry.seq == len(entries) + 1


# Forgetting


async def test_many_are_forgotten_in_portions_between_which_others_are_stored(log: SqliteLog) -> None:
    count = 8 * FORGOTTEN_AT_ONCE
    await fill(log, count)
    await log.mark(NOW, NOW)
    forgetting = asyncio.create_task(log.forget_before(NOW + 1))
    oldest = set()
    while not forgetting.done():
        await log.append(said("now", at=NOW + 2))
        oldest.add(log.oldest)
    assert log.oldest == count + 1
    assert oldest - {1, count + 1}


async def test_what_is_forgotten_gives_its_room_back(path: Path) -> None:
    async with opened(path) as log:
        await fill(log, 2000, "x" * 1000)
        await log.mark(NOW, NOW)
    full = size_of(path)
    async with opened(path) as log:
        await log.forget_before(NOW + 1)
    assert full > 2_000_000 > 200_000 > size_of(path)


def size_of(path: Path) -> int:
    return path.stat().st_size


# Trouble


@contextlib.asynccontextmanager
async def opened_with(path: Path, pragma: str) -> AsyncIterator[tuple[SqliteLog, Callable[[str], Awaitable[object]]]]:
    """Open a log whose writing connection is told something, and can be told something else."""
    file = await asyncio.to_thread(open_store, path, "first", NOW)

    async def tell(pragma: str) -> None:
        await asyncio.to_thread(file.writer.execute, f"PRAGMA {pragma}")

    await tell(pragma)
    log = SqliteLog(file, await asyncio.to_thread(read_extent, file.reader))
    try:
        yield log, tell
    finally:
        await log.close()


async def test_a_full_disk_refuses_what_is_new_and_reading_goes_on_until_there_is_room_again(path: Path) -> None:
    async with opened(path) as log:
        entries = await fill(log, 3 * RECENT_ENTRIES)
    # The file may grow no further than it is (https://www.sqlite.org/pragma.html#pragma_max_page_count).
    async with opened_with(path, "max_page_count = 1") as (log, tell):
        with pytest.raises(NotStored, match="full"):
            await log.append(said("x" * 100_000))
        with pytest.raises(NotStored, match="full"):
            await log.append(joined(ALICE), msgspec.structs.replace(ALICE, secret=bytes(100_000)))
        assert log.newest == len(entries)
        assert list(await log.members()) == []
        assert list(await log.read_after(0, 5)) == entries[:5]
        assert list(await log.read_before(len(entries) + 1, 5)) == entries[-5:]
        await tell(f"max_page_count = {2**30}")
        assert (await log.append(said("x" * 100_000))).entry.seq == len(entries) + 1


async def test_a_file_that_somebody_else_keeps_locked_refuses_what_is_new(path: Path) -> None:
    async with opened_with(path, "busy_timeout = 1") as (log, _):
        with contextlib.closing(await asyncio.to_thread(sqlite3.connect, path, check_same_thread=False)) as other:
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            with pytest.raises(NotStored, match="locked"):
                await log.append(said("no"))
            await asyncio.to_thread(other.execute, "ROLLBACK")
        assert (await log.append(said("yes"))).entry.seq == 1


@pytest.mark.parametrize("name", ["chat.db", "chat.db-wal"])
async def test_append_while_the_file_is_not_in_its_place_is_refused(
    log: SqliteLog, path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself would write on into the file without a name."""
    monkeypatch.setattr(group_commit, "CHECK_SECONDS", 0.0)
    await log.append(said("here"))
    file, elsewhere = path.with_name(name), path.with_name("elsewhere")
    await asyncio.to_thread(file.rename, elsewhere)
    with pytest.raises(NotStored, match=f"{name} was removed or replaced"):
        await log.append(said("lost"))
    await asyncio.to_thread(file.write_bytes, b"")
    with pytest.raises(NotStored, match=f"{name} was removed or replaced"):
        await log.put_member(ALICE)
    await asyncio.to_thread(elsewhere.rename, file)
    assert (await log.append(said("here again"))).entry.seq == 2


async def test_what_cannot_be_read_is_said(path: Path, log: SqliteLog) -> None:
    await fill(log, 3 * RECENT_ENTRIES)
    await change(path, "ALTER TABLE messages RENAME TO elsewhere")
    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: log.read_after(0, 5),
        lambda: log.read_before(5, 5),
        lambda: log.count_own({"a1": 0}),
    ]
    for read in reads:
        with pytest.raises(Unreadable, match="no such table"):
            await read()
    await change(path, "ALTER TABLE elsewhere RENAME TO messages")
    assert len(await log.read_after(0, 5)) == 5


async def test_it_tells_its_state_in_one_line(log: SqliteLog) -> None:
    await fill(log, 2)
    assert repr(log) == "<SqliteLog first 1..2 recent=<EntryRun 1..2>>"


async def test_what_was_said_under_an_id_is_found_without_reading_all(path: Path) -> None:
    seen: list[str] = []
    async with opened(path) as log:
        await fill(log, 10)
        await log.append(said("hi", client_msg_id="m-1"))
        await log._writer.store(lambda db: db.set_trace_callback(seen.append))
        assert (await log.append(said("hi", client_msg_id="m-1"))).repeated
    look_up = next(statement for statement in seen if "client_msg_id =" in statement)
    with contextlib.closing(sqlite3.connect(path)) as db:
        plan = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {look_up}")]
    assert any("SEARCH messages USING INDEX messages_by_client_msg_id" in step for step in plan), plan
    assert not any(step == "SCAN messages" for step in plan)
