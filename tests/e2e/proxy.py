"""A reverse proxy in front of the page, with the habits of those that people use."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import WSMessage, hdrs, web

HOP_BY_HOP = {"connection", "upgrade", "keep-alive", "transfer-encoding", "content-length", "sec-websocket-extensions"}


@dataclass
class Proxy:
    """Passes requests on to `upstream`, below `path`, whose part it takes away.

    `host_of` makes the Host that is passed on of the one that came. `drops_upgrade`: as one that knows no WebSocket.
    """

    upstream: str
    path: str = ""
    host_of: Callable[[str], str] = lambda host: host
    headers: dict[str, str] = field(default_factory=dict)
    drops_upgrade: bool = False
    status: int | None = None  # answered to all but files, in the upstream's stead
    session: aiohttp.ClientSession = field(init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Give the address of the page behind it."""
        app = web.Application()
        app.router.add_get(self.path + "/{rest:.*}", self._pass)
        runner = web.AppRunner(app, shutdown_timeout=0.1)  # WebSockets that are open end with it
        connector = aiohttp.TCPConnector(force_close=True)  # no request meets a connection that is just being closed
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=jar, connector=connector) as self.session:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://localhost:{runner.addresses[0][1]}{self.path}/"
            await runner.cleanup()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if self.status is not None and not request.match_info["rest"].startswith("static/"):
            return web.Response(status=self.status)
        url = f"{self.upstream}/{request.match_info['rest']}?{request.query_string}".rstrip("?")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers |= {hdrs.HOST: self.host_of(request.headers[hdrs.HOST])} | self.headers
        if hdrs.UPGRADE in request.headers and not self.drops_upgrade:
            return await self._tunnel(request, url, headers)
        async with self.session.get(url, headers=headers) as answer:
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)

    async def _tunnel(self, request: web.Request, url: str, headers: dict[str, str]) -> web.StreamResponse:
        ours = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket")}
        try:
            upstream = await self.session.ws_connect(url, headers=ours)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        browser = web.WebSocketResponse()
        for cookie in upstream._response.headers.getall(hdrs.SET_COOKIE, []):
            browser.headers.add(hdrs.SET_COOKIE, cookie)
        await browser.prepare(request)
        await asyncio.gather(_pump(upstream, browser), _pump(browser, upstream))
        return browser


WebSocket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def _pump(source: WebSocket, target: WebSocket) -> None:
    frame: WSMessage
    async for frame in source:
        await target.send_str(frame.data)
    await target.close()
