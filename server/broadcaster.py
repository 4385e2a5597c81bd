"""The background task that follows the log and wakes every delivery that is idle."""

from collections.abc import Mapping

from server.delivery import Delivery
from server.message_log.base import MessageLog


async def broadcast(log: MessageLog, deliveries: Mapping[str, Delivery]) -> None:
    """Run until cancelled. Who is busy or backing off finds what is new by itself, when its turn comes."""
    seen = log.newest
    while True:
        await log.wait_beyond(seen)
        seen = log.newest
        for delivery in deliveries.values():
            if delivery.is_idle:
                delivery.wake()
