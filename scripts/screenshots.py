"""Take the README's picture of the page, from a real run: `python -m scripts.screenshots [--all]` in the repository.

Needs what the tests need, and Chromium at /usr/bin/chromium or where CHROMIUM says.
"""

import argparse
import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.chromium import launch_options
from tests.e2e.script import Script
from tests.processes import ROOT, start_page, start_server

IMAGES: Final = ROOT / "docs" / "images"
DESKTOP: Final = {"width": 1000, "height": 760}
PHONE: Final = {"width": 360, "height": 700}

ALICE: Final = "Alice"  # sits before the page; the others take part as scripts
TALK: Final = [
    ("Bob", "Morning! The build machine is green again."),
    ("Bob", "It was the clock: two minutes behind."),
    (ALICE, "Good find, thank you."),
    ("Grace", "Then I deploy at eleven:\n1. announce it here\n2. watch for ten minutes"),
    ("deploy-bot", "Release 2.4.0 is staged and waits for a go."),
    (ALICE, "Go from my side. I am at my desk until noon."),
]


async def open_page(browser: Browser, address: str, **options: Any) -> Page:
    """Open the page in a browser session of its own."""
    context = await browser.new_context(device_scale_factor=2, locale="en-GB", **options)
    page = await context.new_page()
    await page.goto(address)
    return page


async def join(page: Page, name: str) -> None:
    """Come in."""
    await page.get_by_label("Your name").fill(name)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("log")).to_contain_text(f"{name} joined")


async def talk(page: Page, http: aiohttp.ClientSession, server: str) -> None:
    """Let the conversation happen, each message after the one before it is to be seen."""
    others = {name: await Script(http, server).join(name) for name in ("Bob", "deploy-bot")}
    for who, text in TALK:
        if who == ALICE:
            await page.get_by_label("Message", exact=True).fill(text)
            await page.keyboard.press("Enter")
        else:
            if who not in others:
                others[who] = await Script(http, server).join(who)
            await others[who].say(text)
        await expect(page.get_by_role("log")).to_contain_text(text.splitlines()[-1])
    await expect(page.locator(".pending")).to_have_count(0)


async def shoot(page: Page, name: str) -> None:
    """Take a picture of what is to be seen."""
    await page.screenshot(path=IMAGES / f"{name}.png")


async def shoot_other_states(browser: Browser, address: str) -> None:
    """Take the pictures that the README lacks, for those who work on the page."""
    page = await open_page(browser, address, viewport=DESKTOP, color_scheme="dark")
    await join(page, "Dora")
    await shoot(page, "page-dark")
    page = await open_page(browser, address, viewport=PHONE)
    await join(page, "Finn")
    await shoot(page, "page-phone")
    await page.get_by_role("button", name="people").click()
    await shoot(page, "page-phone-people")
    page = await open_page(browser, address, viewport=DESKTOP)
    await page.get_by_label("Your name").fill(ALICE)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").first).not_to_be_empty()
    await shoot(page, "page-join")


async def main(everything: bool) -> None:
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
        page = await open_page(browser, address, viewport=DESKTOP)
        await join(page, ALICE)
        await talk(page, http, server_address)
        await shoot(page, "page")
        if everything:
            await shoot_other_states(browser, address)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take the picture of the page into docs/images.")
    parser.add_argument("--all", action="store_true", help="also dark, phone and join screen, which the README lacks")
    asyncio.run(main(parser.parse_args().all))
