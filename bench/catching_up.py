"""Measure the memory that a recipient far behind costs the server, and the time that it takes to catch up.

    python -m bench.catching_up [MESSAGES]

Starts a server process with its log on disk, and a headless client that is stopped (SIGSTOP) while 10,000 messages are
sent, and then continued. Prints the server's memory before the messages, when the client continues, and when the client
has all messages; then the same figures for as many messages with a client that keeps up.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bench.harness import RunningServer, running_server, say

SENDERS = 64
PATIENCE_SECONDS = 300.0


class Room:
    """A server with senders and a single recipient."""

    def __init__(self, server: RunningServer, seats: list[Any]) -> None:
        self._server = server
        self._seats = seats

    async def send(self, count: int) -> None:
        """Send `count` messages, from all senders in parallel."""
        await asyncio.gather(*(self._send(seat, count // SENDERS) for seat in self._seats))

    async def until_behind(self, most: int) -> None:
        """Wait until the recipient is present and at most `most` entries behind."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                members = (await self._server.call("ListMembers", self._seats[0]["token"]))["members"]
                if any(member["behind"] is not None and member["behind"] <= most for member in members):
                    return
                await asyncio.sleep(0.05)

    async def _send(self, seat: Any, count: int) -> None:
        for number in range(count):
            await self._server.call("SendMessage", seat["token"], user_id=seat["id"], text=f"message {number}")


@contextlib.asynccontextmanager
async def headless_client(server: RunningServer) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a headless client; it prints the messages to /dev/null."""
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "client", "--face", "headless", "--name", "Late", "--client-port", "0"),
        *("--server", server.url.removesuffix("/rpc")),
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "CHAT_STATE_DIR": "none"},
    )
    try:
        yield client
    finally:
        client.terminate()
        await client.wait()


async def measure(directory: Path, messages: int, *, stop: bool) -> None:
    """Send the messages, with the client stopped meanwhile if `stop`, and print the figures."""
    store = f"sqlite:{directory / f'stopped-{stop}.db'}"
    async with running_server(store, CHAT_EVICT_AFTER="3600", CHAT_LOG_TEXTS="0") as server:
        room = Room(server, [await server.call("Register", name=f"Sender {number}") for number in range(SENDERS)])
        async with headless_client(server) as client:
            await room.until_behind(0)
            await room.send(SENDERS * 50)  # warm up: allocations for the first messages are not part of the measurement
            await room.until_behind(0)
            before = server.memory
            if stop:
                client.send_signal(signal.SIGSTOP)
            await room.send(messages)
            sent, begin = server.memory, time.perf_counter()
            if stop:
                client.send_signal(signal.SIGCONT)
            await room.until_behind(0)
            seconds, after = time.perf_counter() - begin, server.memory
    who = "client stopped" if stop else "client keeps up"
    say(f"{who}: {before:.1f} MiB before, {sent:.1f} after {messages} messages, {after:.1f} after catching up")
    if stop:
        say(f"caught up in {seconds:.1f} s: {messages / seconds:.0f} messages a second")


async def main(messages: int) -> None:
    """Measure with a stopped client, then with a client that keeps up."""
    with tempfile.TemporaryDirectory() as directory:
        for stop in (True, False):
            await measure(Path(directory), messages, stop=stop)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
