"""What lies between page and container, for a test to break."""

import asyncio

from playwright.async_api import Page, WebSocketRoute


class Wire:
    """Passes frames on, but those that hold the words to be swallowed; `cut` breaks it, `is_open` lets it be mended."""

    def __init__(self, swallow_up: str = "", swallow_down: str = "") -> None:
        self.swallow_up = swallow_up
        self.swallow_down = swallow_down
        self.is_open = asyncio.Event()
        self.is_open.set()
        self._routes: list[WebSocketRoute] = []

    async def attach(self, tab: Page) -> None:
        await tab.route_web_socket("**/ws", self._connect)

    async def cut(self) -> None:
        await self._routes[-1].close(code=1001, reason="")

    async def _connect(self, page: WebSocketRoute) -> None:
        await self.is_open.wait()
        self._routes.append(page)
        container = page.connect_to_server()
        page.on_message(lambda frame: _pass(frame, container, self.swallow_up))
        container.on_message(lambda frame: _pass(frame, page, self.swallow_down))


def _pass(frame: str | bytes, to: WebSocketRoute, swallowed: str) -> None:
    if not swallowed or swallowed not in str(frame):
        to.send(frame)
