"""The processes that are killed: the server, and the recipients with what they wrote down."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, cast

from tests.crash.history import Record
from tests.crash.plan import Crash, Cut, Fault, Hold
from tests.crash.recording import Recording
from tests.processes import Program

TERM_SECONDS: Final = 30.0  # the server needs 10 s at most, by the contract; what a busy machine adds is not its fault
# Below the ports that systems give out by themselves, so that nobody else gets it while the server is away. Nor does a
# connection attempt to it end up as a connection with itself, which on a port of that range happens once in a while.
FIXED_PORTS: Final = range(20_000, 30_000)


class BrokenError(Exception):
    """A process did something that it must not do, whatever happens to it."""


class Process(Program):
    """A program that is signalled; it knows when it has ended by itself."""

    @classmethod
    async def launch(cls, *arguments: str) -> "Process":
        """Start it as `Program.start` does."""
        return cast("Process", await cls.start(*arguments))

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Signal it while it runs.

        Not by asyncio's `send_signal`, which looks whether the process has ended, and if so takes its exit status away
        from whoever waits for it.
        """
        with contextlib.suppress(ProcessLookupError):  # it has ended in this moment
            os.kill(self.pid, number)

    async def tells(self, words: str) -> None:
        """Wait until it has printed this. Raises `BrokenError` when it ends before, or takes too long."""
        try:
            await self.after(words)
        except (AssertionError, TimeoutError) as error:
            raise BrokenError(f"{words!r} was never printed ({error!r}):\n{self}") from None


class Subject:
    """What is killed and started again: one process after the other. Their output goes into one file."""

    def __init__(self, output: Path, *arguments: str) -> None:
        self.tracebacks: list[str] = []
        self._output = output
        self._arguments = arguments
        self._process: Process | None = None

    def see_alive(self) -> None:
        """Raise `BrokenError` if it has ended by itself."""
        if not self._running.runs:
            raise BrokenError(f"a process has ended by itself, see {self._output}:\n{self._running}")

    def send(self, number: signal.Signals) -> None:
        """Signal it. Raises `BrokenError` if it has ended by itself."""
        self.see_alive()
        self._running.send(number)

    async def end(self, expected: int = -signal.SIGKILL) -> None:
        """Wait for its end. Raises `BrokenError` when its exit status is not the expected one."""
        status = await self._bury()
        if status != expected:
            raise BrokenError(f"a process ended with {status} instead of {expected}, see {self._output}")

    async def clean_up(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            if self._process.runs:
                self._process.send(signal.SIGKILL)
            await self._bury()

    @property
    def _running(self) -> Process:
        assert self._process is not None
        return self._process

    async def _bury(self) -> int:
        process = self._running
        status = await process.end()
        self._process = None
        with self._output.open("a") as output:
            output.write(f"{process}\n--- ended with {status}\n")
        if "Traceback" in str(process):
            self.tracebacks.append(f"a traceback was printed, see {self._output}:\n{process}")
        return status

    async def _launch(self) -> None:
        self._process = await Process.launch(*self._arguments)


class ServerProcess(Subject):
    """One server after the other, on the same port and store."""

    def __init__(self, options: Sequence[str], output: Path) -> None:
        port = _fixed_port()
        super().__init__(output, "-m", "server", "--host", "127.0.0.1", "--port", str(port), *options)
        self.url = f"http://127.0.0.1:{port}"
        self.starts: list[float] = []

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        began = time.monotonic()
        await self._launch()
        await self._running.tells("Real-time RPC chat server running on ")
        self.starts.append(time.monotonic() - began)

    async def start_and_kill(self, seconds: float) -> None:
        """Start it and kill it after so many seconds."""
        await self._launch()
        await asyncio.sleep(seconds)
        self.send(signal.SIGKILL)
        await self.end()

    async def terminate(self) -> float:
        """End it with SIGTERM, and see that it ends well; gives the seconds that it took."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(TERM_SECONDS):
                await self.end(expected=0)
        except TimeoutError:
            raise BrokenError(f"SIGTERM did not end the server within {TERM_SECONDS:g} s") from None
        return time.monotonic() - began


class RecipientProcess(Subject):
    """One recipient, through all its processes. Its faults come one after the other."""

    def __init__(self, number: int, server: str, directory: Path, known: dict[Record, Record]) -> None:
        self.id = f"recipient-{number:02}"
        self.recording = Recording(directory / f"{self.id}.jsonl", known)
        self.is_down = False
        self.is_held = False
        self._token_file = directory / f"{self.id}.token"
        self._turn = asyncio.Lock()
        # Every second one never calls by itself once it is in: the server has to go on ringing it by itself.
        ping = 0.0 if number % 2 else 0.5 + number / 4
        super().__init__(
            directory / f"{self.id}.log",
            *("-m", "tests.crash.recipient", "--server", server, "--name", self.id, "--directory", str(directory)),
            *("--max-batch", str((1, 16, 256)[number % 3]), "--ping", str(ping)),
        )

    @property
    def token(self) -> str:
        """The token that it has written down."""
        return self._token_file.read_text()

    async def enter(self) -> None:
        """Start it for the first time and wait until it is registered."""
        await self._launch()
        await self._running.tells("registered")

    async def suffer(self, fault: Fault) -> None:
        """Let it happen."""
        match fault:
            case Crash(down=down):
                async with self._turn:
                    await self._crash(down)
            case Hold(seconds=seconds):
                async with self.held():
                    await asyncio.sleep(seconds)
            case Cut(taken=taken):
                async with self._turn:
                    self.send(signal.SIGUSR1 if taken else signal.SIGUSR2)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Stop it where it stands, and let it go on afterwards."""
        async with self._turn:
            self.send(signal.SIGSTOP)
            self.is_held = True
            try:
                yield
            finally:
                self.send(signal.SIGCONT)
                self.is_held = False

    async def _crash(self, seconds: float) -> None:
        self.is_down = True
        self.send(signal.SIGKILL)
        await self.end()
        await asyncio.sleep(seconds)
        await self._launch()
        await self._running.tells("listening")  # it registers as soon as there is a server
        self.is_down = False


def _fixed_port() -> int:
    for port in random.sample(FIXED_PORTS, 100):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise BrokenError(f"no port of {FIXED_PORTS} is free")
