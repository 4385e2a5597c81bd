"""A run: one input after the other to a port, from a seed, and the figures of it."""

import asyncio
import gc
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.fuzz.client_ports import ClientCallback, ClientRaw
from tests.fuzz.judge import Wrong
from tests.fuzz.port import Port
from tests.fuzz.server_ports import ServerRaw, ServerRpc
from tests.fuzz.watch import Watch, watching
from tests.fuzz.websocket import ClientWebSocket

PORTS: Final[Sequence[Callable[[], Port]]] = (ServerRpc, ServerRaw, ClientCallback, ClientRaw, ClientWebSocket)
NEW_CONNECTION_EVERY: Final = 10  # inputs
NEW_SUBJECT_EVERY: Final = 2500  # inputs; by then a room is full of those whom the inputs let in
TURNS: Final = 3  # of the event loop, in which a connection that is hung up on comes to its end
MOST_FAILURES: Final = 10
SHOWN_BYTES: Final = 3000


@dataclass(frozen=True)
class Failure:
    """An input after which something was not as it must be."""

    number: int
    problem: str
    whole: bytes


@dataclass
class Figures:
    """What a run has come to."""

    port: str
    seed: int
    inputs: int = 0
    seconds: float = 0.0
    slowest: tuple[float, int] = (0.0, 0)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Tell them."""
        speed = self.inputs / self.seconds if self.seconds else 0.0
        took, number = self.slowest
        return [
            f"{self.port}: {self.inputs:,} inputs in {self.seconds:.1f} s, {speed:,.0f} a second; "
            f"the slowest (input {number}) took {took * 1000:.0f} ms; {len(self.failures)} failures",
            *[f"  {count:>9,}  {kind}" for kind, count in self.kinds.most_common()],
            *[line for failure in self.failures for line in self._told(failure)],
        ]

    def _told(self, failure: Failure) -> list[str]:
        whole = repr(failure.whole)
        if len(whole) > SHOWN_BYTES:
            whole = f"{whole[:SHOWN_BYTES]}… ({len(failure.whole)} bytes)"
        again = f"--port {self.port} --seed {self.seed} --first {failure.number} --inputs 1"
        return [f"FAILED: input {failure.number} ({again}): {failure.problem}", f"  {whole}"]


async def fuzz(new_port: Callable[[], Port], seed: int, inputs: Iterable[int]) -> Figures:
    """Send the inputs with these numbers; each is drawn from the seed and its number alone."""
    figures = Figures(new_port().name, seed)
    began, numbers = time.monotonic(), iter(inputs)
    with watching() as watch:
        while some := list(itertools.islice(numbers, NEW_SUBJECT_EVERY)):
            rest = await _some(new_port(), figures, some, watch)
            numbers = itertools.chain(rest, numbers)
            if len(figures.failures) >= MOST_FAILURES:
                break
    figures.seconds = time.monotonic() - began
    return figures


async def _some(port: Port, figures: Figures, numbers: Sequence[int], watch: Watch) -> Sequence[int]:
    """Send some, up to one that hurts; gives those that are left."""
    done, whole = 0, b""
    try:
        async with port:
            for number in numbers:
                given = port.draw(Random(f"{figures.seed} {port.name} {number}"))
                done, whole = done + 1, given.whole
                await _one(port, figures, number, given, watch)
        gc.collect()  # what failed alone is told when it is forgotten
        await asyncio.sleep(0)
        watch.check()
    except Wrong as wrong:
        problem = "\n".join([str(wrong), *watch.take()])
        figures.failures.append(Failure(numbers[max(0, done - 1)], problem, whole))
    return numbers[done:]


async def _one(port: Port, figures: Figures, number: int, given: Any, watch: Watch) -> None:
    began = time.monotonic()
    figures.inputs += 1
    kind = await attempt(port, given, watch, is_checked=number % NEW_CONNECTION_EVERY == 0)
    figures.kinds[kind] += 1
    figures.slowest = max(figures.slowest, (time.monotonic() - began, number))


async def attempt(port: Port, given: Any, watch: Watch, *, is_checked: bool) -> str:
    """Send one input, and see what it has done. Raises `Wrong`."""
    kind = await port.attempt(given)
    if is_checked:
        await port.still_works()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    watch.check()
    return kind
