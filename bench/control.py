"""How the harness and the processes it starts talk: a line of JSON on stdin asks, a line of JSON on stdout answers."""

import asyncio
import contextlib
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import msgspec
import uvloop

Arguments = TypeVar("Arguments")
Command = Callable[..., Awaitable[Mapping[str, Any]]]


class RunFailed(Exception):
    """A run that gives no figure. `str()` says why."""


@contextlib.asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Bound what is awaited in the block; raises `RunFailed` that names it."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RunFailed(f"{what}: not within {seconds:g} s") from None


async def until(condition: Callable[[], bool], look_again: float = 0.02) -> None:
    """Wait until something is so, looking every so many seconds."""
    while not condition():  # noqa: ASYNC110 (what is looked at happens too often to tell of each time)
        await asyncio.sleep(look_again)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop, with all the open files that the system lets a process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def arguments(kind: type[Arguments]) -> Arguments:
    """Give what the harness has started this process with."""
    return msgspec.json.decode(sys.argv[1], type=kind)


async def answer_commands(first: Mapping[str, Any], **commands: Command) -> None:
    """Tell `first`, then do what the harness asks until it closes stdin, which its death does as well."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _tell(first)
    while line := await reader.readline():
        order = msgspec.json.decode(line)
        try:
            told = await commands[order.pop("command")](**order)
        except RunFailed as problem:
            told = {"error": str(problem)}
        _tell(told)


def _tell(what: Mapping[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()
