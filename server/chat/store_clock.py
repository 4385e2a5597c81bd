"""The store clock: measures the age of stored data so that a jump of the wall clock does not expire it.

The wall clock may be wrong at any start: a dead battery, a virtual machine resumed from a snapshot, a container that
starts before the time is set. So the wall clock alone never expires data. The store clock advances by the machine's
uptime while a server runs, and by the wall clock for the time in which no server ran, with two bounds:

- A stop counts for at most one day, or for a tenth of a retention of less than ten days.
- A stop is measured against the latest wall time among the marks of the last day of the store clock. A wall clock that
  alternates between correct and a year ahead at each start therefore adds one day once, and not at each start: for each
  day that is counted wrongly, a day has to pass while a server runs.

If the wall clock is wrong, or a stop is long, data is kept for longer than configured. Data is dropped too early by at
most these bounds.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

DAY: Final = 86_400.0
LONGEST_INTERVAL: Final = 600.0  # between two marks
JUMP: Final = 60.0  # log differences from this size on; time servers correct smaller errors without a jump


class Mark(NamedTuple):
    """A point in time in the store: the entries up to `seq` were stored before `at` on the store clock.

    `wall` is the wall clock at that moment, in Unix seconds.
    """

    at: float
    wall: float
    seq: int


def mark_interval(retention: float) -> float:
    """Return the seconds between two marks, the resolution of a retention of `retention` seconds."""
    return min(LONGEST_INTERVAL, max(1.0, retention / 20))


def longest_stop(retention: float) -> float:
    """Return the maximum seconds that a stop counts for; a stop must not use up a short retention."""
    return min(DAY, max(2.0, retention / 10))


class StoreClock:
    """Seconds from an arbitrary origin that never go back. `uptime` never jumps; `wall` may."""

    def __init__(self, recent: Sequence[Mark], wall: float, uptime: float, longest: float) -> None:
        """Continue from the newest of `recent`, the marks of the last day, oldest first.

        Without marks, start at the wall time. `longest` is the maximum seconds that a stop, or a sleep of the machine,
        counts for.
        """
        self._longest = longest
        self._uptime = uptime
        self._wall_at_start = wall - uptime
        self.stopped = wall - max(mark.wall for mark in recent) if recent else 0.0
        """Seconds without a running server by the wall clock; negative if that clock was set back."""
        self.counted = min(max(self.stopped, 0.0), longest)
        """The seconds of `stopped` by which the store clock advanced."""
        self._now = recent[-1].at + self.counted if recent else wall

    def __repr__(self) -> str:
        return f"<StoreClock {self._now:.0f}>"

    def now(self, uptime: float) -> float:
        """Return the store clock's time at this uptime."""
        self._now += min(max(uptime - self._uptime, 0.0), self._longest)
        self._uptime = uptime
        return self._now

    def jump(self, wall: float, uptime: float) -> float:
        """Return the seconds by which the wall clock has jumped since the last call; 0 for less than `JUMP`."""
        jump = wall - uptime - self._wall_at_start
        if abs(jump) < JUMP:
            return 0.0
        self._wall_at_start += jump
        return jump


def duration(seconds: float) -> str:
    """Return a duration in words: `2.5 days`, `1 hour`."""
    for size, unit in ((DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            return counted(seconds / size, unit)
    return counted(seconds, "second")


def counted(number: float, noun: str) -> str:
    """Return a number with its noun: `1 message`, `1,200 messages`."""
    shown = f"{number:,.1f}".removesuffix(".0")
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"
