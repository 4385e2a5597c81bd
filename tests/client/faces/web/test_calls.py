"""What the page asks over its WebSocket, and what it is answered."""

import json
from typing import Any

import pytest

from client.errors import CallRefused, ServerUnreachable
from tests.client.faces.web.conftest import Browser
from tests.client.faces.web.fake_participant import Participants


async def test_a_newcomer_is_first_told_where_it_stands(browser: Browser) -> None:
    tab = await browser.tab()
    assert await tab.notice() == (
        "Session",
        {
            "state": "new",
            "detail": "",
            "id": None,
            "name": None,
            "server": "http://chat.example:9999",
            "join_key_needed": False,
        },
    )


async def test_register_takes_a_seat_and_keeps_its_secrets(browser: Browser) -> None:
    tab = await browser.tab()
    answer = await tab.ask("Register", name="Alice")
    assert answer == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {
            "id": "alice-1",
            "name": "Alice",
            "epoch": "e1",
            "seq": 7,
            "cursor": 7,
            "members": [{"id": "bob", "name": "Bob"}],
            "member_count": 2,
        },
    }
    session = tab.notices[1]["params"]
    assert (session["state"], session["id"], session["name"]) == ("online", "alice-1", "Alice")


async def test_a_join_key_that_was_typed_is_handed_on(browser: Browser, participants: Participants) -> None:
    await (await browser.tab()).ask("Register", name="Alice", join_key="open")
    assert participants.last.join_key == "open"


async def test_no_join_key_is_none(browser: Browser, participants: Participants) -> None:
    await (await browser.tab()).ask("Register", name="Alice", join_key="")
    assert participants.last.join_key is None


async def test_register_without_keep_name_keeps_no_name(browser: Browser, participants: Participants) -> None:
    await (await browser.tab()).ask("Register", name="Alice", keep_name=False)
    assert not participants.last.keeps_name


async def test_a_refused_register_is_told_in_words_and_leaves_no_seat(
    browser: Browser, participants: Participants
) -> None:
    participants.refusal = CallRefused(-32003, "Taken", {"field": "name"})
    tab = await browser.tab()
    error = (await tab.ask("Register", name="Bob"))["error"]
    assert error == {"code": -32003, "message": str(participants.refusal), "data": {"field": "name"}}
    assert (await tab.ask("SendMessage", text="hi"))["error"]["code"] == -32002


async def test_after_a_refused_register_another_name_may_be_tried(browser: Browser, participants: Participants) -> None:
    participants.refusal = CallRefused(-32003, "Taken", {"field": "name"})
    tab = await browser.tab()
    await tab.ask("Register", name="Bob")
    participants.refusal = None
    assert (await tab.ask("Register", name="Bobby"))["result"]["name"] == "Bobby"


async def test_a_page_that_opens_after_a_wrong_join_key_knows_that_one_is_needed(
    browser: Browser, participants: Participants
) -> None:
    participants.refusal = CallRefused(-32008, "Join key missing or wrong")
    await (await browser.tab()).ask("Register", name="Alice")
    assert (await (await browser.tab()).notice())[1]["join_key_needed"] is True


async def test_a_server_that_is_away_is_told_with_a_code_of_its_own(
    browser: Browser, participants: Participants
) -> None:
    participants.refusal = ServerUnreachable("The chat server at X does not answer.")
    error = (await (await browser.tab()).ask("Register", name="Alice"))["error"]
    assert error == {"code": -32000, "message": "The chat server at X does not answer."}


async def test_a_second_register_is_refused(browser: Browser, participants: Participants) -> None:
    tab = await (await browser.tab()).joined()
    error = (await tab.ask("Register", name="Eve"))["error"]
    assert error == {"code": -32600, "message": "This browser is in the room already, as Alice."}
    assert len(participants.made) == 1


async def test_a_message_is_sent_as_this_browsers_participant(browser: Browser, participants: Participants) -> None:
    tab = await (await browser.tab()).joined()
    answer = await tab.ask("SendMessage", text="two\nlines", client_msg_id="m1")
    told = {"success": True, "message": "Message sent successfully", "seq": 8, "sent_at": "2025-01-02T03:04:09.876Z"}
    assert answer["result"] == told
    assert participants.last.sent == [("two\nlines", "m1")]


async def test_the_others_methods_answer_as_the_server_does(browser: Browser) -> None:
    tab = await (await browser.tab()).joined()
    history = (await tab.ask("GetHistory", limit=50))["result"]
    members = (await tab.ask("ListMembers"))["result"]
    assert (history["seq"], history["messages"][0]["seq"], history["oldest"]) == (7, 6, 1)
    assert members["members"] == [{"id": "bob", "name": "Bob", "state": "online", "behind": 0}]
    assert (await tab.ask("Rename", name="Alicia"))["result"]["name"] == "Alicia"
    assert (await tab.ask("SetTyping"))["result"] == {"success": True}


async def test_a_new_name_is_told_to_the_page(browser: Browser) -> None:
    tab = await (await browser.tab()).joined()
    await tab.ask("Rename", name="Alicia")
    assert (await tab.notice())[1]["name"] == "Alicia"


async def test_typing_is_passed_on(browser: Browser) -> None:
    tab = await (await browser.tab()).joined()
    await tab.ask("SetTyping")
    assert await tab.notice() == (
        "ReceiveTyping",
        {"sender_id": "alice-1", "sender_name": "Alice", "room": "lobby"},
    )


async def test_unregister_leaves_and_a_new_seat_may_be_taken(browser: Browser, participants: Participants) -> None:
    tab = await (await browser.tab()).joined()
    assert (await tab.ask("Unregister"))["result"] == {"success": True, "message": "Successfully unregistered"}
    session = (await tab.notice())[1]
    assert (session["state"], session["id"], session["name"]) == ("left", None, None)
    assert (await tab.ask("Register", name="Alice"))["result"]["id"] == "alice-1"
    assert len(participants.made) == 2


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("SendMessage", {"text": "hi"}),
        ("GetHistory", {}),
        ("ListMembers", {}),
        ("Rename", {"name": "x"}),
        ("SetTyping", {}),
        ("Unregister", {}),
    ],
)
async def test_without_a_seat_nothing_is_read_or_said(browser: Browser, method: str, params: dict[str, Any]) -> None:
    error = (await (await browser.tab()).ask(method, **params))["error"]
    assert error == {"code": -32002, "message": "You are not in the room: enter with a name first."}


BAD_FRAMES = [
    ("", -32700),
    ("hello", -32700),
    ('{"jsonrpc": "2.0", "method": NaN}', -32700),
    ('{"text": "\\ud800"}', -32600),
    ("[" * 32_000 + "]" * 32_000, -32700),
    ('{"n": ' + "1" * 5000 + "}", -32600),
    ("1", -32600),
    ("null", -32600),
    ("[]", -32600),
    ('[{"jsonrpc": "2.0", "method": "SetTyping", "id": 1}]', -32600),
    ('{"method": "SetTyping", "id": 1}', -32600),
    ('{"jsonrpc": "1.0", "method": "SetTyping", "id": 1}', -32600),
    ('{"jsonrpc": "2.0", "method": 5, "id": 1}', -32600),
    ('{"jsonrpc": "2.0", "method": "SetTyping", "id": {}}', -32600),
    ('{"jsonrpc": "2.0", "method": "SetTyping", "params": null, "id": 1}', -32600),
    ('{"jsonrpc": "2.0", "method": "SetTyping", "params": 7, "id": 1}', -32600),
    ('{"jsonrpc": "2.0", "id": 1, "result": {}}', -32600),
    ('{"jsonrpc": "2.0", "method": "Ping", "id": 1}', -32601),
    ('{"jsonrpc": "2.0", "method": "__class__", "id": 1}', -32601),
    ('{"jsonrpc": "2.0", "method": "SendMessage", "id": 1}', -32602),
    ('{"jsonrpc": "2.0", "method": "SendMessage", "params": ["hi"], "id": 1}', -32602),
    ('{"jsonrpc": "2.0", "method": "SendMessage", "params": {"text": 5}, "id": 1}', -32602),
    ('{"jsonrpc": "2.0", "method": "SendMessage", "params": {"text": " "}, "id": 1}', -32602),
    ('{"jsonrpc": "2.0", "method": "SendMessage", "params": {"text": "x", "user_id": "bob"}, "id": 1}', -32602),
    ('{"jsonrpc": "2.0", "method": "SendMessage", "params": {"text": "x", "client_msg_id": "?"}, "id": 1}', -32602),
    ('{"jsonrpc": "2.0", "method": "GetHistory", "params": {"limit": 301}, "id": 1}', -32602),
    ("x" * (64 * 1024 + 1), -32600),
    ('"' + "ü" * 40_000 + '"', -32600),
]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ('{"text": "cut \\ud83d"}', "text"),
        ('{"text": "x", "client_msg_id": "\\ude00"}', "client_msg_id"),
        ('{"text": 1e400}', None),
    ],
)
async def test_frame_with_what_is_no_text_is_refused_by_its_field(
    browser: Browser, params: str, field: str | None
) -> None:
    tab = await (await browser.tab()).joined()
    answer = await tab.say('{"jsonrpc": "2.0", "method": "SendMessage", "id": 1.0, "params": ' + params + "}")
    assert (answer["id"], answer["error"]["code"], answer["error"]["data"]["field"]) == (1.0, -32602, field)


async def test_frame_behind_a_byte_order_mark_with_a_double_is_answered(browser: Browser) -> None:
    tab = await (await browser.tab()).joined()
    answer = await tab.say('\ufeff{"jsonrpc": "2.0", "method": "GetHistory", "params": {"limit": 5.0}, "id": "a"}')
    assert (answer["id"], "result" in answer) == ("a", True)


@pytest.mark.parametrize(("frame", "code"), BAD_FRAMES)
async def test_a_bad_frame_gets_its_error_and_the_next_its_answer(browser: Browser, frame: str, code: int) -> None:
    tab = await (await browser.tab()).joined()
    assert (await tab.say(frame))["error"]["code"] == code
    assert "result" in await tab.ask("SetTyping")


async def test_a_binary_frame_gets_an_error(browser: Browser) -> None:
    tab = await (await browser.tab()).joined()
    await tab.socket.send_bytes(b'{"jsonrpc": "2.0", "method": "SetTyping", "id": 1}')
    assert (await tab.frame())["error"]["code"] == -32600


async def test_a_bad_parameter_is_named(browser: Browser) -> None:
    error = (await (await browser.tab()).ask("Register", name=5))["error"]
    assert error["data"] == {"field": "name", "problem": "must be a string that is not empty and not only white space"}


@pytest.mark.parametrize("request_id", [0, -1, 1.5, "", "ü", None, 2**53])
async def test_the_id_is_echoed(browser: Browser, request_id: object) -> None:
    tab = await browser.tab()
    answer = await tab.say(json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "SetTyping"}))
    assert answer["id"] == request_id
    assert type(answer["id"]) is type(request_id)


async def test_a_notification_gets_no_answer(browser: Browser, participants: Participants) -> None:
    tab = await (await browser.tab()).joined()
    await tab.socket.send_str('{"jsonrpc": "2.0", "method": "SendMessage", "params": {"text": "quiet"}}')
    await tab.socket.send_str('{"jsonrpc": "2.0", "method": "SendMessage", "params": {"text": " "}}')
    assert (await tab.ask("SetTyping"))["id"] == 1
    assert participants.last.sent == [("quiet", None)]


async def test_a_flaw_of_ours_costs_one_call_and_is_logged(
    browser: Browser, participants: Participants, caplog: pytest.LogCaptureFixture
) -> None:
    tab = await (await browser.tab()).joined()
    participants.last.refusal = RuntimeError("a flaw")
    assert (await tab.ask("SendMessage", text="hi"))["error"]["code"] == -32603
    assert "a flaw" in caplog.text
    assert "result" in await tab.ask("SetTyping")


async def test_hostile_text_travels_as_the_text_it_is(browser: Browser, participants: Participants) -> None:
    tab = await (await browser.tab()).joined()
    hostile = "<img src=x onerror=alert(1)>\u202e\x00</script>"
    await tab.ask("SendMessage", text=hostile)
    assert participants.last.sent == [(hostile, None)]
