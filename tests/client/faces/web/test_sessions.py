"""Sessions: what tabs share, and when a seat is given back."""

import asyncio
import json

import pytest
from aiohttp import WSMsgType, web

from client.errors import CallRefused
from client.faces.web.page import Page
from client.faces.web.session import Session
from client.faces.web.sessions import Sessions
from client.faces.web.tab import Tab
from client.session.listener import ConnectionState
from tests.client.faces.web.conftest import Browser, Clock, FakeTab, NewBrowser
from tests.client.faces.web.fake_participant import Participants, a_message


async def second_tab(browser: Browser) -> FakeTab:
    tab = await browser.tab()
    assert (await tab.notice())[1]["name"] == "Alice"
    return tab


async def test_what_is_received_goes_to_every_tab(browser: Browser, participants: Participants) -> None:
    one = await (await browser.tab()).joined()
    other = await second_tab(browser)
    participants.last.listener.on_message(a_message(8, "to all"))
    for tab in (one, other):
        method, params = await tab.notice()
        assert (method, params["message"]["text"]) == ("ReceiveMessage", "to all")


async def test_what_one_tab_sends_is_shown_in_the_others_and_not_twice_in_it(browser: Browser) -> None:
    one = await (await browser.tab()).joined()
    other = await second_tab(browser)
    seq = (await one.ask("SendMessage", text="hi", client_msg_id="m1"))["result"]["seq"]
    method, params = await other.notice()
    message = params["message"]
    assert method == "ReceiveMessage"
    assert (message["seq"], message["text"], message["client_msg_id"]) == (seq, "hi", "m1")
    assert (message["sender_id"], message["sender_name"], message["room"]) == ("alice-1", "Alice", "lobby")
    assert message["sent_at"] == "2025-01-02T03:04:09.876Z"  # by the server's clock, not by this container's
    assert one.notices == []


async def test_a_message_that_was_refused_is_shown_nowhere_else(browser: Browser, participants: Participants) -> None:
    one = await (await browser.tab()).joined()
    other = await second_tab(browser)
    participants.last.refusal = RuntimeError()
    await one.ask("SendMessage", text="lost")
    participants.last.refusal = None
    await one.ask("SendMessage", text="kept")
    assert (await other.notice())[1]["message"]["text"] == "kept"


async def test_a_reload_finds_the_seat_again(browser: Browser, participants: Participants, clock: Clock) -> None:
    tab = await (await browser.tab()).joined()
    await tab.socket.close()
    await clock.fell_asleep()
    await second_tab(browser)
    clock.let_time_pass()
    assert not participants.last.left.is_set()


async def test_another_browser_is_another_person(new_browser: NewBrowser, participants: Participants) -> None:
    await (await (await new_browser()).tab()).joined("Alice")
    await (await (await new_browser()).tab()).joined("Bob")
    assert [made.name for made in participants.made] == ["Alice", "Bob"]


async def test_after_the_last_tab_has_closed_the_seat_is_kept_for_a_minute_and_then_given_back(
    browser: Browser, page: Page, participants: Participants, clock: Clock
) -> None:
    one = await (await browser.tab()).joined()
    other = await second_tab(browser)
    await one.socket.close()
    await other.socket.close()
    await clock.fell_asleep()
    assert (clock.asked, participants.last.left.is_set()) == ([60], False)
    clock.let_time_pass()
    await asyncio.wait_for(participants.last.left.wait(), 60)
    assert len(page.sessions) == 0


async def test_a_browser_that_comes_back_too_late_begins_anew(
    browser: Browser, participants: Participants, clock: Clock
) -> None:
    tab = await (await browser.tab()).joined()
    await tab.socket.close()
    await clock.fell_asleep()
    clock.let_time_pass()
    await asyncio.wait_for(participants.last.left.wait(), 60)
    assert (await (await browser.tab()).notice())[1]["state"] == "new"


async def test_a_session_without_a_seat_ends_with_its_last_tab(participants: Participants) -> None:
    sessions = Sessions(lambda cookie: Session(participants, "http://chat.example:9999", cookie))
    tab = Tab(web.WebSocketResponse(), lambda: None)
    sessions.open("cookie", tab)
    sessions.close("cookie", tab)
    assert len(sessions) == 0


async def test_a_change_of_state_reaches_every_tab_in_words(browser: Browser, participants: Participants) -> None:
    one = await (await browser.tab()).joined()
    other = await second_tab(browser)
    participants.last.change(ConnectionState.RECONNECTING, "The chat server is away.")
    for tab in (one, other):
        session = (await tab.notice())[1]
        assert (session["state"], session["detail"]) == ("reconnecting", "The chat server is away.")
        assert session["name"] == "Alice"


async def test_a_tab_that_opens_while_the_server_is_away_is_told_why(
    browser: Browser, participants: Participants
) -> None:
    await (await browser.tab()).joined()
    participants.last.change(ConnectionState.RECONNECTING, "The chat server is away.")
    session = (await (await browser.tab()).notice())[1]
    assert (session["state"], session["detail"]) == ("reconnecting", "The chat server is away.")


async def test_one_whose_seat_was_taken_over_may_enter_again(browser: Browser, participants: Participants) -> None:
    tab = await (await browser.tab()).joined()
    participants.last.change(ConnectionState.REPLACED, "Taken over.")
    assert (await tab.notice())[1]["id"] is None
    assert (await tab.ask("Register", name="Alice"))["result"]["name"] == "Alice"


async def test_a_slow_send_does_not_keep_one_from_reading_or_leaving(
    browser: Browser, participants: Participants
) -> None:
    tab = await (await browser.tab()).joined()
    participants.last.gate.clear()
    await tab.socket.send_str('{"jsonrpc": "2.0", "id": 5, "method": "SendMessage", "params": {"text": "slow"}}')
    assert "members" in (await tab.ask("ListMembers"))["result"]
    assert (await tab.ask("Unregister"))["result"]["success"] is True
    participants.last.gate.set()


async def test_messages_keep_their_order(browser: Browser, participants: Participants) -> None:
    tab = await (await browser.tab()).joined()
    participants.last.gate.clear()
    for number in range(12):
        request = {"jsonrpc": "2.0", "id": number, "method": "SendMessage", "params": {"text": str(number)}}
        await tab.socket.send_str(json.dumps(request))
    await tab.ask("ListMembers")
    participants.last.gate.set()
    answers = [await tab.frame() for _ in range(12)]
    assert [answer["id"] for answer in answers] == list(range(12))
    assert [text for text, _ in participants.last.sent] == [str(number) for number in range(12)]


async def test_a_seat_that_is_taken_while_its_tab_closes_is_not_lost(
    browser: Browser, participants: Participants, clock: Clock
) -> None:
    participants.gate = asyncio.Event()
    tab = await browser.tab()
    await tab.socket.send_str('{"jsonrpc": "2.0", "id": 1, "method": "Register", "params": {"name": "Alice"}}')
    await asyncio.wait_for(participants.asked_for.wait(), 60)
    await tab.socket.close()
    participants.gate.set()
    await clock.fell_asleep()
    assert (await (await browser.tab()).notice())[1]["name"] == "Alice"


async def test_a_tab_too_many_is_turned_away_in_words(browser: Browser) -> None:
    first = await browser.tab()
    await first.notice()
    for _ in range(31):
        await (await browser.tab()).notice()
    closed = await (await browser.tab()).socket.receive()
    assert (closed.type, closed.data) == (WSMsgType.CLOSE, 1013)
    assert closed.extra == "This browser has 32 tabs of this page open: close one."


async def test_a_browser_whose_seat_is_remembered_has_it_again_without_a_question(
    browser: Browser, participants: Participants
) -> None:
    participants.remembered = "Alice"
    tab = await browser.tab()
    session = (await tab.notice())[1]
    assert (session["state"], session["id"], session["name"]) == ("reconnecting", "alice-1", "Alice")
    participants.last.change(ConnectionState.ONLINE)
    assert (await tab.notice())[1]["state"] == "online"
    assert "in the room already, as Alice" in (await tab.ask("Register", name="Eve"))["error"]["message"]


async def test_a_seat_is_remembered_by_the_cookie_and_never_by_the_name(
    new_browser: NewBrowser, participants: Participants
) -> None:
    keys = []
    for _ in range(2):
        await (await (await new_browser()).tab()).joined("Alice")
        keys.append(participants.last.recalled)
    assert len(set(keys)) == 2
    assert not [key for key in keys if "alice" in key.lower()]


async def test_leaving_forgets_the_seat(browser: Browser, participants: Participants) -> None:
    tab = await (await browser.tab()).joined()
    await tab.ask("Unregister")
    assert (participants.last.forgotten, participants.last.is_away) == (True, False)


@pytest.mark.parametrize("asks", [True, False])
async def test_join_key_is_asked_for_at_once_when_the_person_must_know_it(
    participants: Participants, asks: bool
) -> None:
    session = Session(participants, "http://chat.example:9999", "key", asks_key=asks)
    tab = Tab(web.WebSocketResponse(), lambda: None)
    session.add(tab)
    assert json.loads(tab._waiting[0])["params"]["join_key_needed"] is asks


async def test_join_key_is_asked_for_when_the_seat_is_gone_and_newcomers_need_it(
    browser: Browser, participants: Participants
) -> None:
    participants.remembered = "Alice"
    tab = await browser.tab()
    await tab.notice()
    participants.last.reason = CallRefused(-32008, "Join key wrong")
    participants.last.change(ConnectionState.REPLACED, "Gone.")
    session = (await tab.notice())[1]
    assert (session["id"], session["join_key_needed"]) == (None, True)


async def test_a_tab_that_opens_while_its_session_parts_waits_for_the_seat(
    browser: Browser, participants: Participants, clock: Clock
) -> None:
    """Until then the session that parts holds the seat's file."""
    tab = await (await browser.tab()).joined()
    parting = participants.last
    parting.may_leave.clear()
    await tab.socket.close()
    await clock.fell_asleep()
    clock.let_time_pass()
    await asyncio.wait_for(parting.is_leaving.wait(), 5)
    participants.remembered = "Alice"
    opening = asyncio.create_task(browser.tab())
    await browser.http.get("/")  # the page is served meanwhile
    assert participants.last is parting
    parting.may_leave.set()
    assert (await (await opening).notice())[1]["name"] == "Alice"


async def test_a_browser_that_stays_away_keeps_its_seat_and_its_name(
    browser: Browser, participants: Participants, clock: Clock
) -> None:
    tab = await (await browser.tab()).joined()
    await tab.socket.close()
    await clock.fell_asleep()
    clock.let_time_pass()
    await asyncio.wait_for(participants.last.left.wait(), 60)
    assert (participants.last.forgotten, participants.last.is_away) == (False, True)
    assert participants.last.keeps_name


async def test_a_stop_forgets_no_seat_and_tells_no_tab_that_one_has_left(
    browser: Browser, running: web.AppRunner, participants: Participants
) -> None:
    tab = await (await browser.tab()).joined()
    stopping = asyncio.create_task(running.cleanup())
    assert (await tab.socket.receive()).type is WSMsgType.CLOSE
    await stopping
    assert (participants.last.state, participants.last.forgotten) == (ConnectionState.LEFT, False)


async def test_a_refused_name_leaves_nothing_held(browser: Browser, participants: Participants) -> None:
    participants.refusal = CallRefused(-32003, "Taken", {"field": "name"})
    await (await browser.tab()).ask("Register", name="Bob")
    assert participants.last.recalled == ""
