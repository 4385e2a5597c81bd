"""The time, and waiting for it: a seam, so that tests hold the hands of the clock."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Have it not come."""


class Clock(Protocol):
    """Where everybody in the server gets the time from."""

    def unix(self) -> float:
        """Seconds since 1970: for what is written down and compared with other machines."""

    def monotonic(self) -> float:
        """Seconds since some moment: for how long something took or should take."""

    def uptime(self) -> float:
        """Seconds since some moment, those included in which the machine slept: for how old stored data is."""

    async def wait(self, event: asyncio.Event, until: float) -> None:
        """Return when the event is set, or at `until` on the monotonic clock."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Call at `when` on the monotonic clock, or as soon as can be."""


class SystemClock:
    """The clock of this machine."""

    unix = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def uptime(self) -> float:
        """Ask the system; where it has no such clock (macOS), time asleep does not count."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    async def wait(self, event: asyncio.Event, until: float) -> None:
        """Wait for the event, but no longer than `until`."""
        try:
            async with asyncio.timeout(max(0.0, until - self.monotonic())):
                await event.wait()
        except TimeoutError:
            pass

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Call from the running loop."""
        return asyncio.get_running_loop().call_later(max(0.0, when - self.monotonic()), callback)
