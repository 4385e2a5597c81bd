"""A server, clients with their pages, and people who sit before them in headless Chromium."""

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Dialog, Page, async_playwright, expect

from tests.e2e.chromium import EXECUTABLE, is_installed, launch_options, persistent
from tests.e2e.script import Script
from tests.e2e.wire import Wire
from tests.processes import Program, start_page, start_server


class Stack:
    """One server and one page, each a process that a test may end and start again at its address."""

    def __init__(self, server_options: Sequence[str] = (), client_options: Sequence[str] = ()) -> None:
        self.programs: list[Program] = []
        self.server_options = server_options
        self.client_options = client_options
        self.server_address = ""
        self.page_address = ""
        self._server: Program | None = None
        self._client: Program | None = None

    async def start(self) -> None:
        await self.start_server()
        await self.start_client()

    async def start_server(self) -> None:
        self._server, self.server_address = await start_server(*self.server_options, port=_port(self.server_address))
        self.programs.append(self._server)

    async def start_client(self) -> None:
        self._client, self.page_address = await start_page(
            self.server_address, *self.client_options, port=_port(self.page_address)
        )
        self.programs.append(self._client)

    async def stop_server(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop()

    async def kill_server(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.kill()

    async def stop_client(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.stop()

    async def kill_client(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.kill()


def _port(address: str) -> int:
    return int(address.rpartition(":")[2] or 0)


SAID = ":not(.pending, .waiting, .failed)"  # what is stored


class Person:
    """Somebody before a tab. Does everything by what is to be seen and by the keyboard."""

    def __init__(self, tab: Page) -> None:
        self.tab = tab
        self.log = tab.get_by_role("log")
        self.draft = tab.get_by_label("Message", exact=True)
        self.status = tab.locator("#status")
        self.banner = tab.locator("#banner")
        self.name = tab.get_by_label("Your name")
        self.own = tab.locator(f".own{SAID} .text")
        self.waiting = tab.locator(".waiting .text")
        self.refused = tab.locator(".failed .text")
        self.unread_line = tab.locator(".unread")
        self.to_end = tab.locator("#to-end")
        self.typing = tab.locator("#typing")

    async def join(self, name: str) -> "Person":
        """Come in, and have read what was said before."""
        await self.asks_to_join(name)
        await expect(self.status).to_have_text("Online")
        await expect(self.log).to_have_attribute("aria-busy", "false")
        return self

    async def asks_to_join(self, name: str) -> None:
        await self.name.fill(name)
        await self.tab.keyboard.press("Enter")

    async def say(self, text: str) -> None:
        await self.draft.fill(text)
        await self.tab.keyboard.press("Enter")

    async def sees(self, text: str) -> None:
        """Wait for what is said: one's own words stand in the log before, but are still on their way."""
        said = self.tab.locator(f":is(.message{SAID}, .notice) .text", has_text=re.compile(f"^{re.escape(text)}$"))
        await expect(said).to_have_count(1)

    async def sees_people(self, me: str, *others: str) -> None:
        await expect(self.tab.locator("#people-list .who")).to_have_text([me, *others])

    async def texts(self) -> list[str]:
        """Give what is said, notices that are folded away included."""
        texts: list[str] = await self.log.locator(".text").evaluate_all(
            "nodes => nodes.map((node) => node.textContent)"
        )
        return texts


async def _closed(dialog: Dialog, flaws: list[str]) -> None:
    if dialog.type != "beforeunload":
        flaws.append(f"a script ran: {dialog.message}")
    await dialog.accept()


NewPerson = Callable[..., Awaitable[Person]]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    if not is_installed():
        pytest.skip(f"no Chromium at {EXECUTABLE}: apt-get install chromium, or say where it is with CHROMIUM")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("goto", "reload"):
            patch.setattr(Page, name, persistent(getattr(Page, name)))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(**launch_options())
            yield browser
            await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stack() -> AsyncIterator[Stack]:
    async with running(Stack()) as stack:
        yield stack


@asynccontextmanager
async def running(stack: Stack) -> AsyncIterator[Stack]:
    await stack.start()
    yield stack
    await stack.stop_client()
    await stack.stop_server()
    for program in stack.programs:
        sys.stdout.write(f"{program}\n")  # pytest shows it where a test has failed


@pytest_asyncio.fixture(loop_scope="session")
async def new_person(chromium: Browser, stack: Stack) -> AsyncIterator[NewPerson]:
    """Make a person with a browser of its own, or in a further tab of `beside`'s. No script may fail in any tab.

    With `clock` the tab's time can be wound on; `time` is what its clock says at first.
    `address`: where the page is, if not at the stack's. `lacks`: a script that takes from the browser what others lack.
    """
    contexts: list[BrowserContext] = []
    flaws: list[str] = []

    async def make(
        beside: Person | None = None,
        wire: Wire | None = None,
        clock: bool = False,
        address: str = "",
        lacks: str = "",
        time: datetime | None = None,
        **options: Any,
    ) -> Person:
        if beside is None:
            contexts.append(await chromium.new_context(**options))
        tab = await (beside.tab.context if beside else contexts[-1]).new_page()
        tab.set_default_timeout(60_000)
        tab.on("pageerror", lambda error: flaws.append(str(error)))
        tab.on("dialog", lambda dialog: _closed(dialog, flaws))
        tab.on("console", lambda line: flaws.append(line.text) if "Content Security Policy" in line.text else None)
        if clock or time:
            await tab.clock.install(time=time)  # before the page is there, so that none of its timers escapes
        if wire:
            await wire.attach(tab)
        if lacks:
            await tab.add_init_script(lacks)
        await tab.goto(address or stack.page_address)
        return Person(tab)

    expect.set_options(timeout=60_000)
    yield make
    for context in contexts:
        await context.close()
    assert flaws == []


@pytest_asyncio.fixture(loop_scope="session")
async def script(stack: Stack) -> AsyncIterator[Script]:
    async with aiohttp.ClientSession() as http:
        yield Script(http, stack.server_address)
