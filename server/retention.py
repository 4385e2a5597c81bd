"""Retention: how old stored data is, what is dropped for its age, and what the operator is told of it."""

from server import journal
from server.clock import Clock
from server.core.store_clock import DAY, JUMP, StoreClock, counted, duration, longest_stop, mark_interval
from server.message_log.base import Forgotten, LogError, MessageLog


class Retention:
    """The age limit of one log, measured on its store clock."""

    def __init__(self, log: MessageLog, clock: Clock, days: float, store_clock: StoreClock) -> None:
        """Take over the store clock of this log; `open` makes both."""
        self.interval = mark_interval(days * DAY)
        self._log = log
        self._clock = clock
        self._days = days
        self._store_clock = store_clock

    @classmethod
    async def open(cls, log: MessageLog, clock: Clock, days: float) -> "Retention":
        """Let the store clock of a log go on from its last mark. Raises `Unreadable`."""
        marks = await log.recent_marks()
        store_clock = StoreClock(marks, clock.unix(), clock.uptime(), longest_stop(days * DAY))
        _tell_stop(store_clock)
        return cls(log, clock, days, store_clock)

    def now(self) -> float:
        """Return the time on the store clock."""
        return self._store_clock.now(self._clock.uptime())

    async def mark(self) -> None:
        """Store where log and clocks are. Raises `NotStored`."""
        await self._log.mark(self.now(), self._clock.unix())

    async def drop_old(self) -> Forgotten:
        """Drop what is too old, and tell how much that was. Raises `NotStored`."""
        if jump := self._store_clock.jump(self._clock.unix(), self._clock.uptime()):
            way = "ahead" if jump > 0 else "back"
            told = "The clock of this machine was set %s by %s; nothing is deleted for that, ages of messages stay"
            journal.server.warning(told, way, duration(abs(jump)))
        forgotten = await self._log.forget_before(self.now() - self._days * DAY)
        if told := _counts(forgotten):
            kept = "Deleted %s older than %s; the oldest message that is kept is number %d"
            journal.server.info(kept, told, duration(self._days * DAY), self._log.oldest)
        return forgotten

    async def close(self) -> None:
        """Store a last mark, so that the next start knows how long the stop was."""
        try:
            await self.mark()
        except LogError as error:
            journal.server.warning("Could not store the time of this stop; messages will be kept for longer: %s", error)


def _counts(forgotten: Forgotten) -> str:
    numbers = {"message": forgotten.entries, "absent member": len(forgotten.members)}
    return " and ".join(counted(number, noun) for noun, number in numbers.items() if number)


def _tell_stop(store_clock: StoreClock) -> None:
    """Tell the operator where the wall clock is not taken at its word."""
    stopped, counted = store_clock.stopped, store_clock.counted
    if stopped < -JUMP:
        told = "The clock of this machine is %s behind the latest time in the store; nothing is deleted for that"
        journal.server.warning(told, duration(-stopped))
    elif stopped > counted:
        told = "The clock of this machine says that the server was stopped for %s; since it may be wrong,"
        told += " that counts as %s for the age of messages and nothing more is deleted for it"
        journal.server.warning(told, duration(stopped), duration(counted))
