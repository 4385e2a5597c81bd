"""Scenarios with many registrations, with many idle recipients, and of long duration."""

import asyncio
from typing import Final

from bench.harness import MEBIBYTE, child, cpu_seconds, resident_bytes, running_server
from bench.scenarios import SENDERS, Figures, Options, fan_out, ringback

STORM_CLIENTS: Final = 1000
STORM_SECONDS: Final = 120.0
IDLE_RECIPIENTS: Final = 5000
IDLE_AT_ONCE: Final = 100
IDLE_REGISTER_SECONDS: Final = 900.0
IDLE_SECONDS: Final = 20.0  # longer than the 15 s after which the server probes silent recipients
MINUTE: Final = 60.0


async def register_at_once(_options: Options) -> Figures:
    """Register 1,000 clients at the same moment."""
    async with child("storm", clients=STORM_CLIENTS) as storm, running_server() as server:
        await storm.ask("connect", port=int(server.url.rsplit(":", 1)[1].partition("/")[0]))
        cpu = cpu_seconds(server.pid)
        figures = await storm.ask("register", STORM_SECONDS)
        cpu = cpu_seconds(server.pid) - cpu
    return figures | {"cpu_per_million": cpu / figures["deliveries"] * 1e6}


async def be_idle(_options: Options) -> Figures:
    """Register 5,000 recipients, 100 at a time, and measure the server's memory per idle recipient."""
    async with child("load", recipients=IDLE_RECIPIENTS, max_batch=256) as load, running_server() as server:
        before = resident_bytes(server.pid)
        await load.ask("register", IDLE_REGISTER_SECONDS, url=server.url, at_once=IDLE_AT_ONCE, close=True)
        registered = resident_bytes(server.pid)
        await asyncio.sleep(IDLE_SECONDS)
        after = resident_bytes(server.pid)
        await load.ask("count")
    return {
        "before_mib": before / MEBIBYTE,
        "registered_mib": registered / MEBIBYTE,
        "after_mib": after / MEBIBYTE,
        "kib_per_recipient": (after - before) / 1024 / IDLE_RECIPIENTS,
    }


async def soak(options: Options) -> Figures:
    """Measure the maximum rate, send at a quarter of it, and compare the last minute with the first."""
    per_second = (await fan_out(options))["deliveries_per_second"] / 100 / 4
    figures = {"messages_per_second": per_second}
    async with ringback(recipients=100, senders=SENDERS, max_batch=256) as stage:
        await stage.load.ask("pace", per_second=per_second)
        minutes = []
        for number in range(1, options.soak_minutes + 1):
            minutes.append(await stage.measure(MINUTE))
            figures[f"resident_mib_{number}"] = resident_bytes(stage.pid) / MEBIBYTE
    first, last = minutes[0], minutes[-1]
    return figures | {
        "cpu_per_million_first": first["cpu_per_million"],
        "cpu_per_million": last["cpu_per_million"],
        "first_to_last": first["cpu_per_million"] / last["cpu_per_million"],
        "growth": figures[f"resident_mib_{options.soak_minutes}"] / figures["resident_mib_1"],
    }
