"""What the benchmarks share: the server as a process of its own, and calls to it."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class RunningServer:
    """`python -m server` on a free port. `url` is that of its `/rpc`."""

    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession

    @property
    def memory(self) -> float:
        """The memory that the process has resident, in MiB (Linux)."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE

    async def call(self, method: str, token: str = "", **params: Any) -> Any:
        """Call a method and give its result."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(self.url, json=request, headers=headers) as response:
            return (await response.json())["result"]


@contextlib.asynccontextmanager
async def running_server(store: str = "memory:", **settings: str) -> AsyncIterator[RunningServer]:
    """Start a server with these settings, by the names of their variables; it ends with the block."""
    environment = {**os.environ, "CHAT_HOST": "127.0.0.1", "CHAT_PORT": "0", "CHAT_STORE": store, **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode()
    drained = asyncio.create_task(process.stdout.read())
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield RunningServer(process, f"http://127.0.0.1:{first.rsplit(':', 1)[1].strip()}/rpc", session)
    finally:
        process.terminate()
        await process.wait()
        await drained


def say(line: str) -> None:
    """Print a line of results at once."""
    print(line, flush=True)  # noqa: T201
