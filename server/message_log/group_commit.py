"""Group commit: a thread with its own SQLite connection. Jobs that arrive during a commit go into the next commit.

A commit waits for the disk, and takes about as long for 1 message as for 1,000.
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
# Each system call releases the GIL to the loop's thread, which may keep it for up to 5 ms. With a check in each commit,
# the deliveries of `make bench` row 2 cost 1.1 times as much.
CHECK_SECONDS: Final = 0.1


class Job(NamedTuple):
    """Work to run within a transaction, its argument, the callback after the commit, and the caller's future."""

    work: Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Any]]
    given: Any
    stored: Callable[[Any], None]
    outcome: "asyncio.Future[Any]"


class GroupCommit:
    """Runs jobs in the order of arrival, each atomically, and reports their outcomes in that order."""

    def __init__(self, db: sqlite3.Connection, check: Callable[[], None] = lambda: None) -> None:
        """Use `db`, in autocommit mode, until `close`. Methods may only be called on the running loop's thread.

        `check` is called before a commit, at most every `CHECK_SECONDS`. An exception from it refuses the whole group.
        """
        self._db = db
        self._check = check
        self._checked_at = 0.0  # time.monotonic() of the last successful check
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="message log", daemon=True)
        self._thread.start()

    async def store(self, work: Callable[[sqlite3.Connection], T], stored: Callable[[T], None] = lambda _: None) -> T:
        """Run `work` on the thread, and return its result when its writes are on the disk.

        `work` must decide before it writes: a `LogError` from it refuses this job alone. After the commit, `stored` is
        called with the result on the loop's thread, before the caller resumes. Raise that `LogError`, or `NotStored`.
        """
        return await self.store_together(_run_each, work, stored)

    async def store_together(self, work: WorkForAll[G, T], given: G, stored: Callable[[T], None]) -> T:
        """Like `store`, but adjacent jobs with the same `work` are executed as one batch.

        `work` receives the `given` values of all jobs of the batch, in order. It returns for each job the result, or
        the `LogError` that refuses it.
        """
        job = Job(work, given, stored, self._loop.create_future())
        self._jobs.put(job)
        return await job.outcome  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Return when all jobs are done. No method may be called afterwards."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while group := self._next_group():
            outcomes = self._commit(group)
            # RuntimeError: the loop was closed without a call of `close`. Then no caller waits for the outcomes.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_report, group, outcomes)

    def _next_group(self) -> list[Job]:
        """Wait for a job. Return it with all queued jobs, up to `LARGEST_GROUP`; an empty list after `close`."""
        group: list[Job] = []
        while not group or (len(group) < LARGEST_GROUP and not self._jobs.empty()):
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)  # for the next call, which then returns an empty group
                break
            group.append(job)
        return group

    def _commit(self, group: list[Job]) -> list[Any]:
        """Store a group in one transaction. Return for each job its result, or the exception that it raises."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcomes: list[Any] = []
            for work, jobs in groupby(group, key=attrgetter("work")):
                outcomes += work(self._db, [job.given for job in jobs])
            self._check_now_and_then()
            self._db.execute("COMMIT")
        except Exception as error:
            # Every exception, a bug in `work` included, fails the jobs of this group only: roll back, report, continue.
            self._roll_back()
            return [NotStored(str(error)) if isinstance(error, sqlite3.Error) else error for _ in group]
        return outcomes

    def _check_now_and_then(self) -> None:
        now = time.monotonic()
        if now >= self._checked_at + CHECK_SECONDS:
            self._check()
            self._checked_at = now

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # some errors roll back by themselves: https://www.sqlite.org/lang_transaction.html
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
            except Exception as error:  # a failing callback must not keep the other jobs from their outcomes
                outcome = error
        if job.outcome.done():  # the caller was cancelled
            continue
        if isinstance(outcome, Exception):
            job.outcome.set_exception(outcome)
        else:
            job.outcome.set_result(outcome)
