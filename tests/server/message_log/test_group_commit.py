"""Storing in groups: what goes together, what a refusal and what a failure costs, and in which order it is told."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from server.message_log.base import LogError, NotStored
from server.message_log.group_commit import LARGEST_GROUP, GroupCommit

Work = Callable[[sqlite3.Connection], int]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    # Not under the eyes of what forbids blocking calls: this is before there is a loop.
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)) as db:
        db.execute("CREATE TABLE numbers (number INTEGER NOT NULL)")
        db.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        db.execute("CREATE TABLE orphans (id INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
        db.execute("PRAGMA foreign_keys = ON")
        yield db


@pytest.fixture
def commits(db: sqlite3.Connection) -> list[str]:
    """Every COMMIT and ROLLBACK that the connection was given."""
    seen: list[str] = []
    db.set_trace_callback(lambda statement: seen.append(statement) if statement in ("COMMIT", "ROLLBACK") else None)
    return seen


@pytest.fixture
async def writer(db: sqlite3.Connection) -> AsyncIterator[GroupCommit]:
    writer = GroupCommit(db)
    yield writer
    await writer.close()


def insert(number: int) -> Work:
    def work(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO numbers VALUES (?)", (number,))
        return number

    return work


def refuse(_db: sqlite3.Connection) -> int:
    raise LogError("not that")


def fail(db: sqlite3.Connection) -> int:
    db.execute("INSERT INTO numbers VALUES (NULL)")
    return 0


def lose_the_commit(db: sqlite3.Connection) -> int:
    """Do what is found to be wrong only at the end of the transaction."""
    db.execute("INSERT INTO orphans VALUES (1)")
    return 0


def stumble(_db: sqlite3.Connection) -> int:
    raise ZeroDivisionError


async def numbers(writer: GroupCommit) -> list[int]:
    return await writer.store(lambda db: [number for (number,) in db.execute("SELECT number FROM numbers")])


@contextlib.asynccontextmanager
async def busy(writer: GroupCommit) -> AsyncIterator[None]:
    """Keep the thread in a job of its own, so that all that is asked for meanwhile is one group."""
    entered, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(_db: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(entered.set)
        go_on.wait()

    job = asyncio.create_task(writer.store(work))
    await entered.wait()
    yield
    await asyncio.sleep(0)  # what was started in the block has asked by now
    go_on.set()
    await job


async def as_one_group(writer: GroupCommit, *works: Work) -> list[int | BaseException]:
    async with busy(writer):
        group = asyncio.gather(*map(writer.store, works), return_exceptions=True)
    return await group


async def test_what_comes_while_a_commit_runs_goes_into_the_next_one(writer: GroupCommit, commits: list[str]) -> None:
    assert await as_one_group(writer, *map(insert, range(100))) == list(range(100))
    assert commits == ["COMMIT", "COMMIT"]


async def test_a_group_is_not_longer_than_it_may_be(writer: GroupCommit, commits: list[str]) -> None:
    await as_one_group(writer, *map(insert, range(LARGEST_GROUP + 1)))
    assert commits == ["COMMIT"] * 3


async def test_a_refusal_is_its_own_and_the_others_of_the_group_are_stored(writer: GroupCommit) -> None:
    outcomes = await as_one_group(writer, insert(1), refuse, insert(2))
    assert isinstance(outcomes[1], LogError)
    assert [outcomes[0], outcomes[2]] == await numbers(writer) == [1, 2]


@pytest.mark.parametrize(("work", "error"), [(fail, NotStored), (stumble, ZeroDivisionError)])
async def test_a_failure_is_that_of_the_whole_group_and_the_next_one_is_stored(
    writer: GroupCommit, commits: list[str], work: Work, error: type[Exception]
) -> None:
    outcomes = await as_one_group(writer, insert(1), work, insert(2))
    assert [type(outcome) for outcome in outcomes] == [error] * 3
    assert commits == ["COMMIT", "ROLLBACK"]
    assert await writer.store(insert(3)) == 3
    assert await numbers(writer) == [3]


async def test_a_commit_that_fails_leaves_nothing(writer: GroupCommit, commits: list[str]) -> None:
    outcomes = await as_one_group(writer, insert(1), lose_the_commit, insert(2))
    assert [type(outcome) for outcome in outcomes] == [NotStored] * 3
    assert commits == ["COMMIT", "COMMIT", "ROLLBACK"]
    await writer.store(insert(3))
    assert await numbers(writer) == [3]


async def test_what_is_to_happen_when_it_is_stored_happens_before_anybody_hears_of_it(writer: GroupCommit) -> None:
    seen: list[str] = []

    async def store(number: int) -> None:
        await writer.store(insert(number), lambda result: seen.append(f"stored {result}"))
        seen.append(f"heard {number}")

    async with busy(writer):
        both = asyncio.gather(store(1), store(2))
    await both
    assert seen == ["stored 1", "stored 2", "heard 1", "heard 2"]


async def test_nothing_of_what_is_to_happen_then_happens_when_it_is_not_stored(writer: GroupCommit) -> None:
    seen: list[int] = []
    for work in (fail, refuse):
        with pytest.raises(LogError):
            await writer.store(work, seen.append)
    assert seen == []


async def test_a_mistake_in_what_is_to_happen_then_is_heard_by_the_one_and_costs_the_others_nothing(
    writer: GroupCommit,
) -> None:
    def stumble_then(_result: int) -> None:
        raise ZeroDivisionError

    async with busy(writer):
        both = asyncio.gather(
            writer.store(insert(1), stumble_then), writer.store(insert(2)), return_exceptions=True
        )  # fmt: skip
    assert isinstance((await both)[0], ZeroDivisionError)
    assert (await both)[1] == 2


async def test_one_who_stops_waiting_disturbs_nobody_and_what_it_asked_for_is_stored(writer: GroupCommit) -> None:
    seen: list[int] = []
    async with busy(writer):
        impatient = asyncio.create_task(writer.store(insert(1), seen.append))
        patient = asyncio.create_task(writer.store(insert(2)))
        await asyncio.sleep(0)
        impatient.cancel()
    assert await patient == 2
    assert (seen, await numbers(writer)) == ([1], [1, 2])


async def test_closing_waits_for_all_that_was_asked_for(db: sqlite3.Connection) -> None:
    writer = GroupCommit(db)
    async with busy(writer):
        jobs = [asyncio.create_task(writer.store(insert(number))) for number in range(LARGEST_GROUP + 1)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(writer.close())
    await closing
    assert [await job for job in jobs] == list(range(LARGEST_GROUP + 1))


async def test_what_is_asked_of_the_same_work_in_a_row_is_done_in_one_go(
    writer: GroupCommit, commits: list[str]
) -> None:
    together: list[list[int]] = []

    def add(db: sqlite3.Connection, given: Sequence[int]) -> list[int | LogError]:
        together.append(list(given))
        return [LogError("not that") if number == 3 else insert(number)(db) for number in given]

    stored: list[int] = []
    async with busy(writer):
        asked = [
            *(writer.store_together(add, number, stored.append) for number in (1, 2, 3)),
            writer.store(insert(4)),
            writer.store_together(add, 5, stored.append),
        ]
        group = asyncio.gather(*asked, return_exceptions=True)
    outcomes = await group
    assert together == [[1, 2, 3], [5]]
    assert [outcome if isinstance(outcome, int) else type(outcome) for outcome in outcomes] == [1, 2, LogError, 4, 5]
    assert stored == [1, 2, 5]
    assert commits == ["COMMIT", "COMMIT"]
    assert await numbers(writer) == [1, 2, 4, 5]
