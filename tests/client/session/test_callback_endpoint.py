import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from client.session.callback_endpoint import CallbackEndpoint
from client.session.inbox import NotNow
from protocol.messages import ChatMessage, ReceiveTypingParams
from protocol.methods import MAX_BODY_BYTES
from protocol.signing import signed_headers
from tests.client.fake_server import ring, ring_message

NOW = 1_900_000_000
KEY = b"k" * 32


@dataclass
class Inbox:
    """Notes what it is told; trips over the text "trip", cannot take "later" yet, and follows only the log `epoch`."""

    texts: list[str] = field(default_factory=list)
    typists: list[str] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)

    async def wait_until_open(self, epoch: str) -> None:
        if epoch != "some-epoch":
            await asyncio.Event().wait()

    def keep(self) -> None:
        self.kept.append(len(self.texts))

    def receive(self, message: ChatMessage) -> None:
        if message.text == "trip":
            raise RuntimeError("tripped")
        if message.text == "later":
            raise NotNow
        self.texts.append(message.text)

    def typing(self, who: ReceiveTypingParams) -> None:
        self.typists.append(who.sender_name)


@dataclass
class Caller:
    """Rings the seat "alice" as a server would."""

    client: TestClient[web.Request, web.Application]
    endpoint: CallbackEndpoint
    seat: Inbox

    async def post(
        self,
        body: bytes,
        *,
        key: bytes = KEY,
        at: int = NOW,
        headers: dict[str, str] | None = None,
        seat: str = "alice",
        webhook_id: str = "some-epoch-1-1",
    ) -> tuple[int, bytes]:
        sent = signed_headers(key, webhook_id, at, body) if headers is None else headers
        async with self.client.post(f"/rpc/{seat}", data=io.BytesIO(body), headers=sent) as response:
            return response.status, await response.read()

    async def ring(self, call: Any) -> Any:
        status, body = await self.post(msgspec.json.encode(call))
        assert status == 200
        return msgspec.json.decode(body)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    endpoint, seat = CallbackEndpoint(now=lambda: NOW, patience=0.05), Inbox()
    endpoint.open("alice", KEY, seat)
    app = web.Application()
    endpoint.add_to(app)
    async with TestClient(TestServer(app)) as client:
        yield Caller(client, endpoint, seat)


def error_code(reply: Any) -> int:
    code: int = reply["error"]["code"]
    return code


async def test_a_signed_message_is_taken(caller: Caller) -> None:
    assert await caller.ring(ring_message(7, "hi")) == {"jsonrpc": "2.0", "result": {"success": True}, "id": 7}
    assert caller.seat.texts == ["hi"]


async def test_a_message_signed_with_another_key_is_not_shown(caller: Caller) -> None:
    status, _ = await caller.post(msgspec.json.encode(ring_message(7)), key=b"x" * 32)
    assert (status, caller.seat.texts) == (401, [])


@pytest.mark.parametrize("at", [NOW - 301, NOW + 301])
async def test_a_message_signed_long_ago_or_far_ahead_is_not_shown(caller: Caller, at: int) -> None:
    status, _ = await caller.post(msgspec.json.encode(ring_message(7)), at=at)
    assert (status, caller.seat.texts) == (401, [])


async def test_a_message_without_a_signature_is_not_shown(caller: Caller) -> None:
    status, _ = await caller.post(msgspec.json.encode(ring_message(7)), headers={})
    assert (status, caller.seat.texts) == (401, [])


async def test_a_signature_of_another_body_is_refused(caller: Caller) -> None:
    headers = signed_headers(KEY, "epoch-1-1", NOW, msgspec.json.encode(ring_message(7, "hi")))
    status, _ = await caller.post(msgspec.json.encode(ring_message(7, "ho")), headers=headers)
    assert (status, caller.seat.texts) == (401, [])


async def test_a_seat_never_seen_is_not_found(caller: Caller) -> None:
    status, _ = await caller.post(b"{}", seat="bob")
    assert status == 404


async def test_a_closed_seat_is_gone(caller: Caller) -> None:
    caller.endpoint.close("alice")
    status, _ = await caller.post(b"{}")
    assert status == 410


async def test_closing_a_seat_that_is_not_open_does_no_harm(caller: Caller) -> None:
    caller.endpoint.close("bob")
    status, _ = await caller.post(b"{}", seat="bob")
    assert status == 404


async def test_a_challenge_is_given_back(caller: Caller) -> None:
    reply = await caller.ring(ring(1, "VerifyCallback", {"challenge": "c0ffee"}))
    assert reply["result"] == "c0ffee"


async def test_parameters_may_come_by_position(caller: Caller) -> None:
    reply = await caller.ring(ring(1, "VerifyCallback", ["c0ffee"]))
    assert reply["result"] == "c0ffee"


async def test_typing_is_heard_and_not_answered(caller: Caller) -> None:
    who = {"sender_id": "bob-1", "sender_name": "Bob", "room": "lobby"}
    answer = await caller.post(msgspec.json.encode({"jsonrpc": "2.0", "method": "ReceiveTyping", "params": who}))
    assert answer == (204, b"")
    assert caller.seat.typists == ["Bob"]


async def test_a_batch_is_answered_element_by_element(caller: Caller) -> None:
    batch = [ring_message(1, "a"), 1, ring(2, "Dance", {}), ring_message(3, "b")]
    first, second, third, fourth = await caller.ring(batch)
    assert [first["id"], fourth["id"]] == [1, 3]
    assert [(second["id"], error_code(second)), (third["id"], error_code(third))] == [(None, -32600), (2, -32601)]
    assert caller.seat.texts == ["a", "b"]


async def test_a_batch_of_notifications_is_not_answered(caller: Caller) -> None:
    notification = ring_message(1, "a")
    del notification["id"]
    assert await caller.post(msgspec.json.encode([notification, notification])) == (204, b"")
    assert caller.seat.texts == ["a", "a"]


@pytest.mark.parametrize("request_id", ["text", 0, -1, 1.5, None, 2**70])
async def test_the_id_is_echoed_as_it_came(caller: Caller, request_id: object) -> None:
    reply = await caller.ring({"jsonrpc": "2.0", "method": "VerifyCallback", "params": ["x"], "id": request_id})
    assert reply["id"] == request_id


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"{", b"\xff", b'{"id":NaN}', b"[" * 10_000, b'{"jsonrpc": "2.0"'],
)
async def test_what_is_not_json_is_a_parse_error(caller: Caller, body: bytes) -> None:
    status, reply = await caller.post(body)
    assert (status, error_code(msgspec.json.decode(reply))) == (200, -32700)


@pytest.mark.parametrize(
    "call",
    [
        1,
        None,
        {},
        [],
        {"method": "ReceiveMessage", "id": 1},
        {"jsonrpc": "1.0", "method": "ReceiveMessage", "id": 1},
        {"jsonrpc": "2.0", "method": 1, "id": 1},
        {"jsonrpc": "2.0", "method": "ReceiveMessage", "id": True},
        {"jsonrpc": "2.0", "method": "ReceiveMessage", "id": []},
        {"jsonrpc": "2.0", "method": "ReceiveMessage", "params": None, "id": 1},
        {"jsonrpc": "2.0", "method": "ReceiveMessage", "params": "x", "id": 1},
        [ring_message(1)] * 257,
    ],
    ids=repr,
)
async def test_what_is_no_request_is_invalid(caller: Caller, call: Any) -> None:
    assert error_code(await caller.ring(call)) == -32600
    assert caller.seat.texts == []


@pytest.mark.parametrize(
    "params",
    [{}, [], {"message": None}, {"message": {}}, {"message": {"seq": "1"}}, {"message": "hi"}],
    ids=repr,
)
async def test_bad_parameters_are_said_to_be_bad(caller: Caller, params: object) -> None:
    assert error_code(await caller.ring(ring(1, "ReceiveMessage", params))) == -32602


async def test_fields_of_a_later_server_are_left_alone(caller: Caller) -> None:
    call = ring_message(1, "hi")
    call["params"]["message"]["colour"] = "red"
    call["params"]["later"] = 1
    assert "result" in await caller.ring(call)


async def test_a_body_of_a_mebibyte_is_read_and_one_byte_more_is_not(caller: Caller) -> None:
    at_most = b" " * MAX_BODY_BYTES
    assert (await caller.post(at_most))[0] == 200
    assert (await caller.post(at_most + b" "))[0] == 413


async def test_a_face_that_trips_gives_an_internal_error_and_a_line_in_the_log(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert error_code(await caller.ring(ring_message(1, "trip"))) == -32603
    assert "tripped" in caplog.text


async def test_what_comes_behind_a_message_that_tripped_is_left_to_come_again(caller: Caller) -> None:
    replies = await caller.ring([ring_message(1, "hi"), ring_message(2, "trip"), ring_message(3, "later")])
    assert [reply["id"] for reply in replies] == [1, 2]
    assert error_code(replies[1]) == -32603
    assert caller.seat.texts == ["hi"]


async def test_what_cannot_be_taken_yet_is_to_come_again_and_is_no_failure(caller: Caller) -> None:
    for calls in (ring_message(7, "later"), [ring_message(7, "later"), ring_message(8, "hi")]):
        body = msgspec.json.encode(calls)
        headers = signed_headers(KEY, "some-epoch-7-8", NOW, body)
        async with caller.client.post("/rpc/alice", data=body, headers=headers) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert caller.seat.texts == []


async def test_what_was_taken_before_that_is_answered(caller: Caller) -> None:
    replies = await caller.ring([ring_message(7, "hi"), ring_message(8, "later"), ring_message(9, "ho")])
    assert [(reply["id"], reply["result"]) for reply in replies] == [(7, {"success": True})]
    assert (caller.seat.texts, caller.seat.kept) == (["hi"], [1])


async def test_what_was_taken_is_kept_once_for_each_post_and_before_its_answer(caller: Caller) -> None:
    await caller.ring([ring_message(1, "a"), ring_message(2, "b")])
    await caller.ring([ring_message(3, "c"), ring_message(4, "trip")])
    assert caller.seat.kept == [2, 3]


async def test_messages_of_another_log_are_not_taken_and_are_to_come_again(caller: Caller) -> None:
    status, _ = await caller.post(msgspec.json.encode(ring_message(7)), webhook_id="another-epoch-7-7")
    assert (status, caller.seat.texts, caller.seat.kept) == (503, [], [])


@pytest.mark.parametrize("webhook_id", ["9f86d081884c7d659a2feaa0c55ad015", "typing-9f86d081884c7d65"])
async def test_what_is_no_message_is_answered_whatever_log_is_followed(caller: Caller, webhook_id: str) -> None:
    challenge = msgspec.json.encode(ring(1, "VerifyCallback", {"challenge": "c0ffee"}))
    assert (await caller.post(challenge, webhook_id=webhook_id))[0] == 200


async def test_a_seat_that_is_closed_while_messages_wait_is_gone(caller: Caller) -> None:
    caller.seat.wait_until_open = hang = Hang()  # type: ignore[method-assign,assignment]
    posting = asyncio.create_task(caller.post(msgspec.json.encode(ring_message(7)), webhook_id="another-epoch-7-7"))
    await hang.begun.wait()
    caller.endpoint.close("alice")
    hang.over.set()
    assert ((await posting)[0], caller.seat.texts) == (410, [])


class Hang:
    """Follows when it is told to."""

    def __init__(self) -> None:
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    async def __call__(self, _epoch: str) -> None:
        self.begun.set()
        await self.over.wait()


@pytest.mark.parametrize("identifier", [b"1.0", b"1e2", b"12345678901234567890123", b'"\\ud83d"', b"1E+400"])
async def test_id_comes_back_as_it_was_written(caller: Caller, identifier: bytes) -> None:
    body = b'{"jsonrpc":"2.0","method":"VerifyCallback","params":{"challenge":"c"},"id":%b}' % identifier
    assert await caller.post(body) == (200, b'{"jsonrpc":"2.0","result":"c","id":%b}' % identifier)


async def test_message_behind_a_byte_order_mark_with_doubles_is_taken(caller: Caller) -> None:
    body = json.dumps(ring_message(1, "hi"), ensure_ascii=True).replace('"seq": 1', '"seq": 1.0').encode()
    assert b"1.0" in body
    status, reply = await caller.post(b"\xef\xbb\xbf" + body)
    assert (status, msgspec.json.decode(reply)["result"]) == (200, {"success": True})
    assert caller.seat.texts == ["hi"]


@pytest.mark.parametrize(
    ("params", "field"),
    [(b'{"challenge":"\\ud83d"}', "challenge"), (b'["\\ude00"]', "challenge"), (b'{"challenge":1e400}', None)],
)
async def test_params_that_are_no_text_are_refused_by_their_field(
    caller: Caller, params: bytes, field: str | None
) -> None:
    body = b'{"jsonrpc":"2.0","method":"VerifyCallback","params":%b,"id":7}' % params
    reply = msgspec.json.decode((await caller.post(body))[1])
    assert (reply["id"], reply["error"]["code"], reply["error"]["data"]["field"]) == (7, -32602, field)


async def test_text_with_u0000_of_an_older_server_is_taken(caller: Caller) -> None:
    await caller.ring(ring_message(1, "a\0b"))
    assert caller.seat.texts == ["a\0b"]
