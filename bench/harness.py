"""What the benchmarks share: the server and its rivals as processes of their own, calls to them, what they cost."""

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
DISK: Final = "/var/tmp"  # kept across a restart, so that it is on a disk; /tmp may be memory
TICKS: Final = os.sysconf("SC_CLK_TCK")

START_SECONDS: Final = 20.0
ANSWER_SECONDS: Final = 20.0
END_SECONDS: Final = 15.0  # the server's own drain takes up to ten


def cpu_seconds(pid: int) -> float:
    """Give the processor time that a process has used in all its threads, in user and system mode (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid: int) -> int:
    """Give the memory that a process has resident (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class RunningServer:
    """`python -m server` on a free port. `url` is that of its `/rpc`."""

    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def memory(self) -> float:
        """The memory that the process has resident, in MiB (Linux)."""
        return resident_bytes(self.pid) / MEBIBYTE

    async def call(self, method: str, token: str = "", **params: Any) -> Any:
        """Call a method and give its result."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(self.url, json=request, headers=headers) as response:
            return (await response.json())["result"]


@contextlib.asynccontextmanager
async def running_server(
    store: str = "", *, module: str = "server", **settings: str
) -> AsyncIterator[RunningServer]:  # fmt: skip
    """Start a server with these settings, by the names of their variables; it ends with the block.

    Without a `store` it has a new one on disk. Raises `RunFailed` if it does not start, or has logged an error.
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
    """A process of the bench that does what it is asked."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name
        self.port = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it takes `SendMessage`, if it does."""
        return f"http://127.0.0.1:{self.port}/rpc"

    async def ask(self, command: str, seconds: float = ANSWER_SECONDS, **parameters: Any) -> dict[str, Any]:
        """Have a command done, for at most so long, and give what it told. Raises `RunFailed`."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode({"command": command, **parameters}) + b"\n")
        async with within(seconds, f"{command} by {self._name}"):
            return await self.listen()

    async def listen(self) -> dict[str, Any]:
        """Give the next thing that it tells."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RunFailed(f"{self._name} has ended; what it wrote on stderr says why")
        told: dict[str, Any] = msgspec.json.decode(line)
        if "error" in told:
            raise RunFailed(f"{self._name}: {told['error']}")
        return told


@contextlib.asynccontextmanager
async def child(name: str, **parameters: Any) -> AsyncIterator[Child]:
    """Start `python -m bench.NAME` with these parameters; it ends with the block."""
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
    """Run a module, in a session of its own: Ctrl-C is for the harness, which ends the others in their order."""
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
    """Read the port in the first line of what the server tells."""
    async with within(START_SECONDS, "the start of the server"):
        await until(lambda: process.returncode is not None or output.stat().st_size > 0)
    text = output.read_text()  # noqa: ASYNC240 (one line, and nothing else runs)
    first = text.partition("\n")[0]
    if " running on " not in first:
        sys.stderr.write(text)
        last = next(reversed(text.strip().splitlines()), "it told nothing")
        raise RunFailed(f"the server did not start: {last}")
    return int(first.rpartition(":")[2])


def _see_that_all_went_well(output: Path) -> None:
    with output.open("rb") as lines:
        trouble = [line.decode().strip() for line in lines if line.startswith((b"[ERROR]", b"Traceback"))]
    if trouble:
        raise RunFailed(f"the server logged {len(trouble)} errors, the first: {trouble[0]}")
