"""Deadlines of equal length for many objects. Because all lengths are equal, a single timer is enough."""

import asyncio
from typing import Final, Protocol

GRAIN_SECONDS: Final = 0.05  # minimum time between two runs of the timer, however many deadlines there are


class Bounded(Protocol):
    """An object with a deadline."""

    def expire(self) -> None:
        """Handle the passing of the deadline."""


class Deadlines:
    """Tracks the deadline of each started object. Uses the loop's time, not the store clock: it bounds socket I/O."""

    def __init__(self, seconds: float) -> None:
        """Expire an object `seconds` after its `start`."""
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._ends: dict[Bounded, float] = {}  # in order of `start`, which is also the order of the deadlines
        self._timer: asyncio.TimerHandle | None = None

    def start(self, bounded: Bounded) -> float:
        """Start the deadline of `bounded`. Return the loop's time."""
        now = self._loop.time()
        self._ends[bounded] = now + self.seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self.seconds, self._look)
        return now

    def stop(self, bounded: Bounded) -> float | None:
        """Cancel the deadline of `bounded`. Return that deadline in loop time, or None if it was not started."""
        return self._ends.pop(bounded, None)

    def _look(self) -> None:
        now = self._loop.time()
        while self._ends:
            bounded, end = next(iter(self._ends.items()))
            if end > now:
                self._timer = self._loop.call_later(max(end - now, GRAIN_SECONDS), self._look)
                return
            del self._ends[bounded]
            try:
                bounded.expire()
            except Exception as error:
                # An exception in an expire() must not keep the other objects from expiring.
                self._loop.call_exception_handler({"message": f"expire() of {bounded!r} failed", "exception": error})
        self._timer = None
