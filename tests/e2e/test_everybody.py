"""The page for everybody: by keyboard, with a screen reader, enlarged, on a phone, without motion."""

from importlib.resources import files
from typing import Any

import axe_playwright_python
import pytest
from playwright.async_api import expect

from tests.e2e.conftest import NewPerson, Person
from tests.e2e.script import Script
from tests.e2e.wire import Wire

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AXE = (files(axe_playwright_python) / "axe.min.js").read_text()
AXE_FINDINGS = (
    """async () => (await axe.run()).violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])"""
)
PAGE_WIDTH = "document.documentElement.scrollWidth"


async def findings(person: Person) -> list[Any]:
    """Give what axe finds, each rule with the markup it is about."""
    await person.tab.evaluate(AXE)
    found: list[Any] = await person.tab.evaluate(AXE_FINDINGS)
    return found


async def fill(alice: Person, script: Script) -> None:
    """Have each kind of row on the page."""
    for name in ("One", "Two", "Three", "Four", "Zoë"):
        await script.join(name)
    for text in ("@Alice https://example.org `code`\n```\nblock\n```", "and more", "/me waves", "🎉"):
        await script.say(text)
    await alice.say("not this")
    await alice.say("hello @Zoë")
    await expect(alice.refused).to_have_text(["not this"])
    await expect(alice.own).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 360])
async def test_axe_finds_nothing(new_person: NewPerson, script: Script, scheme: str, width: int) -> None:
    wire = Wire()
    wire.refuse["not this"] = {"code": -32602, "message": "The server does not accept the text."}
    alice = await new_person(wire=wire, color_scheme=scheme, viewport={"width": width, "height": 800})
    await expect(alice.name).to_be_focused()
    assert await findings(alice) == []
    await alice.asks_to_join("")
    await expect(alice.tab.get_by_role("alert").first).to_have_text("Enter a name first.")
    assert await findings(alice) == []
    await alice.join("Alice")
    await fill(alice, script)
    assert await findings(alice) == []
    await alice.draft.press_sequentially("@")
    await expect(alice.tab.locator("#mentions li").first).to_be_visible()
    assert await findings(alice) == []
    await alice.draft.fill("x" * 4097)
    await alice.draft.press("Enter")
    if width == 360:
        await alice.tab.get_by_role("button", name="6 people").click()
    wire.is_open.clear()
    await wire.cut()
    await expect(alice.status).to_have_text("Offline")
    await expect(alice.banner).to_be_visible()
    assert await findings(alice) == []


@pytest.mark.parametrize("width", [320, 390])
async def test_a_phone_shows_everything_without_scrolling_sideways(new_person: NewPerson, width: int) -> None:
    alice = await new_person(viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True)
    assert await alice.tab.evaluate(PAGE_WIDTH) <= width
    await alice.join("A name of thirty two characters.")
    await alice.say("x" * 300)
    await alice.say("```\n" + "y" * 300 + "\n```")
    await expect(alice.own).to_have_count(2)
    assert await alice.tab.evaluate(PAGE_WIDTH) <= width
    assert await alice.log.evaluate("log => log.scrollWidth - log.clientWidth") <= 0
    for button in ("Leave", "Send"):
        await expect(alice.tab.get_by_role("button", name=button)).to_be_in_viewport(ratio=1)


async def test_on_a_phone_the_people_are_in_a_drawer(new_person: NewPerson) -> None:
    alice = await (await new_person(viewport={"width": 360, "height": 640})).join("Alice")
    people = alice.tab.get_by_role("button", name="1 person")
    drawer = alice.tab.get_by_role("complementary")
    await expect(drawer).to_be_hidden()
    await people.click()
    await expect(alice.tab.get_by_role("heading", name="Who is here (1)")).to_be_in_viewport()
    await alice.tab.keyboard.press("Escape")
    await expect(drawer).to_be_hidden()
    await people.click()
    await alice.tab.mouse.click(10, 300)
    await expect(drawer).to_be_hidden()


async def test_the_drawer_can_be_closed_and_stays_one_when_the_tablet_is_turned(new_person: NewPerson) -> None:
    alice = await (await new_person(viewport={"width": 744, "height": 1000})).join("Alice")
    await alice.tab.get_by_role("button", name="1 person").click()
    await alice.tab.set_viewport_size({"width": 1000, "height": 744})
    box = await alice.tab.get_by_role("complementary").bounding_box()
    assert box
    assert box["width"] == 300
    await alice.tab.set_viewport_size({"width": 744, "height": 1000})
    await alice.tab.get_by_role("button", name="Close").click()
    await expect(alice.tab.get_by_role("complementary")).to_be_hidden()


async def test_on_the_narrowest_phone_the_words_of_the_connection_move_nothing(new_person: NewPerson) -> None:
    wire = Wire()
    alice = await (await new_person(wire=wire, viewport={"width": 320, "height": 568})).join("Alice")
    before = await alice.log.bounding_box()
    wire.is_open.clear()
    await wire.cut()
    await expect(alice.status).to_have_text("Reconnecting…")
    assert await alice.log.bounding_box() == before
    wire.is_open.set()


async def test_twice_as_large_it_is_all_there(new_person: NewPerson) -> None:
    """A window of 1280 by 800 at 200 % has 640 by 400 CSS pixels."""
    alice = await (await new_person(viewport={"width": 640, "height": 400}, device_scale_factor=2)).join("Alice")
    await alice.say("hello")
    assert await alice.tab.evaluate(PAGE_WIDTH) <= 640
    for control in (alice.own, alice.draft, alice.tab.get_by_role("button", name="Leave")):
        await expect(control).to_be_in_viewport(ratio=1)


async def test_text_alone_twice_as_large_is_not_cut_off(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.tab.evaluate("document.documentElement.style.fontSize = '32px'")
    await alice.say("hello")
    assert await alice.tab.evaluate(PAGE_WIDTH) <= 1280
    for button in ("Leave", "Send"):
        words = alice.tab.get_by_role("button", name=button)
        assert await words.evaluate("node => node.scrollWidth <= node.clientWidth")


async def test_the_keyboard_alone_reaches_everything_and_sees_where_it_is(
    new_person: NewPerson, script: Script
) -> None:
    await (await script.join("Curl")).say("https://example.org/")
    alice = await (await new_person()).join("Alice")
    await alice.sees("https://example.org/")
    await expect(alice.draft).to_be_focused()
    reached = []
    for _ in range(10):
        await alice.tab.keyboard.press("Tab")
        reached.append(await alice.tab.evaluate("document.activeElement.id || document.activeElement.textContent"))
        outline = await alice.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid" or await alice.tab.evaluate("document.activeElement === document.body"), reached[-1]
    assert {"log", "https://example.org/", "draft", "Send", "notify", "theme", "leave"} <= set(reached)


async def test_a_screen_reader_hears_what_comes_and_not_the_history(new_person: NewPerson, script: Script) -> None:
    """A log is a live region (WAI-ARIA 1.2, log); busy, it keeps quiet."""
    wire = Wire(swallow_down='"messages"')
    alice = await new_person(wire=wire)
    await alice.asks_to_join("Alice")
    await expect(alice.log).to_have_attribute("aria-busy", "true")
    wire.swallow_down = ""
    await wire.cut()
    await alice.sees("Alice joined the chat")
    await expect(alice.log).to_have_attribute("aria-busy", "false")
    await (await script.join("Curl")).say("hello")
    await script.say("again")
    await alice.sees("again")
    await expect(alice.log.locator(".follows .who")).to_have_text("Curl")  # said, though not shown, with each message


async def test_who_wants_no_motion_gets_none(new_person: NewPerson) -> None:
    alice = await (await new_person(reduced_motion="reduce", viewport={"width": 360, "height": 640})).join("Alice")
    await alice.tab.get_by_role("button", name="1 person").click()
    assert await alice.tab.evaluate("document.getAnimations().length") == 0


async def test_contrast_theme_shows_the_marked_name_and_a_mention(new_person: NewPerson, script: Script) -> None:
    """A contrast theme (forced colours) takes every background and shadow away."""
    alice = await (await new_person(forced_colors="active")).join("Alice")
    await (await script.join("Robert")).say("hello")
    await script.say("@Alice hello")
    await (await script.join("Roberta")).say("hello")
    await alice.sees("@Alice hello")
    frame = "node => getComputedStyle(node).outlineStyle"
    said = alice.tab.locator(".message.other")
    assert [await said.nth(at).evaluate(frame) for at in (0, 1)] == ["none", "solid"]
    await alice.draft.press_sequentially("@r")
    options = alice.tab.get_by_role("option")
    grounds = await options.evaluate_all("nodes => nodes.map((node) => getComputedStyle(node).backgroundColor)")
    assert len(set(grounds)) == 2
    edge = "node => getComputedStyle(node).borderTopStyle"
    assert await alice.tab.get_by_role("button", name="Send").evaluate(edge) == "solid"


async def test_print_shows_every_message_in_dark_letters(new_person: NewPerson, script: Script) -> None:
    await script.join("Curl")
    for number in range(15):
        await script.say(f"line {number}")
    alice = await (await new_person(viewport={"width": 800, "height": 300}, color_scheme="dark")).join("Alice")
    await alice.sees("line 14")
    assert await alice.log.evaluate("log => log.scrollHeight > log.clientHeight")
    await alice.tab.emulate_media(media="print")
    assert await alice.log.evaluate("log => log.scrollHeight === log.clientHeight")
    assert await alice.tab.evaluate("document.documentElement.scrollHeight > 300")
    await expect(alice.draft).to_be_hidden()
    assert await alice.log.evaluate("log => getComputedStyle(log).color") == "rgb(28, 32, 48)"


async def test_copied_messages_have_names_once_and_no_initials(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    for text in ("one", "two"):
        await alice.say(text)
        await alice.sees(text)
    copied = await alice.log.evaluate("log => (getSelection().selectAllChildren(log), getSelection().toString())")
    *_, who, _time, one, two = copied.strip().split("\n")
    assert (who, one, two) == ("You", "one", "two")
    assert "A" not in copied.split("\n")


async def test_phone_on_its_side_with_its_keyboard_shows_messages_and_settings(new_person: NewPerson) -> None:
    alice = await (await new_person(viewport={"width": 640, "height": 170})).join("Alice")
    box = await alice.log.bounding_box()
    assert box
    assert box["height"] > 70
    await alice.tab.get_by_role("button", name="1 person").click()
    await alice.tab.get_by_label("Colours").scroll_into_view_if_needed()
    await expect(alice.tab.get_by_label("Colours")).to_be_in_viewport(ratio=1)


async def test_screen_reader_hears_an_own_message_once(new_person: NewPerson) -> None:
    """The row that waits for the answer and the row of what is stored are two, in one live region."""
    alice = await (await new_person()).join("Alice")
    await alice.tab.evaluate(
        """() => {
            window.heard = [];
            const hear = (node) => node.matches?.(".message:not([aria-live=off])") && heard.push(node.innerText);
            new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach(hear)))
                .observe(document.getElementById("messages"), { childList: true });
        }"""
    )
    await alice.say("hello")
    await alice.sees("hello")
    assert len(await alice.tab.evaluate("heard")) == 1


async def test_phone_raises_no_keyboard_over_what_is_read(new_person: NewPerson) -> None:
    wire = Wire()
    phone = await (await new_person(wire=wire, has_touch=True, is_mobile=True)).join("Phone")
    await phone.tab.evaluate("document.activeElement.blur()")
    await wire.cut()
    await expect(phone.status).to_have_text("Reconnecting…")
    await expect(phone.draft).not_to_be_focused()
