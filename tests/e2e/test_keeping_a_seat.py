"""A browser that had a seat has it again, wherever its page is now and whatever was started anew; others do not."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.e2e.conftest import NewPerson, Person, Stack, running
from tests.e2e.wire import Wire
from tests.processes import start_page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

KEY = ("--join-key", "hush")


@pytest_asyncio.fixture(loop_scope="session")
async def stack(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """A page that remembers; parametrized with further options of the server and of the page."""
    server_options, client_options = getattr(request, "param", ((), ()))
    async with running(Stack(server_options, ("--state-dir", str(tmp_path), *client_options))) as stack:
        yield stack


def key_at_page(*client_options: str) -> tuple[Sequence[str], Sequence[str]]:
    return KEY, (*KEY, *client_options)


async def is_in(person: Person, name: str) -> None:
    await expect(person.status).to_have_text("Online")
    await person.sees_people(name)


async def test_page_at_another_port_gives_the_browser_its_seat(stack: Stack, new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("before")
    await alice.sees("before")
    await stack.stop_client()
    stack.page_address = ""
    await stack.start_client()
    again = await new_person(beside=alice)
    await is_in(again, "Alice")


async def test_page_in_the_place_of_another_gives_the_browser_its_seat(
    stack: Stack, new_person: NewPerson, tmp_path: Path
) -> None:
    """As when Docker deals the ports of several clients anew: the tab that is open does not know."""
    alice = await (await new_person()).join("Alice")
    address = stack.page_address
    await stack.stop_client()
    first, _ = await start_page(stack.server_address, "--state-dir", str(tmp_path))  # it has the folder now
    stack.page_address = address
    await stack.start_client()  # and this one another folder
    await is_in(alice, "Alice")
    await alice.tab.reload()
    await is_in(alice, "Alice")
    await first.stop()


async def test_two_pages_of_one_host_are_two_people(stack: Stack, new_person: NewPerson, tmp_path: Path) -> None:
    alice = await (await new_person()).join("Alice")
    second, other_address = await start_page(stack.server_address, "--state-dir", str(tmp_path))
    bob = await new_person(beside=alice)
    await bob.tab.goto(other_address)
    await bob.join("Bob")
    await alice.tab.reload()
    await alice.sees_people("Alice", "Bob")
    await bob.tab.reload()
    await bob.sees_people("Bob", "Alice")
    await second.stop()


async def test_name_kept_for_another_is_told_at_once(new_person: NewPerson) -> None:
    """Not after waiting for it: another browser, or one whose cookies were deleted, has no way to that seat."""
    wire = Wire()
    kept = {"field": "name", "name": "Alice", "retry_after_ms": 86_400_000}
    words = "The name Alice is reserved for an absent member, for another 24 hours."
    alice = await new_person(wire=wire, clock=True)
    await alice.tab.evaluate("sessionStorage.setItem('ringback-name', '\"Alice\"')")
    wire.refuse["Register"] = {"code": -32003, "message": words, "data": kept}
    await alice.tab.reload()
    await expect(alice.tab.locator("#join-error")).to_have_text(words)
    await expect(alice.name).to_be_focused()


@pytest.mark.parametrize("stack", [key_at_page()], indirect=True)
async def test_person_must_give_the_join_key(stack: Stack, new_person: NewPerson) -> None:
    alice = await new_person()
    key, error = alice.tab.get_by_label("Join key"), alice.tab.locator("#join-error")
    await expect(key).to_be_visible()
    await alice.asks_to_join("Alice")
    await expect(error).to_have_text("This chat asks for a join key.")
    await key.fill("guess")
    await alice.tab.keyboard.press("Enter")
    await expect(error).to_have_text("That is not the join key.")
    await key.fill("hush")
    await alice.tab.keyboard.press("Enter")
    await is_in(alice, "Alice")
    await stack.stop_client()
    await stack.start_client()
    await alice.tab.reload()
    await is_in(alice, "Alice")  # who comes back is not asked


@pytest.mark.parametrize("stack", [key_at_page("--page-key", "container")], indirect=True)
async def test_container_gives_the_join_key_when_it_is_told_to(new_person: NewPerson) -> None:
    alice = await new_person()
    await expect(alice.tab.get_by_label("Join key")).to_be_hidden()
    await is_in(await alice.join("Alice"), "Alice")


@pytest.mark.parametrize("stack", [key_at_page()], indirect=True)
async def test_seat_that_the_server_forgot_asks_for_the_key_again(stack: Stack, new_person: NewPerson) -> None:
    alice = await new_person()
    await alice.tab.get_by_label("Join key").fill("hush")
    await alice.join("Alice")
    await stack.stop_client()  # it knew the key that she gave
    await stack.stop_server()  # its log was in memory
    await stack.start_server()
    await stack.start_client()
    await expect(alice.tab.locator("#join-note")).to_contain_text("a new registration needs a join key")
    await alice.tab.get_by_label("Join key").fill("hush")
    await alice.asks_to_join("Alice")
    await is_in(alice, "Alice")


async def test_address_that_does_not_answer_for_long_is_told_with_what_to_do(new_person: NewPerson) -> None:
    wire = Wire()
    alice = await new_person(wire=wire, clock=True)
    await alice.join("Alice")
    wire.is_open.clear()
    await alice.tab.route("**/status?*", lambda route: route.abort())
    await wire.cut()
    await alice.tab.clock.fast_forward(10_000)
    await expect(alice.banner).not_to_contain_text("docker compose port")
    for _ in range(6):
        await alice.tab.clock.fast_forward(10_000)
    await expect(alice.banner).to_contain_text("does not answer any more")
    await expect(alice.banner).to_contain_text("docker compose port client 8080")
    await expect(alice.banner).to_contain_text(":9998")
    wire.is_open.set()
    await alice.tab.clock.fast_forward(20_000)
    await expect(alice.status).to_have_text("Online")
    await expect(alice.banner).to_be_hidden()


FORBIDDEN = """
for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, { get: () => { throw new DOMException("denied", "SecurityError"); } });
}
"""


async def test_browser_that_stores_nothing_is_told_and_comes_back_by_itself(
    stack: Stack, new_person: NewPerson
) -> None:
    """Nobody can come back by such a browser once the tab is closed: no name may be kept for it."""
    wire = Wire()
    alice = await new_person(wire=wire, lacks=FORBIDDEN)
    await expect(alice.tab.get_by_role("status")).to_contain_text("not even a cookie")
    await alice.join("Alice")
    assert wire.calls("Register") == 1
    await alice.tab.context.clear_cookies()
    await stack.stop_client()
    await stack.start_client()
    await alice.sees_people("Alice")
    await alice.say("hello")
    await alice.sees("hello")
    assert wire.calls("Register") == 2
