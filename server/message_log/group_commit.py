"""One connection on a thread of its own that stores in groups: what arrives while a commit runs goes into the next one.

A commit waits for the disk, and takes about as long for one message as for a thousand.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

from server.message_log.base import LogError, NotStored

G = TypeVar("G")
T = TypeVar("T")

WorkForAll = Callable[[sqlite3.Connection, Sequence[G]], Sequence[T | LogError]]

LARGEST_GROUP: Final = 1000
# Each system call of the thread gives the loop's thread the interpreter, which it gives back after up to 5 ms: with a
# check in each commit, the deliveries of `make bench` row 2 cost 1.1 times as much.
CHECK_SECONDS: Final = 0.1


class Job(NamedTuple):
    """What is to be done within a transaction, who waits for it, and what is to happen first when it is stored."""

    work: Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Any]]
    given: Any
    stored: Callable[[Any], None]
    outcome: "asyncio.Future[Any]"


class GroupCommit:
    """Runs jobs in the order of arrival, each as a whole or not at all, and reports them in that order."""

    def __init__(self, db: sqlite3.Connection, check: Callable[[], None] = lambda: None) -> None:
        """Use `db`, in autocommit mode, until `close`; for calls from the thread of the running loop.

        `check` is called before a commit, every `CHECK_SECONDS` at most, and raises what is to refuse the whole group.
        """
        self._db = db
        self._check = check
        self._checked_at = 0.0  # time.monotonic(), when it passed
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="message log", daemon=True)
        self._thread.start()

    async def store(self, work: Callable[[sqlite3.Connection], T], stored: Callable[[T], None] = lambda _: None) -> T:
        """Run `work` on the thread, and return when what it did is on the disk.

        `work` decides before it writes: a `LogError` from it refuses this job alone. `stored` is called with its
        result on the loop, after the commit and before anybody hears of it. Raises that `LogError`, or `NotStored`.
        """
        return await self.store_together(_run_each, work, stored)

    async def store_together(self, work: WorkForAll[G, T], given: G, stored: Callable[[T], None]) -> T:
        """As `store`, but `work` does in one go what is asked of it here and right before and after.

        It gets all that is given, in order, and gives for each the result, or the `LogError` that refuses it.
        """
        job = Job(work, given, stored, self._loop.create_future())
        self._jobs.put(job)
        return await job.outcome  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Return when all that was asked for is done; afterwards nothing may be."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while group := self._next_group():
            outcomes = self._commit(group)
            # The loop may have ended, if nobody closed this: then nobody waits, either.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_report, group, outcomes)

    def _next_group(self) -> list[Job]:
        """Wait for a job, and take with it all that are there; none at all means the end."""
        group: list[Job] = []
        while not group or (len(group) < LARGEST_GROUP and not self._jobs.empty()):
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)  # for the next time, when this group is done
                break
            group.append(job)
        return group

    def _commit(self, group: list[Job]) -> list[Any]:
        """Store a group; gives for each job its result, or the error that it is to raise."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcomes: list[Any] = []
            for work, jobs in groupby(group, key=attrgetter("work")):
                outcomes += work(self._db, [job.given for job in jobs])
            self._check_now_and_then()
            self._db.execute("COMMIT")
        except Exception as error:
            # Whatever it was: nothing of this group is stored, those who wait hear it, and the next group has its turn.
            self._roll_back()
            return [NotStored(str(error)) if isinstance(error, sqlite3.Error) else error for _ in group]
        return outcomes

    def _check_now_and_then(self) -> None:
        now = time.monotonic()
        if now >= self._checked_at + CHECK_SECONDS:
            self._check()
            self._checked_at = now

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # some errors have ended it already (https://www.sqlite.org/lang_transaction.html)
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")


def _run_each(db: sqlite3.Connection, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
    return [_attempt(work, db) for work in works]


def _attempt(work: Callable[[sqlite3.Connection], Any], db: sqlite3.Connection) -> Any:
    try:
        return work(db)
    except LogError as refusal:
        return refusal


def _report(group: list[Job], outcomes: list[Any]) -> None:
    for job, outcome in zip(group, outcomes, strict=True):
        if not isinstance(outcome, Exception):
            try:
                job.stored(outcome)
            except Exception as error:  # it must not cost the others of the group what they wait for
                outcome = error
        if job.outcome.done():  # it was cancelled
            continue
        if isinstance(outcome, Exception):
            job.outcome.set_exception(outcome)
        else:
            job.outcome.set_result(outcome)
