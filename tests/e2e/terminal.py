"""Somebody in a terminal."""

import asyncio
import sys

import pexpect

from tests.processes import ROOT


class Terminal:
    """A client in a pseudo-terminal; it remembers nothing."""

    def __init__(self, server: str) -> None:
        # Without colours a line is one piece in what is written.
        arguments = ["-m", "client", "--face", "terminal", "--server", server, "--state-dir", "none", "--no-color"]
        self._terminal = pexpect.spawn(sys.executable, arguments, cwd=str(ROOT), encoding="utf-8", timeout=60)

    async def join(self, name: str) -> "Terminal":
        await self.sees("Enter your name: ")
        await self.say(name)
        await self.sees(f"Welcome, {name}!")
        return self

    async def say(self, text: str) -> None:
        self._terminal.sendline(text)

    async def sees(self, text: str) -> None:
        """Return when `text` has come, after what was seen before."""
        await asyncio.to_thread(self._terminal.expect_exact, text)

    async def leave(self) -> None:
        await self.say("exit")
        await asyncio.to_thread(self._terminal.expect, pexpect.EOF)
        await asyncio.to_thread(self._terminal.close)
