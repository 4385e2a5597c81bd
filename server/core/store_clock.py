"""The store clock: how old stored data is, measured so that no jump of the wall clock can age it.

The wall clock may be wrong at any start: a dead battery, a virtual machine that wakes from a snapshot, a container that
starts before the time is set. So the wall clock deletes nothing by itself. The store clock goes on by the machine's
uptime while a server runs, and by what the wall clock tells of the time in which none ran, with two bounds:

- A stop counts for one day at most, or a tenth of a retention of less than ten days.
- A stop is measured against the latest wall time among the marks of the last day of the store clock. A wall clock that
  alternates between right and a year ahead at each start therefore adds one day once, and not at each start: for each
  day that is counted wrongly, a day has to pass while a server runs.

Where the wall clock is wrong, or a stop is long, data is kept for longer than was asked for; it is dropped too early
by no more than these bounds allow.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

DAY: Final = 86_400.0
LONGEST_INTERVAL: Final = 600.0  # between two marks
JUMP: Final = 60.0  # a difference that the operator is told of; time servers correct less without a jump


class Mark(NamedTuple):
    """What a store knew at one moment: the entries up to `seq` were stored before `at` on the store clock.

    `wall` is what the wall clock told at that moment, in Unix seconds.
    """

    at: float
    wall: float
    seq: int


def mark_interval(retention: float) -> float:
    """Return the seconds between two marks, which are the grain of a retention of so many seconds."""
    return min(LONGEST_INTERVAL, max(1.0, retention / 20))


def longest_stop(retention: float) -> float:
    """Return the seconds for which one stop counts at most; a short retention must survive one as well."""
    return min(DAY, max(2.0, retention / 10))


class StoreClock:
    """Seconds that begin at an arbitrary moment and never go back. `uptime` never jumps; `wall` may."""

    def __init__(self, recent: Sequence[Mark], wall: float, uptime: float, longest: float) -> None:
        """Go on from the newest of `recent`, which are the marks of the last day, oldest first.

        Without marks, begin at the wall time. `longest` bounds what one stop, or one sleep of the machine, counts for.
        """
        self._longest = longest
        self._uptime = uptime
        self._wall_at_start = wall - uptime
        self.stopped = wall - max(mark.wall for mark in recent) if recent else 0.0
        """How long no server ran, as the wall clock tells it; negative when that clock was set back."""
        self.counted = min(max(self.stopped, 0.0), longest)
        """How much of that the store clock has gone on by."""
        self._now = recent[-1].at + self.counted if recent else wall

    def __repr__(self) -> str:
        return f"<StoreClock {self._now:.0f}>"

    def now(self, uptime: float) -> float:
        """Return the time at this uptime."""
        self._now += min(max(uptime - self._uptime, 0.0), self._longest)
        self._uptime = uptime
        return self._now

    def jump(self, wall: float, uptime: float) -> float:
        """Return by how many seconds the wall clock has jumped since the last call; 0 when it has gone on evenly."""
        jump = wall - uptime - self._wall_at_start
        if abs(jump) < JUMP:
            return 0.0
        self._wall_at_start += jump
        return jump


def duration(seconds: float) -> str:
    """Return a length of time in words: `2.5 days`, `1 hour`."""
    for size, unit in ((DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            return counted(seconds / size, unit)
    return counted(seconds, "second")


def counted(number: float, noun: str) -> str:
    """Return a number with its noun: `1 message`, `1,200 messages`."""
    shown = f"{number:,.1f}".removesuffix(".0")
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"
