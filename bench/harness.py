"""Shared by the benchmarks: run the server and its rivals as processes, call them, and measure CPU and memory."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from bench.control import RunFailed, until, within

MEBIBYTE: Final = 1024 * 1024
DISK: Final = "/var/tmp"  # persistent across reboots, so on a disk; /tmp may be in memory
TICKS: Final = os.sysconf("SC_CLK_TCK")

START_SECONDS: Final = 20.0
ANSWER_SECONDS: Final = 20.0
END_SECONDS: Final = 15.0  # the server drains for up to 10 s


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, in user and system mode, in seconds (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, in bytes (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class RunningServer:
    """`python -m server` on a free port. `url` is the URL of its `/rpc`."""

    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def memory(self) -> float:
        """The resident memory of the process, in MiB (Linux)."""
        return resident_bytes(self.pid) / MEBIBYTE

    async def call(self, method: str, token: str = "", **params: Any) -> Any:
        """Call a method and return its result."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(self.url, json=request, headers=headers) as response:
            return (await response.json())["result"]


@contextlib.asynccontextmanager
async def running_server(
    store: str = "", *, module: str = "server", **settings: str
) -> AsyncIterator[RunningServer]:  # fmt: skip
    """Run a server during the block, with `settings` as environment variables.

    Without `store`, the server gets a new store on disk. Raise `RunFailed` if it does not start, or logs an error.
    """
    with tempfile.TemporaryDirectory(dir=DISK) as directory:
        output = Path(directory) / "output"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
        environment |= {"CHAT_HOST": "127.0.0.1", "CHAT_PORT": "0", "CHAT_RATE": "0"}
        environment |= {"CHAT_STORE": store or f"sqlite:{directory}/chat.db", **settings}
        async with contextlib.AsyncExitStack() as stack:
            file = stack.enter_context(output.open("wb"))
            process = await stack.enter_async_context(_started(module, stdout=file, stderr=file, env=environment))
            connector = aiohttp.TCPConnector(limit=0)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            yield RunningServer(process, f"http://127.0.0.1:{await _find_port(output, process)}/rpc", session)
        _see_that_all_went_well(output)


class Child:
    """A process of the bench that runs commands of the harness."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name
        self.port = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """The URL at which the process accepts `SendMessage`, if it serves."""
        return f"http://127.0.0.1:{self.port}/rpc"

    async def ask(self, command: str, seconds: float = ANSWER_SECONDS, **parameters: Any) -> dict[str, Any]:
        """Run a command in the process and return its result. Raise `RunFailed`, also after `seconds`."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode({"command": command, **parameters}) + b"\n")
        async with within(seconds, f"{command} by {self._name}"):
            return await self.listen()

    async def listen(self) -> dict[str, Any]:
        """Return the next JSON line of the process. Raise `RunFailed` if it is an error or the process has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RunFailed(f"{self._name} has ended; see its stderr")
        told: dict[str, Any] = msgspec.json.decode(line)
        if "error" in told:
            raise RunFailed(f"{self._name}: {told['error']}")
        return told


@contextlib.asynccontextmanager
async def child(name: str, **parameters: Any) -> AsyncIterator[Child]:
    """Run `python -m bench.NAME` with `parameters` during the block."""
    pipe = asyncio.subprocess.PIPE
    starting = _started(f"bench.{name}", msgspec.json.encode(parameters).decode(), stdin=pipe, stdout=pipe)
    async with starting as process:
        running = Child(process, name)
        async with within(START_SECONDS, f"the start of {name}"):
            running.port = (await running.listen()).get("port", 0)
        yield running


def say(line: str) -> None:
    """Print a line of results at once."""
    print(line, flush=True)  # noqa: T201


@contextlib.asynccontextmanager
async def _started(*module: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module in its own session: Ctrl-C then reaches only the harness, which ends its children in order."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *module, start_new_session=True, **options)
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _find_port(output: Path, process: asyncio.subprocess.Process) -> int:
    """Return the port from the first line of the server's output."""
    async with within(START_SECONDS, "the start of the server"):
        await until(lambda: process.returncode is not None or output.stat().st_size > 0)
    text = output.read_text()  # noqa: ASYNC240 (one line, and nothing else runs)
    first = text.partition("\n")[0]
    if " running on " not in first:
        sys.stderr.write(text)
        last = next(reversed(text.strip().splitlines()), "it wrote nothing")
        raise RunFailed(f"the server did not start: {last}")
    return int(first.rpartition(":")[2])


def _see_that_all_went_well(output: Path) -> None:
    with output.open("rb") as lines:
        trouble = [line.decode().strip() for line in lines if line.startswith((b"[ERROR]", b"Traceback"))]
    if trouble:
        raise RunFailed(f"the server logged {len(trouble)} errors, the first: {trouble[0]}")
