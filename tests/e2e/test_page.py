"""The page in Chromium, before a real client and a real server."""

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import NewPerson, Stack
from tests.e2e.script import Script
from tests.e2e.terminal import Terminal
from tests.e2e.wire import Wire

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HOSTILE_NAME = "<img src=x onerror=alert(1)>"
HOSTILE_TEXT = "<script>alert(2)</script><b onclick='alert(3)'>bold</b>\n</div> &amp; \u202etxt"


async def test_two_browsers_a_terminal_and_a_script_are_in_one_room(
    stack: Stack, new_person: NewPerson, script: Script
) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    terminal = await Terminal(stack.server_address).join("Charlie")
    await script.join("Curl")
    await alice.say("from a page")
    await bob.sees("from a page")
    await terminal.sees("Alice: from a page")
    await terminal.say("from a terminal")
    await script.say("from a script")
    for person in (alice, bob):
        await person.sees("from a terminal")
        await person.sees("from a script")
    await alice.sees_people("Alice", "Bob", "Charlie", "Curl")
    await terminal.leave()
    await bob.sees("Charlie left the chat")
    await bob.sees_people("Bob", "Alice", "Curl")


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
    own = alice.tab.locator(".message.own")
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
    await expect(person.tab.get_by_role("alert").first).to_contain_text("That name ")


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
    await expect(alice.own).to_have_count(1)
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
    await expect(alice.own).to_have_text(["still here"])
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
        await expect(tab.own).to_have_text(["from one tab", "from the other"])
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


async def test_a_new_log_is_told_and_gets_what_was_written_meanwhile(stack: Stack, new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("before")
    await alice.sees("before")
    await stack.stop_server()  # its log was in memory
    second = await new_person(beside=alice)  # asks for the history, by which the container notices
    for tab in (alice, second):
        await expect(tab.status).to_have_text("Offline")
        await expect(tab.banner).to_contain_text("cannot be reached")
    await alice.say("meanwhile")
    await expect(alice.waiting).to_have_text(["meanwhile"])
    await stack.start_server()
    await expect(alice.log).to_contain_text("The server has begun a new log.")
    await expect(alice.own).to_have_text(["meanwhile"])
    await (await (await new_person()).join("Bob")).sees("meanwhile")


async def test_a_message_that_got_lost_is_sent_again_by_itself(new_person: NewPerson, script: Script) -> None:
    wire = Wire(swallow_up="SendMessage")
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("lost")
    await expect(alice.log.locator(".pending")).to_contain_text("lost")
    wire.is_open.clear()
    await wire.cut()
    await expect(alice.waiting).to_have_text(["lost"])
    wire.swallow_up = ""
    wire.is_open.set()
    await expect(alice.own).to_have_text(["lost"])
    await expect(alice.waiting).to_have_count(0)
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
    await expect(alice.own).to_have_text(["arrived"])
    await expect(alice.tab.locator(".pending")).to_have_count(0)
    assert (await (await script.join("Curl")).texts()).count("arrived") == 1
    assert wire.calls("SendMessage") == 1


async def test_a_message_whose_answer_never_comes_is_sent_again_and_said_once(new_person: NewPerson) -> None:
    wire = Wire(swallow_down="Message sent successfully")
    alice = await (await new_person(wire=wire)).join("Alice")
    bob = await (await new_person()).join("Bob")
    await alice.tab.clock.install()
    await alice.say("arrived")
    await alice.say("next")
    await bob.sees("arrived")
    wire.swallow_down = ""
    await alice.tab.clock.fast_forward(25_000)  # as long as a call is waited for
    await expect(alice.own).to_have_text(["arrived", "next"])
    await bob.sees("next")
    assert await alice.texts() == await bob.texts()


async def test_what_the_server_refuses_is_marked_and_holds_up_nothing(new_person: NewPerson) -> None:
    wire = Wire()
    wire.refuse["not this one"] = {"code": -32602, "message": "The server does not accept the text: not this one."}
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("not this one")
    await alice.say("but this one")
    await expect(alice.own).to_have_text(["but this one"])
    await expect(alice.refused).to_have_text(["not this one"])
    await expect(alice.log.locator(".trouble")).to_contain_text("does not accept the text")
    wire.refuse.clear()
    await alice.tab.get_by_role("button", name="Try again").click()
    await expect(alice.own).to_have_text(["but this one", "not this one"])
    await expect(alice.refused).to_have_count(0)


async def test_what_cannot_be_stored_now_waits_before_what_was_written_after_it(new_person: NewPerson) -> None:
    wire = Wire()
    wire.refuse["first"] = {"code": -32010, "message": "The server could not store it. Try again later."}
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("first")
    await alice.say("second")
    await expect(alice.waiting).to_have_text(["first", "second"])
    await expect(alice.log).to_contain_text("the server cannot store it now")
    wire.refuse.clear()
    await expect(alice.own).to_have_text(["first", "second"])


async def test_a_rate_limit_is_waited_out(new_person: NewPerson) -> None:
    wire = Wire()
    wire.refuse["SendMessage"] = {"code": -32006, "message": "Too much.", "data": {"retry_after_ms": 30_000}}
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.tab.clock.install()
    await alice.say("hasty")
    await expect(alice.waiting).to_have_text(["hasty"])
    await alice.say("hastier")
    await alice.tab.clock.fast_forward(25_000)
    await expect(alice.waiting).to_have_text(["hasty", "hastier"])
    assert wire.calls("SendMessage") == 1
    wire.refuse.clear()
    await alice.tab.clock.fast_forward(5_000)
    await expect(alice.own).to_have_text(["hasty", "hastier"])


async def test_half_a_character_holds_up_nothing(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.draft.evaluate("draft => { draft.value = 'half: ' + String.fromCharCode(0xd83d); }")
    await alice.draft.press("Enter")
    await alice.say("whole")
    await expect(alice.own).to_have_text(["half: \ufffd", "whole"])


async def test_a_text_that_waits_can_be_taken_back_and_edited(new_person: NewPerson, script: Script) -> None:
    wire = Wire(swallow_up="SendMessage")
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("on its way")
    await alice.say("with a tpyo")
    wire.is_open.clear()
    await wire.cut()
    await expect(alice.waiting).to_have_text(["on its way", "with a tpyo"])
    await alice.tab.get_by_role("button", name="Edit").click()  # not of the first, which may have been said
    await expect(alice.draft).to_have_value("with a tpyo")
    await expect(alice.waiting).to_have_text(["on its way"])
    await alice.say("with a typo")
    wire.swallow_up = ""
    wire.is_open.set()
    await expect(alice.own).to_have_text(["on its way", "with a typo"])
    assert "with a tpyo" not in await (await script.join("Curl")).texts()


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
    await expect(alice.status).to_have_text("Reconnecting…")
    await script.say("three")
    await script.say("four")
    wire.is_open.set()
    await alice.sees("four")
    await script.say("five")
    await alice.sees("five")
    await expect(alice.status).to_have_text("Online")
    assert await alice.texts() == await script.texts()


async def test_a_text_too_long_is_told_before_it_is_sent(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("ü" * 4100)
    await expect(alice.tab.locator("#draft-error")).to_contain_text("Too long by 4")
    await expect(alice.draft).to_have_value("ü" * 4100)
    await alice.say("😀" * 4096)  # two UTF-16 units each, one character
    await expect(alice.own).to_have_count(1)


async def test_browser_asks_before_a_tab_with_unsent_messages_closes(stack: Stack, new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("sent")
    await alice.sees("sent")
    asked: list[str] = []
    alice.tab.on("dialog", lambda dialog: asked.append(dialog.type))
    await alice.tab.reload()
    await alice.sees("sent")
    assert asked == []
    await stack.stop_server()
    await alice.say("not sent")
    await expect(alice.waiting).to_have_text("not sent")
    async with alice.tab.expect_event("close"):
        await alice.tab.close(run_before_unload=True)
    assert asked == ["beforeunload"]
