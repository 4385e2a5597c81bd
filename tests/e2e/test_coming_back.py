"""What the page does when its container, its server, or its own computer was away for a while."""

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import NewPerson, Stack
from tests.e2e.script import Script
from tests.e2e.test_reading import look_back, look_elsewhere
from tests.e2e.wire import Wire

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NOTIFICATIONS = """window.shown = [];
window.Notification = class extends EventTarget {
  static permission = "granted";
  constructor(title, options) { super(); window.shown.push([title, options.body, options.tag]); }
};"""

WITHIN = """([inner, outer]) => {
  const [a, b] = [inner, outer].map((name) => document.querySelector(name).getBoundingClientRect());
  return a.left > b.left && a.right < b.right;
}"""


async def test_a_short_break_is_told_in_a_word_and_offline_after_five_seconds(new_person: NewPerson) -> None:
    wire = Wire()
    alice = await new_person(wire=wire, clock=True)
    await alice.join("Alice")
    wire.is_open.clear()
    await wire.cut()
    await expect(alice.status).to_have_text("Reconnecting…")
    await expect(alice.banner).to_be_hidden()
    await alice.tab.clock.fast_forward(5_000)
    await expect(alice.status).to_have_text("Offline")
    await expect(alice.banner).to_contain_text("no connection to the chat")
    assert await alice.tab.evaluate(WITHIN, ["#banner", ".talk"])
    wire.is_open.set()
    await alice.tab.clock.fast_forward(10_000)
    await expect(alice.status).to_have_text("Online")
    await expect(alice.banner).to_be_hidden()


@pytest.mark.parametrize("code", [-32000, -32002])
async def test_the_status_says_what_the_rows_say_when_the_server_is_away(new_person: NewPerson, code: int) -> None:
    wire = Wire()
    wire.refuse["SendMessage"] = {"code": code, "message": "The chat server is away.", "data": {}}
    alice = await (await new_person(wire=wire)).join("Alice")
    await alice.say("waits")
    await expect(alice.waiting).to_have_text(["waits"])
    await expect(alice.status).not_to_have_text("Online")
    wire.refuse.clear()
    await expect(alice.own).to_have_text(["waits"])
    await expect(alice.status).to_have_text("Online")


async def test_a_dead_connection_is_found_soon_after_a_message_is_sent(new_person: NewPerson) -> None:
    wire = Wire()
    alice = await (await new_person(wire=wire, clock=True)).join("Alice")
    wire.swallow_up = wire.swallow_down = "jsonrpc"
    await alice.say("into the void")
    await alice.tab.clock.run_for(4_000)  # 3 s of silence, and 1 s without an answer to the check
    await expect(alice.status).to_have_text("Reconnecting…")
    await expect(alice.waiting).to_have_text(["into the void"])
    wire.swallow_up = wire.swallow_down = ""
    await alice.tab.clock.run_for(5_000)
    await expect(alice.own).to_have_text(["into the void"])
    await expect(alice.status).to_have_text("Online")


async def test_when_its_container_was_made_anew_the_page_comes_back_by_itself(
    stack: Stack, new_person: NewPerson, script: Script
) -> None:
    """As after a long sleep, in which its container has given the seat back."""
    alice = await (await new_person()).join("Alice")
    await (await script.join("Curl")).say("before")
    await alice.sees("before")
    await stack.stop_client()
    await script.say("meanwhile")
    await alice.say("my own")
    await stack.start_client()  # which remembers nobody
    await expect(alice.status).to_have_text("Online")
    await expect(alice.own).to_have_text(["my own"])
    assert await alice.texts() == await script.texts()
    await expect(alice.log.locator(".unread + .message .text")).to_have_text("meanwhile")


async def test_a_tab_that_was_reloaded_after_its_seat_was_gone_comes_back(stack: Stack, new_person: NewPerson) -> None:
    """As on a phone, which lets go of tabs that are not looked at."""
    alice = await (await new_person()).join("Alice")
    await alice.tab.goto("about:blank")
    await stack.stop_client()
    await stack.start_client()
    await alice.tab.goto(stack.page_address)
    await expect(alice.status).to_have_text("Online")
    await alice.sees_people("Alice")


async def test_a_name_that_is_taken_meanwhile_is_asked_for_again(
    stack: Stack, new_person: NewPerson, script: Script
) -> None:
    wire = Wire()
    alice = await (await new_person(wire=wire, clock=True)).join("Alice")
    await stack.stop_client()
    await script.join("Alice")
    await stack.start_client()
    while not await alice.name.is_visible():
        await alice.tab.clock.fast_forward(10_000)
    await expect(alice.tab.get_by_role("alert").first).to_have_text("That name is in use. Choose another.")
    await alice.join("Alicia")


async def test_who_has_left_stays_out_in_every_tab_and_after_a_reload(new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    second = await new_person(beside=alice)
    await expect(second.status).to_have_text("Online")
    await second.tab.get_by_role("button", name="Leave").click()
    for tab in (alice, second):
        await expect(tab.name).to_be_visible()
        await tab.tab.reload()
        await expect(tab.name).to_be_visible()
        await expect(tab.name).to_have_value("Alice")


async def test_a_connection_that_is_dead_and_does_not_know_it_is_given_up_when_one_looks(
    new_person: NewPerson, script: Script
) -> None:
    """As after sleep: the other side is gone, and nobody has said so."""
    wire = Wire()
    alice = await (await new_person(wire=wire, clock=True)).join("Alice")
    await script.join("Curl")
    await alice.sees("Curl joined the chat")
    wire.swallow_up = wire.swallow_down = "jsonrpc"
    await script.say("unheard")
    await look_elsewhere(alice)
    await look_back(alice)
    wire.is_open.clear()
    await alice.tab.clock.fast_forward(4_000)  # as long as an answer is waited for
    await expect(alice.status).to_have_text("Reconnecting…")
    wire.swallow_up = wire.swallow_down = ""
    wire.is_open.set()
    await alice.tab.clock.fast_forward(10_000)
    await alice.sees("unheard")
    await expect(alice.status).to_have_text("Online")


async def test_a_computer_that_slept_is_noticed_by_its_clock(new_person: NewPerson) -> None:
    wire = Wire()
    alice = await new_person(wire=wire, clock=True)
    await alice.join("Alice")
    asked = wire.calls("GetTime")
    await alice.tab.clock.fast_forward(3_600_000)  # a timer that is due meanwhile fires once, as after sleep
    await expect(alice.status).to_have_text("Online")
    await wire.has_called("GetTime", asked + 1)


async def test_a_mention_notifies_who_looks_elsewhere_and_nobody_else(new_person: NewPerson, script: Script) -> None:
    alice = await new_person()
    await alice.tab.add_init_script(NOTIFICATIONS)
    await alice.tab.reload()
    await alice.join("Alice")
    await (await script.join("Curl")).say("@Alice in view")
    await alice.sees("@Alice in view")
    await look_elsewhere(alice)
    await script.say("nobody is meant")
    await script.say("@alice out of view")
    await alice.sees("@alice out of view")
    ((title, body, _),) = await alice.tab.evaluate("window.shown")
    assert (title, body) == ("Curl mentioned you", "@alice out of view")


async def test_the_browser_is_asked_for_notifications_only_by_a_click(new_person: NewPerson) -> None:
    alice = await new_person()
    await alice.tab.add_init_script(
        "Notification.requestPermission = async () => { window.asked = true; };"
        "Object.defineProperty(Notification, 'permission', { get: () => window.asked ? 'granted' : 'default' });"
    )
    await alice.tab.reload()
    await alice.join("Alice")
    ask = alice.tab.get_by_role("button", name="Notify me of mentions")
    assert not await alice.tab.evaluate("window.asked")
    await ask.click()
    await expect(ask).to_be_hidden()


async def test_who_is_unreachable_is_told_and_how_far_behind(new_person: NewPerson) -> None:
    wire = Wire()
    alice = await new_person(wire=wire, clock=True)
    here = [
        {"id": "a", "name": "Away", "state": "unreachable", "behind": 12},
        {"id": "b", "name": "Busy", "state": "online", "behind": 2},
        {"id": "s", "name": "Slow", "state": "online", "behind": 345},
    ]
    wire.answer["ListMembers"] = {"members": here, "member_count": 4, "seq": 99}
    await alice.join("Alice")
    states = alice.tab.locator("#people-list .state")
    await expect(states).to_have_text(["you", "unreachable, 12 behind", "", "345 behind"])
    here[:] = [{"id": "a", "name": "Away", "state": "online", "behind": 0}]
    await alice.tab.clock.fast_forward(15_000)
    await expect(states).to_have_text(["you", ""])


async def test_after_a_new_log_everybody_is_counted_once(stack: Stack, new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    await stack.stop_server()  # its log was in memory
    await stack.start_server()
    for name in ("One", "Two", "Three"):
        await script.join(name)
    await expect(alice.log).to_contain_text("The server has begun a new log.")
    await alice.sees_people("Alice", "One", "Three", "Two")
    await expect(alice.tab.get_by_role("heading", name="Who is here (4)")).to_be_visible()


@pytest.mark.parametrize(
    "trouble",
    [
        "for (const key of ['read', 'name', 'unsent', 'draft', 'theme'])"
        "  for (const storage of [localStorage, sessionStorage]) storage.setItem('ringback-' + key, '{');",
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };",
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError'); } });",
    ],
    ids=["garbage", "full", "forbidden"],
)
async def test_what_cannot_be_kept_stops_nothing(new_person: NewPerson, script: Script, trouble: str) -> None:
    alice = await new_person()
    await alice.tab.add_init_script(trouble)
    await alice.tab.reload()
    await alice.join("Alice")
    await (await script.join("Curl")).say("hello")
    await alice.sees("hello")
    await alice.say("hi")
    await expect(alice.own).to_have_text(["hi"])
