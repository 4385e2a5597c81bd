"""Take pictures of the page, from a real run: `python -m scripts.screenshots [--all FOLDER]` in the repository.

Without FOLDER, takes the two pictures of the README; with FOLDER, these and pictures of the other states of the page,
for its developers. Needs the requirements of the tests, and Chromium at /usr/bin/chromium or at the path in CHROMIUM.
"""

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.chromium import launch_options
from tests.e2e.script import Script
from tests.e2e.wire import Wire
from tests.processes import ROOT, start_page, start_server

IMAGES: Final = ROOT / "docs" / "images"
DESKTOP: Final = {"width": 1080, "height": 760}
PHONE: Final = {"width": 390, "height": 760}

ALICE: Final = "Alice"  # uses the page; the other participants are scripts
TALK: Final = [
    ("Bob", "Morning! The build machine is green again."),
    ("Bob", "It was the clock: two minutes behind."),
    (ALICE, "Good find, thank you."),
    ("Grace", "Then I deploy at eleven:\n1. announce it here\n2. watch for ten minutes"),
    ("deploy-bot", "Release `2.4.0` is staged: https://deploy.example/releases/2.4.0"),
    ("deploy-bot", "```\n$ ringback-deploy --release 2.4.0 --wait\nok: 3 of 3 healthy\n```"),
    ("Bob", "@Alice do we have your go?"),
    (ALICE, "Go from my side. I am at my desk until noon."),
    ("Grace", "🎉"),
    ("Bob", "/me crosses his fingers"),
]


class Studio:
    """A browser, the address of the page, and the folder for pictures. Each person gets a new browser context."""

    def __init__(self, browser: Browser, address: str, folder: Path) -> None:
        self._browser = browser
        self._address = address
        self._folder = folder

    async def page(self, wire: Wire | None = None, **options: Any) -> Page:
        """Open the page."""
        context = await self._browser.new_context(device_scale_factor=2, locale="en-GB", **options)
        page = await context.new_page()
        if wire:
            await wire.attach(page)
        await page.goto(self._address)
        await expect(page.get_by_label("Your name")).to_be_focused()
        return page

    async def room(self, name: str, wire: Wire | None = None, **options: Any) -> Page:
        """Open the page and join as `name`."""
        page = await self.page(wire, **options)
        await page.get_by_label("Your name").fill(name)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("log")).to_have_attribute("aria-busy", "false")
        return page

    async def shoot(self, page: Page, name: str) -> None:
        """Write a screenshot of the page to `name`.png."""
        await page.screenshot(path=self._folder / f"{name}.png")


async def say(page: Page, text: str) -> None:
    """Send a message from the page."""
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def talk(page: Page, http: aiohttp.ClientSession, server: str) -> None:
    """Play the conversation; send each message after the previous message is visible."""
    others = {name: await Script(http, server).join(name) for name in ("Bob", "deploy-bot", "Henry", "Grace")}
    for number, (who, text) in enumerate(TALK, 1):
        await (say(page, text) if who == ALICE else others[who].say(text))
        await expect(page.locator(".message:not(.pending)")).to_have_count(number)


async def shoot_other_states(studio: Studio) -> None:
    """Take the pictures that are not in the README."""
    await studio.shoot(await studio.page(viewport=DESKTOP), "page-join")
    await studio.shoot(await studio.room("Dora", viewport=DESKTOP, color_scheme="dark"), "page-dark")
    page = await studio.room("Finn", viewport=PHONE)
    await page.get_by_role("button", name="people").click()
    await studio.shoot(page, "page-drawer")
    wire = Wire()
    wire.refuse["SendMessage"] = {"code": -32602, "message": "The server does not accept the text: it is not stored."}
    page = await studio.room("Ida", wire, viewport=DESKTOP)
    await say(page, "This one will not go out.")
    await expect(page.locator(".failed")).to_be_visible()
    await page.get_by_label("Message", exact=True).press_sequentially("Sorry @")
    await studio.shoot(page, "page-mentions")
    await page.keyboard.press("Escape")
    await studio.shoot(page, "page-failed")
    wire.is_open.clear()
    await wire.cut()
    await say(page, "This one goes out by itself.")
    await expect(page.locator("#status")).to_have_text("Offline", timeout=10_000)
    await studio.shoot(page, "page-reconnecting")
    wire.is_open.set()


async def main(folder: Path | None) -> None:
    """Run a server and a client's page, and take the pictures."""
    async with AsyncExitStack() as stack:
        server, server_address = await start_server()
        stack.push_async_callback(server.stop)
        client, address = await start_page(server_address)
        stack.push_async_callback(client.stop)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(**launch_options())
        stack.push_async_callback(browser.close)
        studio = Studio(browser, address, folder or IMAGES)
        page = await studio.room(ALICE, viewport=DESKTOP)
        phone = await studio.room("Carla", viewport=PHONE, color_scheme="dark", has_touch=True, is_mobile=True)
        await talk(page, http, server_address)
        await phone.bring_to_front()
        await studio.shoot(page, "page")
        await studio.shoot(phone, "page-phone")
        if folder:
            await shoot_other_states(studio)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take pictures of the page.")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="take all pictures, into this folder")
    asyncio.run(main(parser.parse_args().all))
