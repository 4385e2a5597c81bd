"""A page on a real socket with fake participants behind it, and tabs that speak to its WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, web

from client.faces.web.page import Page
from tests.client.faces.web.fake_participant import Participants

HOSTS = ("localhost", "127.0.0.1", "[::1]", "chat.example:8443")
COOKIE = "ringback-5f7d8ff1ae08"
FORMER_COOKIE = "ringback-box-8080"


class Clock:
    """A sleep that lasts until the test lets time pass."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._asleep = asyncio.Event()
        self._pass = asyncio.Event()

    async def fell_asleep(self) -> None:
        await asyncio.wait_for(self._asleep.wait(), 60)

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._asleep.set()
        await self._pass.wait()

    def let_time_pass(self) -> None:
        self._pass.set()


class FakeTab:
    """What a tab does, by hand: each frame that comes is either an answer or a notification."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.notices: list[dict[str, Any]] = []

    async def frame(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.receive_str(), 60))
        return decoded

    async def notice(self) -> tuple[str, dict[str, Any]]:
        frame = self.notices.pop(0) if self.notices else await self.frame()
        return frame["method"], frame["params"]

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return await self.say(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))

    async def say(self, text: str) -> dict[str, Any]:
        await self.socket.send_str(text)
        while "method" in (frame := await self.frame()):
            self.notices.append(frame)
        return frame

    async def joined(self, name: str = "Alice") -> "FakeTab":
        assert (await self.notice())[1]["state"] == "new"
        assert "result" in await self.ask("Register", name=name)
        assert (await self.notice())[1]["state"] == "online"
        return self


class Browser:
    """A client with cookies of its own; `tab()` opens the WebSocket as the page would."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = ClientSession(base_url=origin, cookie_jar=CookieJar(unsafe=True))  # unsafe: for an IP address
        self._tabs: list[FakeTab] = []  # aiohttp closes a WebSocket that nobody holds

    async def tab(self, **headers: str) -> FakeTab:
        self._tabs.append(FakeTab(await self.http.ws_connect("/ws", headers={"Origin": self.origin} | headers)))
        return self._tabs[-1]

    async def close(self) -> None:
        for tab in self._tabs:
            await tab.socket.close()
        await self.http.close()


NewBrowser = Callable[[], Awaitable[Browser]]


@pytest.fixture
def participants() -> Participants:
    return Participants()


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
def page(participants: Participants, clock: Clock) -> Page:
    return Page(
        participants,
        hosts=HOSTS,
        server="http://chat.example:9999",
        cookie_name=COOKIE,
        former_cookie_name=FORMER_COOKIE,
        max_sessions=3,
        grace=60,
        sleep=clock.sleep,
    )


@pytest.fixture
async def running(page: Page) -> AsyncIterator[web.AppRunner]:
    # Not aiohttp's TestServer: it cancels the handler of a connection that ends, which a real server does not.
    app = web.Application()
    page.add_to(app)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner
    await runner.cleanup()


@pytest.fixture
async def new_browser(running: web.AppRunner) -> AsyncIterator[NewBrowser]:
    browsers: list[Browser] = []
    origin = f"http://127.0.0.1:{running.addresses[0][1]}"

    async def make() -> Browser:
        browsers.append(Browser(origin))
        return browsers[-1]

    yield make
    for browser in browsers:
        await browser.close()


@pytest.fixture
async def browser(new_browser: NewBrowser) -> Browser:
    return await new_browser()
