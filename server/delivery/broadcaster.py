"""The background task that follows the log and wakes the idle deliveries."""

import asyncio
from typing import Final

from server.delivery.delivery import Delivery
from server.message_log.base import MessageLog

AT_ONCE: Final = 256  # then the loop may run other tasks: each `wake` takes some tens of microseconds


async def broadcast(log: MessageLog, idle: set[Delivery]) -> None:
    """Run until cancelled. A delivery that is busy or backing off reads new entries after that."""
    seen = log.newest
    while True:
        await log.wait_beyond(seen)
        seen = log.newest
        woken = tuple(idle)
        idle.clear()
        for number, delivery in enumerate(woken, 1):
            delivery.wake()
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
