"""Browsers that had a seat, while their containers are restarted, made anew, and moved to other ports."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, Page, expect, sync_playwright

from tests.e2e.chromium import EXECUTABLE, is_installed, launch_options
from tests.system.stack import Stack

pytestmark = [pytest.mark.compose, pytest.mark.browser]

PATIENCE = 60_000  # ms: the page tries again at most every 12 s


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser that keeps its profile."""
    if not is_installed():
        pytest.skip(f"no Chromium at {EXECUTABLE}: apt-get install chromium, or say where it is with CHROMIUM")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(tmp_path, **launch_options())
        yield context
        context.close()


def opened(browser: BrowserContext, address: str) -> Page:
    tab = browser.new_page()
    while True:
        try:
            tab.goto(address)
            return tab
        except Error as error:  # the containers' network has just come
            if "ERR_NETWORK_CHANGED" not in error.message:
                raise


def join(tab: Page, name: str) -> None:
    tab.get_by_label("Your name").fill(name)
    tab.keyboard.press("Enter")
    is_in(tab, name)


def is_in(tab: Page, name: str) -> None:
    expect(tab.locator("#status")).to_have_text("Online")
    expect(tab.locator("#people-list .who").first).to_have_text(name)


def says(tab: Page, text: str) -> None:
    """Say it, and see that it is stored."""
    tab.get_by_label("Message", exact=True).fill(text)
    tab.keyboard.press("Enter")
    expect(tab.locator(".own:not(.pending, .waiting, .failed) .text", has_text=text)).to_have_count(1)


def test_browser_keeps_its_seats_through_restart_rebuild_and_a_changed_setting(
    own_stack: Stack, browser: BrowserContext
) -> None:
    """One tab is open all the time; the page of a client is looked for at its new port."""
    alice, bob = opened(browser, own_stack.page_of_everybody()), opened(browser, own_stack.page(1))
    join(alice, "Alice")
    join(bob, "Bob")

    def crash() -> None:
        own_stack.kill("page-1")
        own_stack.kill("client-1")
        own_stack.start(CHAT_RATE="50")

    def down_and_up() -> None:
        own_stack.go_down()
        own_stack.start()

    steps: dict[str, Callable[[], None]] = {
        "restart": lambda: own_stack.restart("page", "client"),
        "rebuild": lambda: own_stack.start("--build", "--force-recreate"),
        "setting": lambda: own_stack.start(CHAT_RATE="50"),
        "crash": crash,
        "down and up": down_and_up,
    }
    for name, step in steps.items():
        step()
        is_in(alice, "Alice")
        says(alice, f"Here after {name}")
        bob.close()
        bob = opened(browser, own_stack.page(1))
        is_in(bob, "Bob")
        expect(bob.locator("#log")).to_contain_text(f"Here after {name}")
    assert {name.rpartition("_")[2] for name in own_stack.volumes()} == {"data", "state"}
