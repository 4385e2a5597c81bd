"""The rival *bare handler*: aiohttp that reads the body and answers always the same, as fast as aiohttp can."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from bench.control import answer_commands, run
from protocol.methods import RPC_PATH

ANSWER: Final = (
    b'{"jsonrpc":"2.0","result":{"success":true,"message":"Message sent successfully","seq":123456},"id":1}'
)  # fmt: skip


async def answer(request: web.Request) -> web.Response:
    """Read and answer."""
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


async def serve(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> int:
    """Serve `POST /rpc` with this handler on a free port of this machine, and give the port."""
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
