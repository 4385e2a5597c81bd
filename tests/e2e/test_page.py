"""The page in Chromium, before a real client and a real server."""

import asyncio
import sys

import pexpect
import pytest
from playwright.async_api import expect

from tests.e2e.conftest import NewPerson, Stack
from tests.e2e.script import Script
from tests.e2e.wire import Wire
from tests.processes import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGE_WIDTH = "document.documentElement.scrollWidth"
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
HOSTILE_TEXT = "<script>alert(2)</script><b onclick='alert(3)'>bold</b>\n</div> &amp; \u202etxt"


async def test_two_browsers_a_terminal_and_a_script_are_in_one_room(
    stack: Stack, new_person: NewPerson, script: Script
) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    terminal = await asyncio.to_thread(_terminal, stack.server_address, "Charlie")
    await script.join("Curl")
    await alice.say("from a page")
    await bob.sees("from a page")
    await asyncio.to_thread(terminal.expect_exact, "Alice: from a page", 15)
    terminal.sendline("from a terminal")
    await script.say("from a script")
    for person in (alice, bob):
        await person.sees("from a terminal")
        await person.sees("from a script")
    await alice.sees_people("Alice", "Bob", "Charlie", "Curl")
    terminal.sendline("exit")
    await asyncio.to_thread(terminal.expect, pexpect.EOF, 15)
    await bob.sees("Charlie left the chat")
    await bob.sees_people("Bob", "Alice", "Curl")
    await asyncio.to_thread(terminal.close)


def _terminal(server: str, name: str) -> "pexpect.spawn[str]":
    arguments = ["-m", "client", "--face", "terminal", "--server", server]
    terminal = pexpect.spawn(sys.executable, arguments, cwd=ROOT, encoding="utf-8", timeout=15)
    terminal.expect_exact("Enter your name: ")
    terminal.sendline(name)
    terminal.expect_exact(f"Welcome, {name}!")
    return terminal


async def test_one_reads_on_entering_what_was_said_before(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    await script.say("said before")
    alice = await (await new_person()).join("Alice")
    await alice.sees("said before")
    await alice.sees("Curl joined the chat")


async def test_an_own_message_is_marked_and_keeps_its_lines(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.draft.fill("one")
    await alice.tab.keyboard.press("Shift+Enter")
    await alice.tab.keyboard.type("two")
    await alice.tab.keyboard.press("Enter")
    own = alice.log.locator(".own:not(.pending)")
    await expect(own).to_have_count(1)
    assert await own.locator(".text").inner_text() == "one\ntwo"
    await expect(own.locator(".who")).to_have_text("You")
    await expect(alice.draft).to_have_value("")
    await expect(alice.draft).to_be_focused()


async def test_a_name_in_use_is_said_and_another_may_be_tried(new_person: NewPerson) -> None:
    await (await new_person()).join("Alice")
    second = await new_person()
    await second.asks_to_join("alice")
    await expect(second.tab.get_by_role("alert").first).to_have_text("That name is in use. Choose another.")
    await expect(second.name).to_be_focused()
    await second.join("Alicia")


@pytest.mark.parametrize("name", ["a@b", "x" * 33, "two  spaces"])
async def test_a_bad_name_is_said(new_person: NewPerson, name: str) -> None:
    person = await new_person()
    await person.asks_to_join(name)
    await expect(person.tab.get_by_role("alert").first).to_contain_text("does not accept the name")


async def test_a_join_key_is_asked_for_only_where_one_is_needed(stack: Stack, new_person: NewPerson) -> None:
    await stack.stop_server()
    stack.server_options = ("--join-key", "sesame")
    await stack.start_server()
    person = await new_person()
    key = person.tab.get_by_label("Join key")
    await expect(key).to_be_hidden()
    await person.asks_to_join("Alice")
    await expect(key).to_be_focused()
    await key.fill("simsim")
    await person.tab.keyboard.press("Enter")
    await expect(person.tab.get_by_role("alert").first).to_have_text("That is not the join key.")
    await key.fill("sesame")
    await person.tab.keyboard.press("Enter")
    await expect(person.status).to_have_text("Online")


async def test_hostile_names_and_texts_are_shown_as_the_text_they_are(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join(HOSTILE_NAME)
    bob = await (await new_person()).join("Bob")
    await alice.say(HOSTILE_TEXT)
    await (await script.join("<b onclick=alert(4)>Curl")).say(HOSTILE_TEXT)
    await expect(bob.log.locator(".message.other .text")).to_have_text([HOSTILE_TEXT, HOSTILE_TEXT])
    await expect(bob.log.locator(".message.other .who")).to_have_text([HOSTILE_NAME, "<b onclick=alert(4)>Curl"])
    await bob.sees_people("Bob", "<b onclick=alert(4)>Curl", HOSTILE_NAME)
    assert await bob.tab.locator("#room :is(b, script), #log img").count() == 0


async def test_a_reload_keeps_the_seat_and_shows_everything_again(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    await alice.say("still here")
    await bob.sees("still here")
    await alice.tab.reload()
    await alice.sees("still here")
    await expect(alice.log.locator(".own .text")).to_have_text(["still here"])
    assert "Alice left the chat" not in await bob.texts()


async def test_tabs_of_one_browser_are_one_person(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    second = await new_person(beside=alice)
    await expect(second.status).to_have_text("Online")
    await alice.say("from one tab")
    await second.say("from the other")
    await bob.say("hello, one person")
    for tab in (alice, second):
        await tab.sees("hello, one person")
        await expect(tab.log.locator(".own:not(.pending) .text")).to_have_text(["from one tab", "from the other"])
    await bob.sees_people("Bob", "Alice")


async def test_leave_goes_back_to_the_name_and_one_may_come_again(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    await alice.tab.get_by_role("button", name="Leave").click()
    await expect(alice.tab.get_by_text("You have left the room.")).to_be_visible()
    await bob.sees("Alice left the chat")
    await bob.sees_people("Bob")
    await expect(alice.name).to_have_value("Alice")
    await alice.join("Alice")
    await bob.sees_people("Bob", "Alice")


async def test_when_the_server_is_away_the_page_says_so_keeps_the_draft_and_comes_back(
    stack: Stack, new_person: NewPerson
) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("before")
    await alice.sees("before")
    await stack.stop_server()
    second = await new_person(beside=alice)  # asks for the history, by which the container notices
    for tab in (alice, second):
        await expect(tab.status).to_have_text("Reconnecting…")
        await expect(tab.banner).to_contain_text("cannot be reached")
    await alice.say("kept for later")
    await expect(alice.tab.locator("#draft-error")).to_contain_text("Your text stays here")
    await expect(alice.draft).to_have_value("kept for later")
    await stack.start_server()
    await expect(alice.status).to_have_text("Online")
    await expect(alice.log).to_contain_text("The server has begun a new log.")
    await alice.tab.keyboard.press("Enter")
    await expect(alice.log.locator(".own:not(.pending) .text")).to_have_text(["kept for later"])
    await (await (await new_person()).join("Bob")).sees("kept for later")


async def test_a_message_that_got_lost_is_marked_and_sent_again_once(new_person: NewPerson, script: Script) -> None:
    wire = Wire(swallow_up="SendMessage")
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("lost")
    await expect(alice.log.locator(".pending")).to_contain_text("lost")
    await wire.cut()
    await expect(alice.log.locator(".failed")).to_contain_text("Not sent")
    wire.swallow_up = ""
    await expect(alice.status).to_have_text("Online")
    await alice.tab.get_by_role("button", name="Try again").click()
    await expect(alice.log.locator(".own:not(.failed, .pending) .text")).to_have_text(["lost"])
    await expect(alice.log.locator(".failed")).to_have_count(0)
    assert (await (await script.join("Curl")).texts()).count("lost") == 1


async def test_a_message_whose_answer_got_lost_is_confirmed_by_the_history(
    new_person: NewPerson, script: Script
) -> None:
    wire = Wire(swallow_down="Message sent successfully")
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("arrived")
    await expect(alice.log.locator(".pending")).to_contain_text("arrived")
    bob = await (await new_person()).join("Bob")
    await bob.sees("arrived")
    await wire.cut()
    await expect(alice.log.locator(".own:not(.failed, .pending) .text")).to_have_text(["arrived"])
    await expect(alice.log.locator(".failed, .pending")).to_have_count(0)
    assert (await (await script.join("Curl")).texts()).count("arrived") == 1


async def test_a_text_that_was_not_sent_can_be_taken_back_and_edited(new_person: NewPerson) -> None:
    wire = Wire(swallow_up="SendMessage")
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("with a tpyo")
    await wire.cut()
    await alice.tab.get_by_role("button", name="Edit").click()
    await expect(alice.draft).to_have_value("with a tpyo")
    await expect(alice.log.locator(".failed")).to_have_count(0)


async def test_after_a_broken_connection_nothing_is_missing_and_nothing_twice(
    new_person: NewPerson, script: Script
) -> None:
    wire = Wire()
    alice = await (await new_person(wire=wire)).join("Alice")
    await (await script.join("Curl")).say("one")
    await alice.sees("one")
    await alice.say("two")
    await alice.sees("two")
    wire.is_open.clear()
    await wire.cut()
    await expect(alice.status).to_have_text("Not connected")
    await expect(alice.banner).to_contain_text("cannot reach its container")
    await script.say("three")
    await script.say("four")
    wire.is_open.set()
    await alice.sees("four")
    await script.say("five")
    await alice.sees("five")
    await expect(alice.status).to_have_text("Online")
    assert await alice.texts() == await script.texts()


async def test_when_its_container_is_started_anew_the_page_says_so_and_asks_for_the_name_again(
    stack: Stack, new_person: NewPerson
) -> None:
    alice = await (await new_person()).join("Alice")
    await stack.stop_client()
    await expect(alice.banner).to_contain_text("cannot reach its container")
    await stack.start_client()
    await expect(alice.tab.get_by_text("Your seat is gone")).to_be_visible()
    await expect(alice.name).to_have_value("Alice")
    await alice.tab.keyboard.press("Enter")
    await expect(alice.status).to_have_text("Online")


async def test_earlier_messages_are_shown_when_asked_for(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    for number in range(100):
        await script.say(f"number {number}")
    alice = await (await new_person()).join("Alice")
    await alice.sees("number 99")
    await expect(alice.log.locator(".message")).to_have_count(100)
    await alice.tab.get_by_role("button", name="Show earlier messages").click()
    await alice.sees("number 0")
    await expect(alice.tab.get_by_role("button", name="Show earlier messages")).to_be_hidden()
    assert await alice.texts() == await script.texts()


async def test_one_who_reads_further_up_is_not_moved_and_told_of_what_is_new(
    new_person: NewPerson, script: Script
) -> None:
    await script.join("Curl")
    for number in range(60):
        await script.say(f"number {number}")
    alice = await (await new_person()).join("Alice")
    await alice.sees("number 59")
    assert await alice.log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 2
    await alice.log.evaluate("log => { log.scrollTop = 200; }")
    await expect(alice.tab.get_by_role("button", name="New messages")).to_be_hidden()
    await script.say("the newest")
    await alice.tab.get_by_role("button", name="New messages").wait_for()
    assert await alice.log.evaluate("log => log.scrollTop") == 200
    await alice.tab.get_by_role("button", name="New messages").click()
    await expect(alice.log.get_by_text("the newest")).to_be_in_viewport()


async def test_a_text_too_long_is_told_before_it_is_sent(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("ü" * 4100)
    await expect(alice.tab.locator("#draft-error")).to_contain_text("Too long by 4")
    await expect(alice.draft).to_have_value("ü" * 4100)
    await alice.say("😀" * 4096)  # two UTF-16 units each, one character
    await expect(alice.log.locator(".own:not(.pending)")).to_have_count(1)


@pytest.mark.parametrize("width", [320, 390])
async def test_a_phone_shows_everything_without_scrolling_sideways(new_person: NewPerson, width: int) -> None:
    alice = await new_person(viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True)
    assert await alice.tab.evaluate(PAGE_WIDTH) <= width
    await alice.join("A name of thirty two characters.")
    await alice.say("x" * 300)
    await expect(alice.log.locator(".own:not(.pending)")).to_have_count(1)
    assert await alice.tab.evaluate(PAGE_WIDTH) <= width
    assert await alice.log.evaluate("log => log.scrollWidth - log.clientWidth") <= 0
    people = alice.tab.get_by_role("button", name="1 person")
    await people.click()
    await expect(alice.tab.get_by_role("heading", name="Who is here (1)")).to_be_in_viewport()
    await alice.tab.keyboard.press("Escape")
    await expect(alice.tab.locator("#people")).to_be_hidden()
    await expect(people).to_be_focused()
    for button in ("Leave", "Send"):
        await expect(alice.tab.get_by_role("button", name=button)).to_be_in_viewport(ratio=1)


async def test_the_keyboard_alone_reaches_everything(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await expect(alice.draft).to_be_focused()
    reached = set()
    for _ in range(8):
        await alice.tab.keyboard.press("Tab")
        reached.add(await alice.tab.evaluate("document.activeElement.id"))
    assert {"send", "leave", "log", "draft"} <= reached
