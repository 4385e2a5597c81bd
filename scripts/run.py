"""`make run`: run a chat server and a client with its web page, on this machine, until Ctrl-C or SIGTERM."""

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
    """Run both programs. Return 0 after a signal, and 1 if a program fails to start or ends by itself."""
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
    """Return when `stop` is set or a program has ended. Raise `TimeoutError` if the server does not start to listen."""
    host, port = os.environ.get("CHAT_HOST") or "127.0.0.1", os.environ.get("CHAT_PORT") or "9999"
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # where it is reached, not where it listens
    url = os.environ.get("CHAT_SERVER") or f"http://{f'[{address}]' if ':' in address else address}:{port}"
    is_taken = await is_open(address, port)
    async with program("server", CHAT_HOST=host, CHAT_PORT=port) as server:
        # If another program listens on the port already, the server reports that and ends. Do not start a client then:
        # it would join that program.
        await first(stop.wait(), server.wait(), asyncio.sleep(START_SECONDS) if is_taken else answer(address, port))
        if stop.is_set() or server.returncode is not None:
            return
        async with program("client", "--face", "page", CHAT_SERVER=url) as client:
            await first(stop.wait(), server.wait(), client.wait())


@contextlib.asynccontextmanager
async def program(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    """Run `python -m …` during the block, then terminate it, and kill it after `STOP_SECONDS`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        env=os.environ | environment,
        stdin=DEVNULL,
        start_new_session=True,  # otherwise Ctrl-C would also stop the server before the client has unregistered
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
    """Wait until any of `waits` is done, and cancel the rest. Raise its exception, if any."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def answer(host: str, port: str) -> None:
    """Return as soon as a program listens on the port. Raise `TimeoutError` after `START_SECONDS`."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            if await is_open(host, port):
                return
            await asyncio.sleep(0.05)


async def is_open(host: str, port: str) -> bool:
    """Return true if a program listens on the port."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def say(line: str) -> None:
    """Write a line to stdout, without a buffer, so that it precedes the programs' output."""
    with contextlib.suppress(OSError):  # a closed stdout must not stop the programs
        os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
