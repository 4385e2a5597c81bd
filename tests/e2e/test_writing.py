"""Writing in the page: the draft, mentions, and what others see of it while it is written."""

import re

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import NewPerson
from tests.e2e.script import Script
from tests.e2e.wire import Wire

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_tab_completes_a_mention_the_last_speaker_first(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    bea = await (await new_person()).join("Bea")
    await (await new_person()).join("Bob")
    await script.join("Curl")
    await bea.say("hello")
    await alice.sees("hello")
    await alice.draft.press_sequentially("Thanks @")
    people = alice.tab.locator("#mentions").get_by_role("option")
    await expect(people).to_have_text(["BBea", "BBob", "CCurl"])  # each behind its initial
    await alice.draft.press_sequentially("b")
    await expect(people).to_have_text(["BBea", "BBob"])
    await expect(people.first).to_have_attribute("aria-selected", "true")
    await alice.draft.press("Tab")
    await expect(alice.draft).to_have_value("Thanks @Bea ")
    await expect(alice.draft).to_be_focused()
    await expect(people).to_have_count(0)


async def test_the_arrows_choose_whom_to_mention_and_escape_nobody(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    for name in ("Bea", "Bob"):
        await (await new_person()).join(name)
    await alice.sees_people("Alice", "Bea", "Bob")
    await alice.draft.press_sequentially("@b")
    await alice.draft.press("ArrowDown")
    await alice.draft.press("Tab")
    await expect(alice.draft).to_have_value("@Bob ")
    await alice.draft.press_sequentially("@")
    await alice.draft.press("Escape")
    await expect(alice.tab.get_by_role("listbox")).to_be_hidden()
    await alice.draft.press("Tab")
    await expect(alice.tab.get_by_role("button", name="Send")).to_be_focused()


async def test_an_address_is_no_mention(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await (await new_person()).join("Bob")
    await alice.sees_people("Alice", "Bob")
    await alice.draft.press_sequentially("mail@b")
    await expect(alice.tab.get_by_role("listbox")).to_be_hidden()


async def test_whom_a_click_chooses_is_mentioned(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await (await new_person()).join("Bob")
    await alice.sees_people("Alice", "Bob")
    await alice.draft.press_sequentially("@")
    await alice.tab.get_by_role("option", name="Bob").click()
    await expect(alice.draft).to_have_value("@Bob ")
    await expect(alice.draft).to_be_focused()


async def test_a_mention_is_marked_and_ones_own_more_so(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    carla = await (await new_person()).join("Carla")
    await bob.sees_people("Bob", "Alice", "Carla")
    await bob.say("@alice, @Alicia and al@alice.example")
    for person, is_meant in ((alice, True), (carla, False)):
        await expect(person.log.locator(".mention")).to_have_text(["@alice"])
        await expect(person.log.locator(".message.mentioned")).to_have_count(int(is_meant))


async def test_up_recalls_the_last_text_and_edits_nothing(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("first")
    await alice.say("second")
    await expect(alice.own).to_have_text(["first", "second"])
    await alice.draft.press("ArrowUp")
    await expect(alice.draft).to_have_value("second")
    await alice.draft.press("ArrowUp")
    await expect(alice.draft).to_have_value("first")
    await alice.draft.press("ArrowDown")
    await expect(alice.draft).to_have_value("second")
    await alice.draft.press_sequentially(" again")
    await alice.draft.press("ArrowUp")
    await expect(alice.draft).to_have_value("second again")
    await alice.draft.press("Enter")
    await expect(alice.own).to_have_text(["first", "second", "second again"])
    await alice.draft.press("ArrowUp")
    await alice.draft.fill("")
    await alice.draft.press("ArrowUp")
    await expect(alice.draft).to_have_value("second again")


async def test_a_draft_survives_a_reload_and_belongs_to_its_tab(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.draft.fill("half a\nthought")
    second = await new_person(beside=alice)
    await alice.tab.reload()
    await expect(alice.draft).to_have_value("half a\nthought")
    assert await alice.draft.evaluate("draft => draft.scrollHeight <= draft.clientHeight")
    await expect(second.draft).to_have_value("")
    await alice.draft.press("Enter")
    await expect(alice.own).to_have_text(["half a\nthought"])
    await alice.tab.reload()
    await expect(alice.own).to_have_count(1)
    await expect(alice.draft).to_have_value("")


async def test_others_see_who_is_typing_until_it_is_said(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    await alice.sees("Bob joined the chat")  # what is told while that is on its way is dropped
    await bob.draft.press_sequentially("hel")
    await expect(alice.typing).to_have_text("Bob is typing…")
    await expect(bob.typing).to_have_text("")
    await bob.draft.press("Enter")
    await alice.sees("hel")
    await expect(alice.typing).to_have_text("")


async def test_several_who_are_typing_are_told_in_one_line(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    people = [await (await new_person()).join(name) for name in ("Bob", "Carla")]
    await alice.sees("Carla joined the chat")
    for person in people:
        await person.draft.press_sequentially("h")
    await expect(alice.typing).to_have_text("Bob and Carla are typing…")


async def test_who_stops_typing_is_forgotten_after_a_while(new_person: NewPerson) -> None:
    alice = await new_person(clock=True)
    await alice.join("Alice")
    bob = await (await new_person()).join("Bob")
    await alice.sees("Bob joined the chat")
    await bob.draft.press_sequentially("h")
    await expect(alice.typing).to_have_text("Bob is typing…")
    await alice.tab.clock.fast_forward(5_000)
    await expect(alice.typing).to_have_text("")


async def test_typing_is_told_every_three_seconds_at_most(new_person: NewPerson) -> None:
    wire = Wire()
    bob = await new_person(wire=wire, clock=True)
    await bob.join("Bob")
    await bob.tab.clock.pause_at("2040-01-01")
    await bob.draft.press_sequentially("hello")
    await bob.tab.clock.run_for(2_900)
    await bob.draft.press_sequentially(" there")
    assert wire.calls("SetTyping") == 1
    await bob.tab.clock.run_for(100)
    await bob.draft.press_sequentially("!")
    await wire.has_called("SetTyping", 2)


async def test_nothing_moves_when_somebody_types(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    await alice.sees("Bob joined the chat")
    before = await alice.draft.bounding_box()
    await bob.draft.press_sequentially("h")
    await expect(alice.typing).to_have_text("Bob is typing…")
    assert await alice.draft.bounding_box() == before


async def test_enter_takes_the_marked_name_and_sends_what_is_complete(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    for name in ("Bea", "Bob"):
        await (await new_person()).join(name)
    await alice.sees_people("Alice", "Bea", "Bob")
    await alice.draft.press_sequentially("@b")
    await alice.draft.press("Enter")
    await expect(alice.draft).to_have_value("@Bea ")
    await alice.draft.press_sequentially("and @b")
    await alice.draft.press("ArrowDown")
    await alice.draft.press("Enter")
    await expect(alice.draft).to_have_value("@Bea and @Bob ")
    await alice.draft.press("Enter")
    await expect(alice.own).to_have_text(["@Bea and @Bob"])
    await alice.draft.press_sequentially("@x")
    await alice.draft.press("Enter")
    await expect(alice.own).to_have_text(["@Bea and @Bob", "@x"])


async def test_enter_sends_a_complete_name_though_there_is_a_longer_one(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    for name in ("Bob", "Bobby"):
        await script.join(name)
    await alice.sees_people("Alice", "Bob", "Bobby")
    await alice.draft.press_sequentially("hi @bob")
    await expect(alice.tab.locator("#mentions").get_by_role("option")).to_have_text(["BBobby"])
    await alice.draft.press("Enter")
    await expect(alice.own).to_have_text(["hi @bob"])


async def test_what_is_no_command_is_told_and_stays_in_the_draft(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("/msg Bob a secret")
    await expect(alice.tab.locator("#draft-error")).to_contain_text("There is no command /msg.")
    await expect(alice.draft).to_have_value("/msg Bob a secret")
    await alice.say("//usr is full")
    await expect(alice.own).to_have_text(["/usr is full"])
    assert not [text for text in await (await script.join("Curl")).texts() if "secret" in text]


async def test_commands_of_the_terminal_work(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    answer = alice.tab.locator("#answer")
    await alice.say("/help")
    await expect(answer).to_contain_text("/nick NAME")
    await alice.say("/who")
    await expect(answer).to_contain_text("2 are here: Alice (you), Bob")
    await alice.say("/nick Bob")
    await expect(alice.tab.locator("#draft-error")).to_have_text("That name is in use. Choose another.")
    await expect(alice.draft).to_have_value("/nick Bob")
    await alice.say("/nick Alicia")
    await expect(answer).to_contain_text("You are Alicia now.")
    await bob.sees("Alice is now Alicia")
    await alice.draft.press("Escape")
    await expect(answer).to_be_hidden()
    await alice.say("/me waves")
    await bob.sees("Alicia waves")
    await alice.say("/quit bye")
    await bob.sees("bye")
    await expect(alice.name).to_be_visible()


TRANSFER = """([selector, kind, files, types]) => {
  const transfer = new DataTransfer();
  for (const name of files) transfer.items.add(new File(["x"], name, { type: "image/png" }));
  for (const type of types) transfer.setData(type, "text");
  const options = { bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer };
  const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
  document.querySelector(selector).dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.mark.parametrize(
    ("selector", "kind", "files", "types", "is_stopped", "is_told"),
    [
        ("#log", "drop", ["a.png"], [], True, True),
        ("#draft", "drop", ["a.png"], [], True, True),
        ("#draft", "dragover", ["a.png"], [], True, False),
        ("#log", "drop", [], ["text/uri-list"], True, False),
        ("#draft", "drop", [], ["text/plain"], False, False),
        ("#draft", "paste", ["a.png"], [], True, True),
        ("#draft", "paste", ["a.png"], ["text/plain", "text/html"], False, False),
        ("#draft", "paste", [], ["text/plain"], False, False),
    ],
)
async def test_files_are_refused_in_words_and_text_is_not(
    new_person: NewPerson, selector: str, kind: str, files: list[str], types: list[str], is_stopped: bool, is_told: bool
) -> None:
    alice = await (await new_person()).join("Alice")
    assert await alice.tab.evaluate(TRANSFER, [selector, kind, files, types]) is is_stopped
    words = "Files cannot be sent here, only text." if is_told else ""
    await expect(alice.tab.locator("#draft-error")).to_have_text(words)


async def test_who_moves_away_from_a_mention_is_offered_nobody(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await (await new_person()).join("Bob")
    await alice.sees_people("Alice", "Bob")
    await alice.draft.press_sequentially("@b")
    await expect(alice.tab.get_by_role("listbox")).to_be_visible()
    await alice.draft.press("Home")
    await expect(alice.tab.get_by_role("listbox")).to_be_hidden()


@pytest.mark.parametrize("options", ["{ key: 'Enter', isComposing: true }", "{ key: 'Enter', keyCode: 229 }"])
async def test_enter_that_picks_a_word_of_an_input_method_sends_nothing(new_person: NewPerson, options: str) -> None:
    """Safari tells the end of the composition before the key (WebKit bug 165004), and gives it the number 229."""
    alice = await (await new_person()).join("Alice")
    await alice.draft.fill("nihongo")
    options = f"{{ ...{options}, bubbles: true, cancelable: true }}"
    await alice.draft.evaluate(f"draft => draft.dispatchEvent(new KeyboardEvent('keydown', {options}))")
    await expect(alice.draft).to_have_value("nihongo")
    await alice.draft.press("Enter")
    await expect(alice.own).to_have_text(["nihongo"])


async def test_undo_takes_back_a_completed_name_and_what_was_typed_before_it(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await (await new_person()).join("Robert")
    await alice.sees_people("Alice", "Robert")
    await alice.draft.press_sequentially("hello @Ro")
    await alice.draft.press("Tab")
    await expect(alice.draft).to_have_value("hello @Robert ")
    await alice.draft.press("Control+z")
    await expect(alice.draft).to_have_value("hello @Ro")
    await alice.draft.press("Control+z")
    await expect(alice.draft).to_have_value(re.compile("^(hello @?R?)?$"))
