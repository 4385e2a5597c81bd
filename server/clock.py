"""The clock: reads the time and waits for it. Tests replace it with a clock that they set."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""


class Clock(Protocol):
    """The source of time for the whole server."""

    def unix(self) -> float:
        """Return Unix seconds: for times that are stored, or compared with other machines."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start: for durations and timeouts."""

    def uptime(self) -> float:
        """Return seconds since an arbitrary start, including suspend: for the age of stored data."""

    async def wait(self, event: asyncio.Event, until: float) -> None:
        """Return when the event is set, or at `until` on the monotonic clock."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Schedule a call at `when` on the monotonic clock, or at once if that is over."""


class SystemClock:
    """The clock of the operating system."""

    unix = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def uptime(self) -> float:
        """Read `CLOCK_BOOTTIME`; without it (macOS), time in suspend does not count."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    async def wait(self, event: asyncio.Event, until: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - self.monotonic())):
                await event.wait()
        except TimeoutError:
            pass

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        return asyncio.get_running_loop().call_later(max(0.0, when - self.monotonic()), callback)
