"""The rival *bare handler*: an aiohttp handler that reads the body and returns a constant response."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from bench.control import answer_commands, run
from protocol.methods import RPC_PATH

ANSWER: Final = (
    b'{"jsonrpc":"2.0","result":{"success":true,"message":"Message sent successfully","seq":123456},"id":1}'
)  # fmt: skip


async def answer(request: web.Request) -> web.Response:
    """Read the body and return the constant response."""
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


async def serve(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> int:
    """Serve `POST /rpc` with `handler` on a free port of 127.0.0.1. Return the port."""
    app = web.Application()
    app.router.add_post(RPC_PATH, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return port


async def main() -> None:
    """Serve until the harness ends this."""
    await answer_commands({"port": await serve(answer)})


if __name__ == "__main__":
    run(main())
