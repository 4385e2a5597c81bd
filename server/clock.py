"""The time, and waiting for it: a seam, so that tests hold the hands of the clock."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where everybody in the server gets the time from."""

    def unix(self) -> float:
        """Seconds since 1970: for what is written down and compared with other machines."""

    def monotonic(self) -> float:
        """Seconds since some moment: for how long something took or should take."""

    async def wait(self, event: asyncio.Event, until: float) -> None:
        """Return when the event is set, or at `until` on the monotonic clock."""


class SystemClock:
    """The clock of this machine."""

    def unix(self) -> float:
        """Read the wall clock."""
        return time.time()

    def monotonic(self) -> float:
        """Read the monotonic clock."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, until: float) -> None:
        """Wait for the event, but no longer than `until`."""
        try:
            async with asyncio.timeout(max(0.0, until - self.monotonic())):
                await event.wait()
        except TimeoutError:
            pass
