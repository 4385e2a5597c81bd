"""Protocol between the harness and its child processes: a JSON line on stdin asks, a JSON line on stdout responds."""

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
    """A run without valid figures. `str()` is the cause."""


@contextlib.asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Limit the time of the block. Raise `RunFailed` with the description `what`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RunFailed(f"{what} took more than {seconds:g} s") from None


async def until(condition: Callable[[], bool], look_again: float = 0.02) -> None:
    """Poll until `condition()` is true, every `look_again` seconds."""
    while not condition():  # noqa: ASYNC110 (the conditions change too often for an event per change)
        await asyncio.sleep(look_again)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop, with the limit of open files raised to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def arguments(kind: type[Arguments]) -> Arguments:
    """Return the parameters that the harness passed to this process."""
    return msgspec.json.decode(sys.argv[1], type=kind)


async def answer_commands(first: Mapping[str, Any], **commands: Command) -> None:
    """Write `first`, then run the harness's commands until stdin is closed, which the end of the harness does too."""
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
