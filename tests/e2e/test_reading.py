"""Reading in the page: where one is, what is unread, and what is further up."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.e2e.conftest import NewPerson, Person, Stack, running
from tests.e2e.script import Script
from tests.e2e.wire import Wire

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FROM_END = """async log => {
  for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame); // what is resized is seen then
  return log.scrollHeight - log.scrollTop - log.clientHeight;
}"""
SCROLL = """async (log, top) => {
  log.scrollTop = top;
  for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame); // the page hears of it then
}"""
ICON = "document.getElementById('icon').getAttribute('href')"
HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def stack() -> AsyncIterator[Stack]:
    """A server that takes any number of messages."""
    async with running(Stack(server_options=["--rate", "0"])) as stack:
        yield stack


async def look_elsewhere(person: Person) -> None:
    """As when another tab is before this one, which a browser without a window never does."""
    await person.tab.evaluate(HIDE, True)


async def look_back(person: Person) -> None:
    await person.tab.evaluate(HIDE, False)


async def scroll(person: Person, top: int) -> None:
    await person.log.evaluate(SCROLL, top)


async def top_of(person: Person, text: str) -> float:
    """Give where a message stands in the window, in px."""
    box = await person.log.get_by_text(text, exact=True).bounding_box()
    assert box
    return box["y"]


async def say_many(script: Script, count: int) -> None:
    for number in range(count):
        await script.say(f"number {number}")


async def test_history_is_there_on_entering_and_more_comes_when_one_scrolls_up(
    new_person: NewPerson, script: Script
) -> None:
    await script.join("Curl")
    await say_many(script, 250)
    alice = await (await new_person()).join("Alice")
    await alice.sees("number 249")
    assert await alice.log.evaluate(FROM_END) < 2
    assert "number 100" not in await alice.texts()
    await scroll(alice, 700)
    before = await top_of(alice, "number 170")
    await alice.sees("number 100")
    assert abs(await top_of(alice, "number 170") - before) < 2
    await scroll(alice, 0)
    await alice.sees("number 0")
    await expect(alice.tab.get_by_role("button", name="Show earlier messages")).to_be_hidden()
    assert await alice.texts() == await script.texts()


async def test_what_could_not_be_fetched_can_be_asked_for(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    await say_many(script, 120)
    wire = Wire()
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.sees("number 119")
    wire.refuse['"before"'] = {"code": -32000, "message": "cannot be reached"}
    await scroll(alice, 0)
    await wire.answered.wait()
    wire.refuse.clear()
    await alice.tab.get_by_role("button", name="Show earlier messages").click()
    await alice.sees("number 0")


async def test_a_short_history_is_shown_from_its_first_message_on(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    for number in range(101):
        await script.call("Rename", name=f"Curl {number}")  # folded into one line, which leaves the window empty
    alice = await (await new_person()).join("Alice")
    await alice.sees("Curl joined the chat")


async def test_one_who_reads_further_up_is_not_moved_and_told_how_much_is_new(
    new_person: NewPerson, script: Script
) -> None:
    await script.join("Curl")
    await say_many(script, 60)
    alice = await (await new_person()).join("Alice")
    await alice.sees("number 59")
    await scroll(alice, 200)
    await expect(alice.to_end).to_be_visible()
    await expect(alice.to_end).to_have_text("To the newest")
    for text in ("new one", "new two", "new three"):
        await script.say(text)
    await expect(alice.to_end).to_have_text("3 new messages")
    assert await alice.log.evaluate("log => log.scrollTop") == 200
    await alice.to_end.click()
    await expect(alice.log.get_by_text("new three")).to_be_in_viewport()
    await expect(alice.to_end).to_be_hidden()
    await expect(alice.draft).to_be_focused()
    await expect(alice.unread_line).to_have_count(1)
    await alice.say("an answer")
    await expect(alice.unread_line).to_have_count(0)


async def test_one_at_the_end_stays_there_whatever_comes(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    await say_many(script, 60)
    alice = await (await new_person()).join("Alice")
    await alice.sees("number 59")
    await script.say("several\nlines\nat\nonce")
    await expect(alice.log.get_by_text("several")).to_be_in_viewport()
    await alice.draft.fill("a\ndraft\nthat\ngrows")
    await expect(alice.log.get_by_text("several")).to_be_in_viewport(ratio=1)
    await alice.tab.set_viewport_size({"width": 600, "height": 400})
    assert await alice.log.evaluate(FROM_END) < 2
    await expect(alice.to_end).to_be_hidden()


async def test_one_who_reads_further_up_is_not_moved_when_what_waited_is_sent(
    new_person: NewPerson, script: Script
) -> None:
    await script.join("Curl")
    await say_many(script, 60)
    wire = Wire()
    wire.refuse["SendMessage"] = {"code": -32010, "message": "Not stored"}
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.sees("number 59")
    await alice.say("waits")
    await expect(alice.waiting).to_be_in_viewport()
    await scroll(alice, 200)
    wire.refuse.clear()
    await expect(alice.own).to_have_text(["waits"])
    assert await alice.log.evaluate("log => log.scrollTop") == 200


async def test_who_looks_elsewhere_finds_the_count_and_a_line_where_the_unread_begins(
    new_person: NewPerson, script: Script
) -> None:
    alice = await (await new_person()).join("Alice")
    await (await script.join("Curl")).say("seen")
    await alice.sees("seen")
    await expect(alice.tab).to_have_title("Lobby – Ringback")
    await look_elsewhere(alice)
    for number in range(3):
        await script.say(f"unseen {number}")
    await expect(alice.tab).to_have_title("(3) Lobby – Ringback")
    assert await alice.tab.evaluate(ICON) == "static/icon-3.svg"
    await expect(alice.log.locator(".unread + .message .text")).to_have_text("unseen 0")
    await look_back(alice)
    await expect(alice.tab).to_have_title("Lobby – Ringback")
    assert await alice.tab.evaluate(ICON) == "static/icon.svg"
    await expect(alice.unread_line).to_have_count(1)
    await script.say("before one's eyes")
    await alice.sees("before one's eyes")
    await expect(alice.log.locator(".unread + .message .text")).to_have_text("unseen 0")


async def test_what_came_while_the_page_was_closed_is_unread(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    await (await script.join("Curl")).say("seen")
    await alice.sees("seen")
    await alice.tab.close()
    await script.say("unseen")
    again = await new_person(beside=alice)
    await expect(again.log.locator(".unread + .message .text")).to_have_text("unseen")


async def test_what_is_read_in_one_tab_is_read_in_the_other(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    second = await new_person(beside=alice)
    await expect(second.status).to_have_text("Online")
    for tab in (alice, second):
        await look_elsewhere(tab)
    await (await script.join("Curl")).say("news")
    for tab in (alice, second):
        await expect(tab.tab).to_have_title("(1) Lobby – Ringback")
    await look_back(alice)
    await expect(second.tab).to_have_title("Lobby – Ringback")


async def test_notices_alone_are_nothing_unread(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    await look_elsewhere(alice)
    await script.join("Curl")
    await alice.sees("Curl joined the chat")
    await expect(alice.tab).to_have_title("Lobby – Ringback")


async def test_old_messages_are_let_go_of_and_fetched_again(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    alice = await (await new_person()).join("Alice")
    for number in range(700):
        await script.say(f"number {number}")
    await alice.sees("number 699")
    assert len(await alice.texts()) <= 600
    await scroll(alice, 0)
    while await alice.tab.locator("#earlier").is_visible():
        await scroll(alice, 0)
    assert await alice.texts() == await script.texts()
    await alice.to_end.click()
    await script.say("the newest")
    await alice.sees("the newest")
    assert len(await alice.texts()) < 400


async def test_a_message_that_was_stored_long_before_its_answer_leaves_no_gap(
    new_person: NewPerson, script: Script
) -> None:
    wire = Wire(swallow_down="Message sent successfully")
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("lost answer")
    await script.join("Curl")
    await say_many(script, 250)
    wire.swallow_down = ""
    await alice.tab.reload()
    await alice.sees("number 249")
    await expect(alice.tab.locator(".own")).to_have_count(0)
    while await alice.tab.locator("#earlier").is_visible():
        await scroll(alice, 0)
    assert await alice.texts() == await script.texts()


async def test_a_draft_that_grows_line_by_line_does_not_leave_the_end(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    await say_many(script, 60)
    alice = await (await new_person()).join("Alice")
    for _ in range(7):
        await alice.draft.press_sequentially("l")
        await alice.draft.press("Shift+Enter")
        assert await alice.log.evaluate(FROM_END) < 2
    await alice.draft.press_sequentially("within")
    assert await alice.log.evaluate(FROM_END) < 2
    await expect(alice.to_end).to_be_hidden()


async def test_what_one_reads_stays_when_the_unread_line_moves(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    await say_many(script, 60)
    alice = await (await new_person()).join("Alice")
    await scroll(alice, 600)
    for number in range(5):
        await script.say(f"first {number}")
    await expect(alice.to_end).to_have_text("5 new messages")
    await alice.to_end.click()
    for number in range(30):
        await script.say(f"then {number}")
    await alice.sees("then 29")
    await scroll(alice, await alice.log.evaluate("log => log.scrollTop") - 400)
    await expect(alice.to_end).to_be_visible()
    await expect(alice.to_end).to_have_text("To the newest")
    before = await top_of(alice, "then 10")
    await script.say("news")
    await expect(alice.to_end).to_have_text("1 new message")
    await expect(alice.log.locator(".unread + .message .text")).to_have_text("news")
    assert abs(await top_of(alice, "then 10") - before) < 2
