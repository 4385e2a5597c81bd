"""Measure whether one recipient that never answers delays the others.

    python -m bench.hanging

A real server process and twenty recipients; 100 messages at 50 a second, in turn with twenty that answer and with one
of them accepting connections and never answering. Prints the latency of the other nineteen, from before `SendMessage`
to the arrival of the POST, for both, and the ratio.
"""

import asyncio
import contextlib
import json
import secrets
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from bench.harness import running_server, say

RECIPIENTS = 20
MESSAGES = 100
PER_SECOND = 50
ROUNDS = 3


@dataclass
class Recipient:
    """A callback endpoint that notes when each text arrives; one that hangs answers nothing but the challenge."""

    hangs: bool = False
    arrived: dict[str, float] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.Response:
        """Take one call."""
        now = time.perf_counter()
        call = json.loads(await request.read())
        if call["method"] == "VerifyCallback":
            return web.json_response({"jsonrpc": "2.0", "result": call["params"]["challenge"], "id": call["id"]})
        if self.hangs:
            await asyncio.Event().wait()
        self.arrived[call["params"]["message"]["text"]] = now
        return web.json_response({"jsonrpc": "2.0", "result": {"success": True}, "id": call["id"]})


@contextlib.asynccontextmanager
async def listening(recipient: Recipient) -> AsyncIterator[str]:
    """Serve a recipient on a free port; gives its callback."""
    app = web.Application()
    app.router.add_post("/", recipient.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f":{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def latencies(hangs: bool) -> list[float]:
    """Run one scenario; gives the latency in milliseconds of each message at each of the nineteen."""
    recipients = [Recipient(hangs=hangs and number == 0) for number in range(RECIPIENTS)]
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server())
        for number, recipient in enumerate(recipients):
            callback = await stack.enter_async_context(listening(recipient))
            await server.call("Register", name=f"Recipient {number}", callback=callback)
        sender = await server.call("Register", name="Sender")
        sent: dict[str, float] = {}
        start = time.perf_counter()
        for number in range(MESSAGES):
            await asyncio.sleep(max(0.0, start + number / PER_SECOND - time.perf_counter()))
            text = f"{number} {secrets.token_hex(4)}"
            sent[text] = time.perf_counter()
            await server.call("SendMessage", sender["token"], user_id=sender["id"], text=text)
        others = recipients[1:]
        async with asyncio.timeout(10):
            while not all(sent.keys() <= recipient.arrived.keys() for recipient in others):  # noqa: ASYNC110 (outside of what is measured)
                await asyncio.sleep(0.05)
        return [1000 * (recipient.arrived[text] - at) for recipient in others for text, at in sent.items()]


def percentiles(values: list[float]) -> tuple[float, float]:
    """Give p50 and p99."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


async def main() -> None:
    """Run both scenarios in turn and print."""
    ratios: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        without, with_one = percentiles(await latencies(hangs=False)), percentiles(await latencies(hangs=True))
        ratios.append((with_one[0] / without[0], with_one[1] / without[1]))
        say(
            f"all answer: p50 {without[0]:.2f} ms, p99 {without[1]:.2f} ms | "
            f"one hangs: p50 {with_one[0]:.2f} ms, p99 {with_one[1]:.2f} ms"
        )
    p50, p99 = (statistics.median(ratio[index] for ratio in ratios) for index in (0, 1))
    say(f"median ratio, one hangs / all answer: p50 {p50:.2f}, p99 {p99:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
