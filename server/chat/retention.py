"""Retention: computes the age of stored data, deletes old data, and logs it."""

from server import logs
from server.chat.store_clock import DAY, JUMP, StoreClock, counted, duration, longest_stop, mark_interval
from server.clock import Clock
from server.message_log.base import Forgotten, LogError, MessageLog


class Retention:
    """The age limit of one log, measured on its store clock."""

    def __init__(self, log: MessageLog, clock: Clock, days: float, store_clock: StoreClock) -> None:
        """`open` creates the store clock and passes it."""
        self.interval = mark_interval(days * DAY)
        self._log = log
        self._clock = clock
        self._days = days
        self._store_clock = store_clock

    @classmethod
    async def open(cls, log: MessageLog, clock: Clock, days: float) -> "Retention":
        """Return the retention with a store clock that continues from the last mark of the log. Raise `Unreadable`."""
        marks = await log.recent_marks()
        store_clock = StoreClock(marks, clock.unix(), clock.uptime(), longest_stop(days * DAY))
        _tell_stop(store_clock)
        return cls(log, clock, days, store_clock)

    def now(self) -> float:
        """Return the time on the store clock."""
        return self._store_clock.now(self._clock.uptime())

    async def mark(self) -> None:
        """Store a mark: the position of the log and the time of both clocks. Raise `NotStored`."""
        await self._log.mark(self.now(), self._clock.unix())

    async def drop_old(self) -> Forgotten:
        """Delete data that is too old, log the counts, and return the deleted data. Raise `NotStored`."""
        if jump := self._store_clock.jump(self._clock.unix(), self._clock.uptime()):
            way = "ahead" if jump > 0 else "back"
            told = "The clock of this machine was set %s by %s; no data is deleted for that, the ages of messages stay"
            logs.server.warning(told, way, duration(abs(jump)))
        forgotten = await self._log.forget_before(self.now() - self._days * DAY)
        if told := _counts(forgotten):
            kept = "Deleted %s older than %s; the oldest message that is kept is number %d"
            logs.server.info(kept, told, duration(self._days * DAY), self._log.oldest)
        return forgotten

    async def close(self) -> None:
        """Store a last mark, from which the next start computes how long the server was stopped."""
        try:
            await self.mark()
        except LogError as error:
            logs.server.warning("Could not store the time of this stop; messages will be kept for longer: %s", error)


def _counts(forgotten: Forgotten) -> str:
    numbers = {"message": forgotten.entries, "absent member": len(forgotten.members)}
    return " and ".join(counted(number, noun) for noun, number in numbers.items() if number)


def _tell_stop(store_clock: StoreClock) -> None:
    """Log a warning if the wall clock is implausible at the start."""
    stopped, counted = store_clock.stopped, store_clock.counted
    if stopped < -JUMP:
        told = "The clock of this machine is %s behind the latest time in the store; no data is deleted for that"
        logs.server.warning(told, duration(-stopped))
    elif stopped > counted:
        told = "The clock of this machine says that the server was stopped for %s; since it may be wrong,"
        told += " that counts as %s for the age of messages, and no more data is deleted"
        logs.server.warning(told, duration(stopped), duration(counted))
