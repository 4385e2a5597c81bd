"""Periodic tasks: save the cursors, make silent members away, delete old data."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from protocol.errors import ContractError
from server import logs
from server.chat.room import Room
from server.clock import Clock
from server.message_log.base import LogError

SAVE_CURSORS_EVERY: Final = 1.0  # seconds
DISMISS_EVERY: Final = 5.0  # seconds


async def run_maintenance(room: Room, clock: Clock) -> None:
    """Run until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_every(SAVE_CURSORS_EVERY, room.save_cursors, clock))
        group.create_task(_every(DISMISS_EVERY, room.dismiss_silent, clock))
        group.create_task(_every(room.retention.interval, room.drop_old, clock))


async def _every(seconds: float, work: Callable[[], Awaitable[None]], clock: Clock) -> None:
    never = asyncio.Event()
    problem = ""
    while True:
        try:
            await work()
            problem = ""
        except (ContractError, LogError) as error:
            if problem != str(error):  # log a full disk once, not every second
                problem = str(error)
                logs.server.error("Could not finish a periodic task; it will run again: %s", problem)
        except Exception:
            # Log a bug, and do not let it end the task.
            logs.server.exception("Unexpected error in a periodic task; it will run again")
        await clock.wait(never, clock.monotonic() + seconds)
