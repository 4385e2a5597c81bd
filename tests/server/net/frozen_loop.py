"""An event loop on which time passes only when a test says so."""

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

from tests.fakes import PATIENCE_SECONDS

Arguments = TypeVarTuple("Arguments")


class FrozenLoop(asyncio.SelectorEventLoop):
    """Counts the timers that were set, as `timers`. For a test that waits in vain, time passes after a while."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._began = time.monotonic()
        self.timers = 0
        super().__init__()

    def time(self) -> float:
        waited = time.monotonic() - self._began
        return self._now + (waited if waited > PATIENCE_SECONDS else 0.0)

    def call_at(
        self, when: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass at a stroke, and everything happen that was to happen until then."""
        self._now += seconds
        await let_happen()


async def let_happen() -> None:
    """Let the loop turn until all that is ready, and what that makes ready in its turn, has run."""
    for _ in range(10):
        await asyncio.sleep(0)


def frozen_loop() -> FrozenLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FrozenLoop)
    return loop
