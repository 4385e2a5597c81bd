"""The scenarios: each starts its processes, warms up, and measures for some seconds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bench.control import RunFailed
from bench.harness import Child, child, cpu_seconds, running_server

WARM_UP_SECONDS: Final = 1.0
SENDERS: Final = 64
REGISTER_AT_ONCE: Final = 50
REGISTER_SECONDS: Final = 300.0
ARRIVE_SECONDS: Final = 60.0

Figures = dict[str, float]


@dataclass(frozen=True)
class Options:
    """The duration of the measurements."""

    seconds: float = 5.0
    soak_minutes: int = 10


Scenario = Callable[[Options], Awaitable[Figures]]


@dataclass(frozen=True)
class Stage:
    """A running scenario: the load, and the id of the process whose CPU time is measured."""

    load: Child
    pid: int

    async def measure(self, seconds: float) -> Figures:
        """Warm up, then return rates per second, and CPU seconds per million deliveries."""
        await asyncio.sleep(WARM_UP_SECONDS)
        return await self._count(seconds)

    async def time(self, seconds: float) -> Figures:
        """Do the same as `measure`, then stop the senders, and add the latencies of the messages sent meanwhile."""
        await asyncio.sleep(WARM_UP_SECONDS)
        await self.load.ask("begin_timing")
        return await self._count(seconds) | await self.load.ask("finish", ARRIVE_SECONDS)

    async def _count(self, seconds: float) -> Figures:
        before, costs = await self.load.ask("count"), self._costs()
        await asyncio.sleep(seconds)
        after, (cpu, load) = await self.load.ask("count"), self._costs()
        cpu, load = cpu - costs[0], load - costs[1]
        span = after["at"] - before["at"]
        counts = {name: after[name] - before[name] for name in ("posts", "deliveries", "answers")}
        done = counts["deliveries"] or counts["answers"]
        if not done:
            raise RunFailed(f"nothing was delivered or answered within {seconds:g} s")
        figures = {f"{name}_per_second": count / span for name, count in counts.items()}
        return figures | {"cpu_per_million": cpu / done * 1e6, "cores": cpu / span, "load_cores": load / span}

    def _costs(self) -> tuple[float, float]:
        return cpu_seconds(self.pid), cpu_seconds(self.load.pid)


@contextlib.asynccontextmanager
async def ringback(
    *, module: str = "server", settings: Mapping[str, str] = MappingProxyType({}), **load: int
) -> AsyncIterator[Stage]:  # fmt: skip
    """Start a server and register all recipients and senders; `load` are the parameters of `bench.load`."""
    async with child("load", **load) as parties, running_server(module=module, **settings) as server:
        await parties.ask("register", REGISTER_SECONDS, url=server.url, at_once=REGISTER_AT_ONCE, close=False)
        yield Stage(parties, server.pid)


async def fan_out(options: Options, *, recipients: int = 100, max_batch: int = 256) -> Figures:
    """Send as fast as the server stores (64 senders), or with `max_batch` 1 as fast as messages arrive (4 senders).

    Without batches, senders that wait only for their responses are faster than the deliveries, so that the run would
    measure a growing backlog.
    """
    mode, senders = ("loop_on_arrival", 4) if max_batch == 1 else ("loop_on_answer", SENDERS)
    async with ringback(recipients=recipients, senders=senders, max_batch=max_batch) as stage:
        await stage.load.ask(mode)
        return await stage.measure(options.seconds)


async def only_send(options: Options) -> Figures:
    """Send from 64 senders, without recipients."""
    async with ringback(senders=SENDERS) as stage:
        await stage.load.ask("loop_on_answer")
        return await stage.measure(options.seconds)


async def rival_fan_out(options: Options, *, rival: str, recipients: int = 100) -> Figures:
    """Measure *raw* or *plain*, which post as fast as they can."""
    async with (
        child("load", recipients=recipients, ordered=False) as load,
        child(rival, port=load.port, recipients=recipients) as posting,
    ):
        return await Stage(load, posting.pid).measure(options.seconds)


async def rival_only_send(options: Options) -> Figures:
    """Send to the bare handler from 64 senders."""
    async with child("load", senders=SENDERS) as load, child("handler") as handler:
        await load.ask("aim", url=handler.url)
        await load.ask("loop_on_answer")
        return await Stage(load, handler.pid).measure(options.seconds)


async def trickle(options: Options, *, per_second: float = 20.0, senders: int = 1) -> Figures:
    """Send at a constant rate to 100 recipients."""
    async with ringback(recipients=100, senders=senders, max_batch=256) as stage:
        await stage.load.ask("pace", per_second=per_second)
        return await stage.time(options.seconds)


async def trickle_among_the_bad(options: Options) -> Figures:
    """Run `trickle` beside 10 recipients that never respond, and 10 with a slow name that cut their connections."""
    everybody = {"recipients": 100, "hanging": 10, "cut": 10, "senders": 1, "max_batch": 256}
    settings = {"CHAT_EVICT_AFTER": "3600"}  # evictions would make the scenario easier
    async with ringback(module="bench.slow_names", settings=settings, **everybody) as stage:
        await stage.load.ask("pace", per_second=20.0)
        return await stage.time(options.seconds)


async def rival_trickle(options: Options) -> Figures:
    """Send 20 messages a second to *plain*, which has 100 recipients."""
    async with (
        child("load", recipients=100, senders=1, ordered=False) as load,
        child("plain", port=load.port, recipients=100, serves=True) as plain,
    ):
        await load.ask("aim", url=plain.url)
        await load.ask("pace", per_second=20.0)
        return await Stage(load, plain.pid).time(options.seconds)


async def half_rate(options: Options) -> Figures:
    """Measure the maximum rate, then send at half of it."""
    fastest = (await fan_out(options))["deliveries_per_second"] / 100
    figures = await trickle(options, senders=SENDERS, per_second=fastest / 2)
    return figures | {"messages_per_second": fastest / 2}
