"""What lies between page and container, for a test to break."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from playwright.async_api import Page, Route, WebSocketRoute


class Wire:
    """Passes frames on, but those that hold the words to be swallowed; `cut` breaks it, `is_open` lets it be mended.

    `refuse` and `answer`: words -> the JSON-RPC error, or the result, that answers the page's calls which hold them, in
    the container's stead.
    """

    def __init__(self, swallow_up: str = "", swallow_down: str = "") -> None:
        self.swallow_up = swallow_up
        self.swallow_down = swallow_down
        self.refuse: dict[str, Mapping[str, Any]] = {}
        self.answer: dict[str, Mapping[str, Any]] = {}
        self.answered = asyncio.Event()
        self._calls: list[str] = []
        self._called = asyncio.Event()
        self.is_open = asyncio.Event()
        self.is_open.set()
        self._routes: list[WebSocketRoute] = []

    async def attach(self, tab: Page) -> None:
        await tab.route_web_socket("**/ws", self._connect)
        await tab.route("**/status*", self._ask)

    async def cut(self) -> None:
        await self._routes[-1].close(code=1001, reason="")

    def calls(self, method: str) -> int:
        """Tell how often the page has called a method, whatever became of it."""
        return sum(f'"method":"{method}"' in call for call in self._calls)

    async def has_called(self, method: str, times: int) -> None:
        """Return when the page has called a method so often."""
        async with asyncio.timeout(60):
            while self.calls(method) < times:
                self._called.clear()
                await self._called.wait()

    async def _ask(self, route: Route) -> None:
        """Refuse HTTP, too, while the wire is not open."""
        await (route.continue_() if self.is_open.is_set() else route.abort())

    async def _connect(self, page: WebSocketRoute) -> None:
        await self.is_open.wait()
        self._routes.append(page)
        container = page.connect_to_server()
        page.on_message(lambda frame: self._up(frame, page, container))
        container.on_message(lambda frame: _pass(frame, page, self.swallow_down))

    def _up(self, frame: str | bytes, page: WebSocketRoute, container: WebSocketRoute) -> None:
        self._calls.append(str(frame))
        self._called.set()
        for kind, answers in (("error", self.refuse), ("result", self.answer)):
            for words, answer in answers.items():
                if words in str(frame):
                    page.send(json.dumps({"jsonrpc": "2.0", "id": json.loads(frame)["id"], kind: answer}))
                    self.answered.set()
                    return
        _pass(frame, container, self.swallow_up)


def _pass(frame: str | bytes, to: WebSocketRoute, swallowed: str) -> None:
    if not swallowed or swallowed not in str(frame):
        to.send(frame)
