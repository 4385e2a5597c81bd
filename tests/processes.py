"""The product's programs as processes of their own, on free ports of this machine."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PATIENCE_SECONDS: Final = 120.0  # for many programs that start at once on a busy machine


class Program:
    """A running program; what it prints is kept in `lines`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._printed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())
        self.lines: list[str] = []

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @classmethod
    async def start(cls, *arguments: str, within: Sequence[str] = ()) -> "Program":
        """Start `python` with these arguments, without any setting from the environment, by the command `within`."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
        process = await asyncio.create_subprocess_exec(
            *within,
            sys.executable,
            *arguments,
            cwd=ROOT,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return cls(process)

    async def after(self, words: str) -> str:
        """Give the rest of the first line that has these words in it, once it is printed."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._printed:
            while not (found := [line for line in self.lines if words in line]):
                assert not self._reading.done(), f"ended without printing {words!r}:\n{self}"
                await self._printed.wait()
        return found[0].partition(words)[2]

    async def end(self) -> int:
        """Wait until it has ended by itself; gives the exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._reading
            return await self._process.wait()

    async def stop(self) -> None:
        """End it as Docker does, and see that it ends well."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        code = await self.end()
        assert code == 0, f"ended with {code}:\n{self}"

    async def kill(self) -> None:
        """End it at once, as a crash would; harmless when it has ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._reading
        await self._process.wait()

    def __str__(self) -> str:
        return "\n".join(self.lines)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            await self._note(line.decode().rstrip("\n"))
        async with self._printed:
            self._printed.notify_all()

    async def _note(self, line: str) -> None:
        async with self._printed:
            self.lines.append(line)
            self._printed.notify_all()


async def start_server(*options: str, port: int = 0) -> tuple[Program, str]:
    """Start a server on loopback with its log in memory; gives it and its address, `http://127.0.0.1:PORT`."""
    where = ("--host", "127.0.0.1", "--port", str(port), "--store", "memory:")
    server = await Program.start("-m", "server", *where, *options)
    address = await server.after("Real-time RPC chat server running on ")
    return server, f"http://{address}"


async def start_page(server: str, *options: str, port: int = 0) -> tuple[Program, str]:
    """Start a client that serves only its page and remembers nothing; gives it and the page's address."""
    arguments = ("--face", "page", "--server", server, "--client-port", str(port), "--state-dir", "none")
    client = await Program.start("-m", "client", *arguments, *options)
    return client, (await client.after("Chat in a browser: ")).split()[0]
