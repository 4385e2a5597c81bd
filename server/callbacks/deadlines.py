"""Ends what takes too long. All may take equally long, so that one timer is enough for all of them."""

import asyncio
from typing import Final, Protocol

GRAIN_SECONDS: Final = 0.05  # the timer goes off at most so often, however many deadlines there are


class Bounded(Protocol):
    """What is ended."""

    def expire(self) -> None:
        """Give up."""


class Deadlines:
    """Knows when each of those that are under way has to be done. Real time: it is about sockets."""

    def __init__(self, seconds: float) -> None:
        """Let each have `seconds`."""
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._ends: dict[Bounded, float] = {}  # in the order in which they began, and so in that in which they end
        self._timer: asyncio.TimerHandle | None = None

    def start(self, bounded: Bounded) -> float:
        """Let the time of this one begin; return the time of the loop."""
        now = self._loop.time()
        self._ends[bounded] = now + self.seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self.seconds, self._look)
        return now

    def stop(self, bounded: Bounded) -> float | None:
        """Note that it is done; gives when its time would have been over, by the loop, if it was under way."""
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
                # One that is mistaken must not take their end from all the others.
                self._loop.call_exception_handler({"message": f"{bounded!r} stumbled", "exception": error})
        self._timer = None
