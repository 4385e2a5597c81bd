"""`make run`: a chat server and a client with its web page, on this machine, until Ctrl-C or SIGTERM."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 20.0  # the server drains for up to 10 s


async def main() -> int:
    """Run both until a signal comes: 0; or until one fails to start, or ends by itself: 1."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    say("Starting a server and a client with its page. Ctrl-C stops both.")
    try:
        await run(stop)
    except TimeoutError:
        say(f"The server did not answer within {START_SECONDS:g} seconds.")
    return 0 if stop.is_set() else 1


async def run(stop: asyncio.Event) -> None:
    """Return when `stop` is set or one of the programs has ended; raises `TimeoutError` if the server hangs."""
    host, port = os.environ.get("CHAT_HOST") or "127.0.0.1", os.environ.get("CHAT_PORT") or "9999"
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # where it is reached, not where it listens
    url = os.environ.get("CHAT_SERVER") or f"http://{f'[{address}]' if ':' in address else address}:{port}"
    is_taken = await is_open(address, port)
    async with program("server", CHAT_HOST=host, CHAT_PORT=port) as server:
        # Where another program answers already, the server says so and ends; no client is to join that program.
        await first(stop.wait(), server.wait(), asyncio.sleep(START_SECONDS) if is_taken else answer(address, port))
        if stop.is_set() or server.returncode is not None:
            return
        async with program("client", "--face", "page", CHAT_SERVER=url) as client:
            await first(stop.wait(), server.wait(), client.wait())


@contextlib.asynccontextmanager
async def program(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    """Run `python -m …`; afterwards tell it to stop, and wait until it has."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        env=os.environ | environment,
        stdin=DEVNULL,
        start_new_session=True,  # or Ctrl-C would reach the server while the client still has to say goodbye
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait until one of them is over; raises what that one raised."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def answer(host: str, port: str) -> None:
    """Return as soon as a program listens there. Raise `TimeoutError`."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            if await is_open(host, port):
                return
            await asyncio.sleep(0.05)


async def is_open(host: str, port: str) -> bool:
    """Return whether a program listens there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def say(line: str) -> None:
    """Print before the programs do."""
    with contextlib.suppress(OSError):  # who cannot be told can still chat
        os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
