"""Measure what durability costs: `SendMessage` from 64 concurrent senders, stored on disk and in memory.

    python -m bench.sending [DIRECTORY]

A real server process with a new store, in turn `sqlite:` in a directory (a temporary one if none is given: see that it
is on a disk, and not in memory) and `memory:`. Nobody listens, so that only the way in is measured. Prints answered
calls a second for both, and the ratio.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.harness import RunningServer, running_server, say

SENDERS = 64
SECONDS = 5.0
ROUNDS = 3


async def rate(store: str) -> float:
    """Give how many messages a second are answered."""
    async with running_server(store) as server:
        seats = [await server.call("Register", name=f"Sender {number}") for number in range(SENDERS)]
        begin = time.perf_counter()
        counts = await asyncio.gather(*(send_until(server, seat, begin + SECONDS) for seat in seats))
        return sum(counts) / (time.perf_counter() - begin)


async def send_until(server: RunningServer, seat: dict[str, str], end: float) -> int:
    """Send one message after the other; gives how many were answered."""
    count = 0
    while time.perf_counter() < end:
        count += 1
        text = f"message {count}"
        result = await server.call("SendMessage", seat["token"], user_id=seat["id"], text=text)
        assert result["success"]
    return count


async def main(directory: Path) -> None:
    """Measure both in turn and print."""
    ratios = []
    for number in range(ROUNDS):
        durable = await rate(f"sqlite:{directory / f'{number}.db'}")
        volatile = await rate("memory:")
        ratios.append(durable / volatile)
        say(f"on disk {durable:.0f}/s, in memory {volatile:.0f}/s, ratio {ratios[-1]:.2f}")
    say(f"median ratio, on disk / in memory: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        asyncio.run(main(Path(temporary)))
