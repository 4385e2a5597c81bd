"""What the page makes of messages: groups, days, notices, links, code, emoji, colours."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.e2e.conftest import NewPerson, Person, Stack, running
from tests.e2e.script import Script

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(20, 22, 29)"
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def standing() -> AsyncIterator[Stack]:
    """One page for all tests that only ask its modules."""
    async with running(Stack()) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="session")
async def module(chromium: Browser, standing: Stack) -> AsyncIterator[Page]:
    """A tab in which the page's modules can be asked."""
    tab = await chromium.new_page(timezone_id="UTC")
    await tab.goto(standing.page_address)
    yield tab
    await tab.close()


def message(seq: int, minutes: float = 0.0, sender: str = "bob", event: str | None = None) -> dict[str, Any]:
    return {
        "seq": seq,
        "sender_id": sender,
        "sender_name": sender.title(),
        "sent_at": (NOON + timedelta(minutes=minutes)).isoformat(),
        "is_system": event is not None,
        "event": event,
        "text": f"text {seq}",
    }


async def rows(module: Page, messages: list[dict[str, Any]], unread_after: int | None = None) -> list[str]:
    """Give kinds of rows, with `+` those that go on under the name above."""
    script = """async ([messages, unreadAfter]) => {
        const { rowsOf } = await import("/static/rows.js");
        const store = { isMine: ({ sender_id }) => sender_id === "me" };
        return rowsOf(messages, unreadAfter, store).map(({ kind, follows }) => kind + (follows ? "+" : ""));
    }"""
    found: list[str] = await module.evaluate(script, [messages, unread_after])
    return found


async def test_messages_of_one_person_stand_under_one_name(module: Page) -> None:
    said = [message(1), message(2, 4), message(3, 9.5), message(4, 9.6, "carla"), message(5, 9.7)]
    assert await rows(module, said) == ["day", "message", "message+", "message", "message", "message"]


async def test_a_new_day_has_a_line_and_begins_with_a_name(module: Page) -> None:
    assert await rows(module, [message(1, 719), message(2, 721)]) == ["day", "message", "day", "message"]


async def test_the_unread_begin_with_a_line_and_a_name(module: Page) -> None:
    said = [message(1), message(2), message(3), message(4)]
    assert await rows(module, said, 2) == ["day", "message", "message+", "unread", "message", "message+"]


async def test_ones_own_messages_and_notices_are_nothing_unread(module: Page) -> None:
    said = [message(1), message(2, sender="me"), message(3, event="join"), message(4)]
    assert await rows(module, said, 1) == ["day", "message", "message", "notice", "unread", "message"]


async def test_notices_are_folded_together_when_there_are_many(module: Page) -> None:
    joins = [message(seq, event="join") for seq in range(1, 4)]
    assert await rows(module, joins) == ["day", "notice", "notice", "notice"]
    assert await rows(module, [*joins, message(4, event="leave"), message(5)]) == ["day", "folded", "message"]


async def test_folded_notices_are_counted_and_can_be_unfolded(new_person: NewPerson, script: Script) -> None:
    for name in ("One", "Two", "Three"):
        await script.join(name)
    alice = await (await new_person()).join("Alice")
    folded = alice.log.locator("details")
    await expect(folded.locator("summary")).to_have_text("4 joined")
    await expect(folded.get_by_text("One joined the chat")).to_be_hidden()
    await folded.locator("summary").click()
    await expect(folded.get_by_text("One joined the chat")).to_be_visible()
    await script.call("Rename", name="Tres")
    await expect(folded.locator("summary")).to_have_text("4 joined, 1 renamed")
    await expect(folded.get_by_text("Three is now Tres")).to_be_visible()


async def parts(module: Page, text: str, *names: str) -> list[list[str]]:
    """Give what a text is made of."""
    script = """async ([text, names]) => {
        const { mentionOf, partsOf } = await import("/static/format.js");
        return partsOf(text, mentionOf(names));
    }"""
    found: list[list[str]] = await module.evaluate(script, [text, names])
    return found


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("see https://example.org/a?b=c#d now", "https://example.org/a?b=c#d"),
        ("(http://example.org/x).", "http://example.org/x"),
        ("https://example.org/Foo_(bar)", "https://example.org/Foo_(bar)"),
        ("'https://example.org', he said", "https://example.org"),
        ("<https://example.org/>", "https://example.org/"),
        ("https://example.org/ä/日本", "https://example.org/ä/日本"),
        ("看https://example.org/a，谢谢", "https://example.org/a"),
        ("https://example.org/a。", "https://example.org/a"),
        ("「https://example.org/a」", "https://example.org/a"),
        ("（https://example.org/a）", "https://example.org/a"),
        ("“https://example.org/a”.", "https://example.org/a"),
        ("«https://example.org/a»", "https://example.org/a"),
        ("https://example.org/a… and", "https://example.org/a"),
        ("https://example.org/a،", "https://example.org/a"),
        ("https://example.org/a؟", "https://example.org/a"),
        ("https://example.org/a।", "https://example.org/a"),
        ("**https://example.org/a**", "https://example.org/a"),
        ("_https://example.org/a_", "https://example.org/a"),
        ("[text](https://example.org/a) and", "https://example.org/a"),
        ("(https://example.org/a)b", "https://example.org/a"),
        ("https://example.org/a\u200f", "https://example.org/a"),
        ("HTTPS://Example.org/A", "HTTPS://Example.org/A"),
        ("https://en.example.org/Michelson–Morley", "https://en.example.org/Michelson–Morley"),
        ("https://ja.example.org/ジョン・レノン", "https://ja.example.org/ジョン・レノン"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
    ],
)
async def test_an_address_is_a_link_without_what_the_sentence_adds(module: Page, text: str, link: str) -> None:
    assert [part for kind, part in await parts(module, text) if kind == "link"] == [link]
    assert "".join(part for _, part in await parts(module, text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "ftp://example.org",
        "https://",
        "http://[",
        "xhttps://example.org",
        "example.org",
        "data:,x",
    ],
)
async def test_nothing_else_is_a_link(module: Page, text: str) -> None:
    assert await parts(module, text) == [["text", text]]


@pytest.mark.parametrize(
    ("text", "made_of"),
    [
        ("run `make test` now", [["text", "run "], ["code", "make test"], ["text", " now"]]),
        ("```\na\n\nb\n```", [["block", "a\n\nb"]]),
        ("so:\n```python\nx = `1`\n```\nyes", [["text", "so:\n"], ["block", "x = `1`"], ["text", "yes"]]),
        ("```one line```", [["block", "one line"]]),
        ("`https://example.org @Bob`", [["code", "https://example.org @Bob"]]),
        ("a ` b", [["text", "a ` b"]]),
        ("`a\nb`", [["text", "`a\nb`"]]),
        ("``` open", [["text", "``` open"]]),
        ("hi @bob!", [["text", "hi "], ["mention", "@bob"], ["text", "!"]]),
        ("@Bob B.", [["mention", "@Bob B"], ["text", "."]]),
        ("@Bobby, a@bob, @client-1", [["text", "@Bobby, a@bob, "], ["mention", "@client-1"]]),
        ("@Bob's", [["mention", "@Bob"], ["text", "'s"]]),
        ("@Bob_x @Bob\u0301", [["text", "@Bob_x @Bob\u0301"]]),
        ("你好@小明你好", [["text", "你好"], ["mention", "@小明"], ["text", "你好"]]),
    ],
)
async def test_code_and_mentions_are_told_from_text(module: Page, text: str, made_of: list[list[str]]) -> None:
    assert await parts(module, text, "Bob", "Bob B", "client-1", "(.*", "小明") == made_of


async def test_a_longer_name_that_is_known_is_not_the_shorter_one(module: Page) -> None:
    script = """async (texts) => {
        const { Store } = await import("/static/store.js");
        const store = new Store();
        store.setSession({ state: "online", id: "a", name: "Ann" });
        store.setMembers({ members: [{ id: "s", name: "Ann Smith" }], member_count: 2, seq: 1 });
        store.add([{ seq: 2, sender_id: "m", sender_name: "Ann-Marie", text: "", event: "leave" }]);
        return texts.filter((text) => store.mentionsMe(text));
    }"""
    meant = ["@Ann, hi", "@ANN", "(@ann)", "@Ann Smith and @Ann"]
    others = ["@Ann-Marie", "@Ann Smith", "@Anna", "x@Ann", "`@Ann`", "Ann"]
    assert await module.evaluate(script, meant + others) == meant


@pytest.mark.parametrize(
    ("typed", "kind", "text"),
    [
        ("hello", "say", "hello"),
        ("  \n", "nothing", ""),
        ("/msg Bob secret", "mistake", "There is no command /msg."),
        (" /msg Bob secret", "mistake", "There is no command /msg."),
        ("/etc/hosts\nis full", "mistake", "There is no command /etc/hosts."),
        ("/constructor", "mistake", "There is no command /constructor."),
        ("/", "mistake", "There is no command /."),
        ("//usr is full", "say", "/usr is full"),
        ("//me waves", "say", " /me waves"),
        ("/me waves", "say", "/me waves"),
        ("/ME  waves", "say", "/me waves"),
        ("/me", "mistake", "/me needs a text"),
        ("/nick Anna Maria", "nick", "Anna Maria"),
        ("/nick", "mistake", "/nick needs a name"),
        ("/who", "who", ""),
        ("/who is it", "mistake", "/who takes no arguments"),
        ("/help", "help", ""),
        ("/quit bye", "quit", "bye"),
        ("first\n/who", "say", "first\n/who"),
        ("ü" * 4100, "mistake", "Too long by 4"),
    ],
)
async def test_what_is_typed_is_a_text_a_command_or_a_mistake(module: Page, typed: str, kind: str, text: str) -> None:
    script = "async (typed) => (await import('/static/typed.js')).readTyped(typed)"
    read = await module.evaluate(script, typed)
    assert read["kind"] == kind
    assert read["text"].startswith(text) if kind == "mistake" else read["text"] == text


@pytest.mark.parametrize(
    "text", ["`" * 4096, "```" + "`a" * 2046, "http://" * 585, "https://a" + "(" * 4087, "@" * 4096]
)
async def test_a_text_of_nothing_but_marks_is_read_to_its_end(module: Page, text: str) -> None:
    """A pattern that tries every way to read these would not be done before the suite's own limit."""
    names = [f"name {number}" for number in range(200)]
    read = "".join(part for _, part in await parts(module, text, *names))
    assert read.replace("`", "") == text.replace("`", "")


async def test_links_open_elsewhere_and_tell_nothing_of_this_page(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.say("https://example.org/ and `code` and\n```\na block\n```")
    text = alice.tab.locator(".own:not(.pending) .text")
    link = text.get_by_role("link")
    await expect(link).to_have_attribute("href", "https://example.org/")
    await expect(link).to_have_attribute("target", "_blank")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    await expect(text.locator("code")).to_have_text("code")
    await expect(text.locator("pre")).to_have_text("a block")


async def test_emoji_alone_are_large(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    for text in ("🎉", "👩‍👩‍👧 🇩🇪 👍🏽", "1", "🎉 hooray", "1️⃣ ❤️‍🔥"):
        await alice.say(text)
    await expect(alice.own).to_have_count(5)
    assert await alice.own.evaluate_all("nodes => nodes.map((node) => node.classList.contains('large'))") == [
        True,
        True,
        False,
        False,
        True,
    ]


async def test_an_action_is_told_of_its_author(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    await alice.say("/me waves")
    await bob.sees("Alice waves")


async def colours(person: Person, where: str) -> list[str]:
    found: list[str] = await person.tab.locator(f"{where} .avatar").evaluate_all(
        "nodes => nodes.map((node) => node.getAttribute('style'))"
    )
    return found


async def test_people_who_are_here_have_colours_of_their_own_and_keep_them(
    new_person: NewPerson, script: Script
) -> None:
    for name in ("Bob", "Carla", "Dmitri", "Eve", "Farid", "Grace", "Henri"):
        await (await script.join(name)).say("hello")
    alice = await (await new_person()).join("Alice")
    await expect(alice.tab.locator("#people-list .avatar")).to_have_count(8)
    before = await colours(alice, "#people-list")
    assert len(set(before)) == 8
    await alice.tab.reload()
    await expect(alice.tab.locator("#people-list .avatar")).to_have_count(8)
    assert await colours(alice, "#people-list") == before


async def test_whoever_takes_a_name_after_another_has_another_colour(new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    for text in ("from the first", "from the second"):
        await (await script.join("Carla")).say(text)
        await alice.sees(text)
        await script.leave()
    first, second = await colours(alice, ".message.other")
    assert first != second


OVERLAP = """row => {
  const [time, text] = ["time", ".text"].map((part) => row.querySelector(part).getBoundingClientRect());
  return time.right > text.left;
}"""


@pytest.mark.parametrize("locale", ["en-US", "ko-KR", "fr-CA", "el-GR"])
async def test_the_time_beside_a_message_does_not_run_into_it(new_person: NewPerson, locale: str) -> None:
    alice = await (await new_person(locale=locale)).join("Alice")
    for text in ("one", "two"):
        await alice.say(text)
    await expect(alice.own).to_have_text(["one", "two"])
    assert not await alice.log.locator(".follows").evaluate(OVERLAP)


async def test_after_midnight_today_is_yesterday(new_person: NewPerson, script: Script) -> None:
    alice = await new_person(clock=True)
    await alice.join("Alice")
    days = alice.log.locator("#messages .day")
    await expect(days).to_have_text(["Today"])
    await alice.tab.clock.fast_forward(24 * 3_600_000)
    await alice.tab.clock.run_for(20_000)
    await expect(days).to_have_text(["Yesterday"])


@pytest.mark.parametrize("days", [-700, -2, 2, 700])
async def test_a_wrong_clock_of_the_browser_changes_no_day(new_person: NewPerson, script: Script, days: int) -> None:
    alice = await new_person(time=datetime.now(UTC) + timedelta(days=days))
    await alice.join("Alice")
    await (await script.join("Curl")).say("theirs")
    await alice.sees("theirs")
    await alice.say("mine")
    await expect(alice.own).to_have_text(["mine"])
    await expect(alice.log.locator("#messages .day")).to_have_text(["Today"])
    await expect(alice.status).to_have_text("Online")


async def test_what_is_written_from_the_right_stands_at_the_right(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await alice.draft.fill("שלום, מה שלומך?")
    await expect(alice.draft).to_have_css("direction", "rtl")
    await alice.draft.press("Enter")
    await expect(alice.own).to_have_css("direction", "rtl")
    await alice.say("hello")
    await expect(alice.own.last).to_have_css("direction", "ltr")


async def test_the_time_of_a_message_further_down_is_shown_when_it_is_pointed_at(new_person: NewPerson) -> None:
    alice = await (await new_person(locale="en-GB")).join("Alice")
    for text in ("one", "two"):
        await alice.say(text)
    await expect(alice.own).to_have_text(["one", "two"])
    time = alice.log.locator(".follows time")
    await expect(time).to_have_css("opacity", "0")
    await alice.own.last.hover()
    await expect(time).to_have_css("opacity", "1")
    assert await time.get_attribute("title")


@pytest.mark.parametrize(("scheme", "ground"), [("light", LIGHT), ("dark", DARK)])
async def test_the_colours_are_the_systems(new_person: NewPerson, scheme: str, ground: str) -> None:
    person = await new_person(color_scheme=scheme)
    assert await person.tab.evaluate(BACKGROUND) == ground


async def test_the_colours_can_be_chosen_for_all_tabs_and_stay(new_person: NewPerson) -> None:
    alice = await (await new_person(color_scheme="light")).join("Alice")
    second = await new_person(beside=alice)
    await expect(second.status).to_have_text("Online")
    await alice.tab.get_by_label("Colours").select_option("dark")
    for tab in (alice.tab, second.tab):
        await expect(tab.locator("body")).to_have_css("background-color", DARK)
    await alice.tab.reload()
    await expect(alice.tab.locator("body")).to_have_css("background-color", DARK)
    await expect(alice.tab.get_by_label("Colours")).to_have_value("dark")
    await alice.tab.get_by_label("Colours").select_option("as the system")
    await expect(alice.tab.locator("body")).to_have_css("background-color", LIGHT)
