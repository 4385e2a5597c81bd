"""The page behind reverse proxies, and what a person reads where one is not set up for it."""

import re
from collections.abc import Callable

import pytest
from playwright.async_api import BrowserContext, expect

from tests.e2e.conftest import NewPerson, Person, Stack
from tests.e2e.proxy import Proxy

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def without_port(host: str) -> str:
    """Give what nginx has in `$host`."""
    return host.partition(":")[0]


def same(host: str) -> str:
    return host


async def cookie_path(context: BrowserContext) -> str:
    (cookie,) = await context.cookies()
    return cookie["path"]


@pytest.mark.parametrize("path", ["", "/team", "/a/b"])
@pytest.mark.parametrize("host_of", [same, without_port])
async def test_the_page_works_behind_a_proxy(
    new_person: NewPerson, stack: Stack, path: str, host_of: Callable[[str], str]
) -> None:
    async with Proxy(stack.page_address, path, host_of=host_of).running() as address:
        alice = await new_person(address=address)
        await alice.join("Alice")
        await alice.say("hello")
        await alice.sees("hello")
        assert await cookie_path(alice.tab.context) == (path or "/")
        await expect(alice.tab.locator("#icon")).to_have_attribute("href", re.compile("^static/"))
        await alice.tab.reload()
        await alice.sees("hello")


async def test_the_page_works_where_the_setting_names_its_origin(new_person: NewPerson, stack: Stack) -> None:
    """With nginx's default the Host is the upstream's."""
    proxy = Proxy(stack.page_address, host_of=lambda _: without_scheme(stack.page_address))
    async with proxy.running() as address:
        await stack.stop_client()
        stack.client_options = ("--page-hosts", f"chat.example,{without_scheme(address).rstrip('/')}")
        await stack.start_client()
        await (await new_person(address=address)).join("Alice")


def without_scheme(address: str) -> str:
    return address.removeprefix("http://")


async def test_a_foreign_host_is_told_with_the_setting(new_person: NewPerson, stack: Stack) -> None:
    proxy = Proxy(stack.page_address, host_of=lambda _: without_scheme(stack.page_address))
    async with proxy.running() as address:
        note = await told_in_the_end(await new_person(address=address), "CHAT_PAGE_HOSTS")
        assert without_scheme(address).rstrip("/") in note
        assert without_scheme(stack.page_address) in note


async def test_a_proxy_that_drops_the_upgrade_is_told(new_person: NewPerson, stack: Stack) -> None:
    async with Proxy(stack.page_address, drops_upgrade=True).running() as address:
        await told_in_the_end(await new_person(address=address), "WebSocket")


@pytest.mark.parametrize(("status", "words"), [(502, "answers 502"), (401, "Something else answers")])
async def test_what_a_proxy_answers_itself_is_told(
    new_person: NewPerson, stack: Stack, status: int, words: str
) -> None:
    proxy = Proxy(stack.page_address)
    async with proxy.running() as address:
        alice = await new_person(address=address)
        await expect(alice.name).to_be_visible()
        proxy.status = status
        await stack.stop_client()  # which ends the WebSocket
        await told_in_the_end(alice, words)


async def told_in_the_end(person: Person, words: str) -> str:
    """Give the note when it says why: at first it says only that there is no connection."""
    note = person.tab.locator("#join-note")
    await expect(note).to_contain_text(words)
    return await note.inner_text()
