"""The JSON-RPC front through HTTP: the letter of the specification, bad input, and what an error may say."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.chat.methods import CallContext, Params
from tests.fakes import Recipient, RunningServer
from tests.server.served import INTERNALS, ServedFront

CALL = b'{"jsonrpc":"2.0","method":"NoSuchMethod","id":%b}'


@pytest.fixture
async def server(server: RunningServer) -> AsyncIterator[RunningServer]:
    """The server, which after each test answers the next good request."""
    yield server
    assert (await server.register("The next one")).result["success"]


async def answer(server: RunningServer | ServedFront, body: bytes) -> Any:
    """POST and give the JSON of the answer."""
    status, raw = await server.post(body)
    assert status == 200
    assert not INTERNALS.search(raw), raw
    return msgspec.json.decode(raw)


async def refusal(server: RunningServer | ServedFront, body: bytes) -> tuple[int, Any]:
    """POST what gets one error; gives its code and id."""
    reply = await answer(server, body)
    assert set(reply) == {"jsonrpc", "error", "id"}
    return reply["error"]["code"], reply["id"]


@pytest.mark.parametrize(
    "identifier",
    [
        b"1",
        b"0",
        b"-0",
        b"-1",
        b"1.0",
        b"1e2",
        b"1E+2",
        b"1.50",
        b"123456789012345678901234567890",
        b"0.1000000000000000055511151231257827021181583404541015625",
        b"1e400",
        b"9" * 5000,
        b"null",
        b'""',
        b'"a"',
        b'"\\u0041\\n\\/\\ud83d\\ude00"',
        '"日本"'.encode(),
    ],
)
async def test_an_id_comes_back_byte_for_byte(server: RunningServer, identifier: bytes) -> None:
    for body in (CALL % identifier, b" [ " + CALL.replace(b":%b", b" :\t%b\r\n") % identifier + b" ] "):
        _, raw = await server.post(body)
        assert b'"id":%b}' % identifier in raw


async def test_an_id_comes_back_with_a_result_too(server: RunningServer) -> None:
    _, raw = await server.post(b'{"id":1.0,"method":"Register","params":["a-1","Alice"],"jsonrpc":"2.0"}')
    assert b'"result":' in raw
    assert raw.endswith(b',"id":1.0}')


async def test_an_id_whose_key_is_escaped_is_an_id(server: RunningServer) -> None:
    body = b'{"jsonrpc":"2.0","method":"NoSuchMethod","\\u0069d":7}'
    assert await refusal(server, body) == (-32601, 7)


async def test_of_two_ids_the_last_one_counts(server: RunningServer) -> None:
    body = b'{"jsonrpc":"2.0","id":[],"method":"NoSuchMethod","id":7}'
    assert await refusal(server, body) == (-32601, 7)


@pytest.mark.parametrize("identifier", [b"true", b"false", b"[]", b"[1]", b"{}", b'{"id":1}'])
async def test_what_cannot_be_an_id_is_an_invalid_request(server: RunningServer, identifier: bytes) -> None:
    assert await refusal(server, CALL % identifier) == (-32600, None)


@pytest.mark.parametrize(
    "body",
    [
        b'{"method":"Ping","id":7}',
        b'{"jsonrpc":"1.0","method":"Ping","id":7}',
        b'{"jsonrpc":2.0,"method":"Ping","id":7}',
        b'{"jsonrpc":2,"method":"Ping","id":7}',
        b'{"jsonrpc":null,"method":"Ping","id":7}',
        b'{"jsonrpc":["2.0"],"method":"Ping","id":7}',
        b'{"jsonrpc":"2.0","id":7}',
        b'{"jsonrpc":"2.0","method":null,"id":7}',
        b'{"jsonrpc":"2.0","method":1,"id":7}',
        b'{"jsonrpc":"2.0","method":["Ping"],"id":7}',
        b'{"jsonrpc":"2.0","method":"Ping","params":null,"id":7}',
        b'{"jsonrpc":"2.0","method":"Ping","params":"x","id":7}',
        b'{"jsonrpc":"2.0","method":"Ping","params":0,"id":7}',
    ],
)
async def test_a_request_of_the_wrong_form_is_refused_under_its_id(server: RunningServer, body: bytes) -> None:
    assert await refusal(server, body) == (-32600, 7)


@pytest.mark.parametrize("body", [b"1", b'"Ping"', b"null", b"true", b"1.5", b"{}", b'{"foo":"boo"}'])
async def test_what_is_not_a_request_is_refused(server: RunningServer, body: bytes) -> None:
    assert await refusal(server, body) == (-32600, None)


@pytest.mark.parametrize("method", [b"", b"ping", b"rpc.discover", b"__init__", b"register", b"Ping\\u0000", b"\\n"])
async def test_an_unknown_method_is_not_found(server: RunningServer, method: bytes) -> None:
    assert await refusal(server, b'{"jsonrpc":"2.0","method":"%b","id":7}' % method) == (-32601, 7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"hello",
        b"{",
        b'{"jsonrpc":"2.0","method":"Ping","id":7}}',
        b'{"jsonrpc":"2.0","method":"Ping","id":7}{"jsonrpc":"2.0","method":"Ping","id":7}',
        b"{'jsonrpc':'2.0'}",
        b'{"jsonrpc":"2.0","method":"Ping","id":7,}',
        '{"jsonrpc":"2.0","method":"Ping","id":7}'.encode("utf-16"),
        b"NaN",
        CALL % b"NaN",
        CALL % b"Infinity",
        CALL % b"-Infinity",
        CALL % b"01",
        CALL % b"+1",
        CALL % b'"\xff"',
        CALL % b'"\xc0\xaf"',
        CALL % b'"\xed\xa0\x80"',
        CALL % b'"\\ud8zz"',
        b'\xef\xbb\xbf\xef\xbb\xbf{"jsonrpc":"2.0","method":"Ping","id":7}',
        CALL % b'"a\nb"',
        CALL % b'"a\x00b"',
        b'{"jsonrpc":"2.0","method":"Ping","params":{"\xff":1},"id":7}',
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_what_is_not_json_is_a_parse_error(server: RunningServer, body: bytes) -> None:
    assert await refusal(server, body) == (-32700, None)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is empty"),
        ("{}".encode("utf-16"), "is UTF-16"),
        (b'{"a":"\xe4"}', "is not UTF-8"),
        (b"{", "is not JSON"),
    ],
)
async def test_parse_error_tells_the_encoding(server: RunningServer, body: bytes, problem: str) -> None:
    error = (await answer(server, body))["error"]
    assert error["data"]["problem"].startswith(f"the body {problem}")
    assert error["message"] == f"Parse error: {error['data']['problem']}"


async def test_byte_order_mark_before_a_request_does_not_count(server: RunningServer) -> None:
    assert await refusal(server, b"\xef\xbb\xbf" + CALL % b"7") == (-32601, 7)
    assert (await answer(server, b"\xef\xbb\xbf[" + CALL % b"7" + b"]"))[0]["id"] == 7


HALF = b"\\ud83d"


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        (b"SendMessage", b'{"user_id":"alice","text":"cut \\ud83d"}', "text"),
        (b"SendMessage", b'{"user_id":"alice","text":"\\ude00\\ud83d"}', "text"),
        (b"SendMessage", b'["alice","a","\\ud83d"]', "client_msg_id"),
        (b"SendMessage", b'["\\ud83d","a"]', "user_id"),
        (b"Register", b'{"name":"A\\ud83d"}', "name"),
        (b"Register", b'{"name":"A","id":"\\ud83d"}', "id"),
        (b"Register", b'{"name":"A","join_key":"\\ud83d"}', "join_key"),
        (b"Register", b'{"name":"A","accepts":["a","\\ud83d"]}', "accepts"),
        (b"Register", b'{"name":"A","callback":"http://a/\\ud83d"}', "callback"),
        (b"Rename", b'["\\ud83d"]', "name"),
        (b"Ping", b'{"\\ud83d":1}', "\ufffdd83d"),
    ],
)
async def test_half_of_a_surrogate_pair_is_refused_by_its_field(
    server: RunningServer, method: bytes, params: bytes, field: str
) -> None:
    request = b'{"jsonrpc":"2.0","method":"%b","params":%b,"id":"x"}' % (method, params)
    for reply in (await answer(server, request), *(await answer(server, b"[" + request + b"]"))):
        assert (reply["id"], reply["error"]["code"], reply["error"]["data"]["field"]) == ("x", -32602, field)


async def test_half_of_a_surrogate_pair_costs_only_its_own_call_of_a_batch(server: RunningServer) -> None:
    alice = await server.register("Alice", id="alice")
    call = b'{"jsonrpc":"2.0","method":"SendMessage","params":["alice","%b"],"id":%b}'
    body = b"[" + b",".join((call % (b"one", b"1.0"), call % (HALF, b"2"), call % (b"\\ud83d\\ude00", b'"3"'))) + b"]"
    _, raw = await server.post(body, headers={"Authorization": f"Bearer {alice.token}"})
    replies = msgspec.json.decode(raw)
    assert [(reply["id"], "result" in reply) for reply in replies] == [(1, True), (2, False), ("3", True)]
    stored = [message["text"] for message in (await alice.call("GetHistory"))["messages"]]
    assert stored[-2:] == ["one", "\U0001f600"]


async def test_half_of_a_surrogate_pair_in_id_and_method_comes_back_as_sent(server: RunningServer) -> None:
    _, raw = await server.post(b'{"jsonrpc":"2.0","method":"%b","id":"%b"}' % (HALF, HALF))
    assert b'"code":-32601' in raw
    assert raw.endswith(b'"id":"\\ud83d"}')


def nested(deep: int) -> bytes:
    """A request in which arrays and objects are nested so deep, itself included."""
    return b'{"jsonrpc":"2.0","method":"NoSuchMethod","params":%b%b,"id":7}' % (b"[" * (deep - 1), b"]" * (deep - 1))


async def test_nesting_of_16_is_fine_and_of_17_is_refused(server: RunningServer) -> None:
    assert await refusal(server, nested(16)) == (-32601, 7)
    assert await refusal(server, nested(17)) == (-32600, None)
    assert await refusal(server, nested(500)) == (-32600, None)


async def test_arrays_and_objects_are_levels_alike_and_brackets_in_strings_are_none(server: RunningServer) -> None:
    for deep, code in ((16, -32601), (17, -32600)):
        levels = deep - 1
        opened = b"".join([b'{"a":', b"["][level % 2] for level in range(levels - 1)) + b"[]"
        closed = b"".join([b"}", b"]"][level % 2] for level in reversed(range(levels - 1)))
        body = b'{"jsonrpc":"2.0","method":"NoSuchMethod","params":%b%b,"id":7}' % (opened, closed)
        assert (await refusal(server, body))[0] == code
    text = b'"' + b'[{\\"[[' * 20 + b'\\\\"'
    body = b'{"jsonrpc":"2.0","method":"NoSuchMethod","params":[%b],"id":7}' % text
    assert await refusal(server, body) == (-32601, 7)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b'{"jsonrpc":"2.0","method":"NoSuchMethod","id":7,"params":[1e400]}', -32601, id="unknown method"),
        pytest.param(b'{"jsonrpc":"2.0","method":"Ping","id":7,"params":[1e400]}', -32602, id="too many"),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"Ping","id":7,"params":{"a":[1e400]}}', -32602, id="unknown parameter"
        ),
        pytest.param(b'{"jsonrpc":"2.0","method":"Ping","id":7,"more":1e400}', -32001, id="beside it"),
        pytest.param(b'{"jsonrpc":"2.0","method":"Rename","id":7,"params":{"name":[1e400]}}', -32602, id="in a field"),
    ],
)
async def test_what_is_not_asked_for_is_not_read(server: RunningServer, body: bytes, code: int) -> None:
    """A number that would be refused if it were read: a mebibyte of such takes 0.6 s, in which all others wait."""
    assert await refusal(server, body) == (code, 7)


async def test_a_batch_is_a_level_of_nesting(server: RunningServer) -> None:
    assert (await answer(server, b"[%b]" % nested(15)))[0]["id"] == 7
    assert await refusal(server, b"[%b]" % nested(16)) == (-32600, None)


async def test_a_deep_element_refuses_the_batch_once(server: RunningServer) -> None:
    assert await refusal(server, b"[%b,%b]" % (CALL % b"1", nested(16))) == (-32600, None)


async def test_a_batch_of_100_is_fine_and_of_101_is_refused_once(server: RunningServer) -> None:
    replies = await answer(server, b"[%b]" % b",".join(CALL % str(number).encode() for number in range(100)))
    assert [reply["id"] for reply in replies] == list(range(100))
    assert await refusal(server, b"[%b]" % b",".join([CALL % b"1"] * 101)) == (-32600, None)
    assert await refusal(server, b"[%b]" % b",".join([b"1"] * 101)) == (-32600, None)


async def test_each_element_of_a_batch_is_judged_alone_and_in_order(server: RunningServer) -> None:
    replies = await answer(
        server,
        b"""[
            {"jsonrpc":"2.0","method":"Register","params":{"name":"Alice","id":"alice"},"id":"a"},
            {"jsonrpc":"2.0","method":"NoSuchMethod"},
            1,
            {"jsonrpc":"2.0","method":"Ping","id":true},
            {"jsonrpc":"2.0","method":"Ping","params":null,"id":2},
            [],
            {"jsonrpc":"2.0","method":"Ping","params":[1],"id":3},
            {"jsonrpc":"2.0","method":"Ping","id":null},
            {"jsonrpc":"2.0","method":"NoSuchMethod","id":1e2}
        ]""",
    )
    assert [(reply.get("error", {}).get("code"), reply["id"]) for reply in replies] == [
        (None, "a"),
        (-32600, None),
        (-32600, None),
        (-32600, 2),
        (-32600, None),
        (-32602, 3),
        (-32001, None),
        (-32601, 100),
    ]
    assert replies[0]["result"]["id"] == "alice"


async def test_the_elements_of_a_batch_run_one_after_the_other(session: ClientSession) -> None:
    running: list[object] = []
    most: list[int] = []

    async def note(_context: CallContext, given: Params) -> Any:
        params = msgspec.json.decode(given)
        running.append(params)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(params)
        return len(most)

    async with ServedFront(session, {"Note": note}) as front:
        call = b'{"jsonrpc":"2.0","method":"Note","id":%d}'
        replies = await answer(front, b"[%b]" % b",".join(call % number for number in range(5)))
    assert [(reply["id"], reply["result"]) for reply in replies] == [(number, number + 1) for number in range(5)]
    assert max(most) == 1


async def test_a_notification_is_carried_out_and_not_answered(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    body = b'{"jsonrpc":"2.0","method":"SendMessage","params":["%b","hi"]}' % alice.id.encode()
    headers = {"Authorization": f"Bearer {alice.token}"}
    assert await server.post(body, headers=headers) == (204, b"")
    assert await server.post(b"[%b,%b]" % (body, body), headers=headers) == (204, b"")
    await recipient.has("hi", "hi", "hi")


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","method":"NoSuchMethod"}',
        b'{"jsonrpc":"2.0","method":"Ping"}',
        b'{"jsonrpc":"2.0","method":"Register","params":[1,2,3,4,5,6,7,8,9,10]}',
        b'[{"jsonrpc":"2.0","method":"NoSuchMethod"},{"jsonrpc":"2.0","method":"Ping","params":{"x":1}}]',
    ],
)
async def test_a_notification_that_fails_is_not_answered_either(server: RunningServer, body: bytes) -> None:
    assert await server.post(body) == (204, b"")


async def test_only_the_first_register_of_a_batch_counts(server: RunningServer) -> None:
    call = b'{"jsonrpc":"2.0","method":"Register","params":{"name":"%b"},"id":%d}'
    replies = await answer(server, b"[%b,%b,%b]" % (call % (b"Alice", 1), call % (b"Bob", 2), call % (b"Eve", 3)))
    assert [(reply["id"], reply.get("error", {}).get("code")) for reply in replies] == [
        (1, None),
        (2, -32600),
        (3, -32600),
    ]
    assert (await server.register("Bob")).result["member_count"] == 2


async def test_a_further_register_without_an_id_is_refused_in_silence(server: RunningServer) -> None:
    call = b'{"jsonrpc":"2.0","method":"Register","params":{"name":"%b"}}'
    assert await server.post(b"[%b,%b]" % (call % b"Alice", call % b"Bob")) == (204, b"")
    assert (await server.register("Bob")).result["members"][0]["name"] == "Alice"


async def test_parameters_go_by_position_and_by_name(server: RunningServer) -> None:
    by_position = await answer(
        server, b'{"jsonrpc":"2.0","method":"Register","params":["alice","Alice",null,null,null,null,[],0],"id":1}'
    )
    by_name = await answer(
        server, b'{"jsonrpc":"2.0","method":"Register","params":{"name":"Bob","id":"bob","callback":null},"id":1}'
    )
    assert (by_position["result"]["id"], by_name["result"]["id"]) == ("alice", "bob")


@pytest.mark.parametrize(
    "params", [b'{"id":null,"name":"Bob"}', b'{"name":"Bob"}', b'[null,"Bob"]', b'[null,"Bob",null]']
)
async def test_null_for_an_optional_parameter_is_the_same_as_left_out(server: RunningServer, params: bytes) -> None:
    reply = await answer(server, b'{"jsonrpc":"2.0","method":"Register","params":%b,"id":1}' % params)
    assert reply["result"]["id"].startswith("bob-")


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("Register", b"[]", "name"),
        ("Register", b"{}", "name"),
        ("Register", b'{"name":null}', "name"),
        ("Register", b'["alice"]', "name"),
        ("Register", b'["alice","Alice",null,1,null,null,[],0,true,1]', None),
        ("Register", b'{"name":"Alice","self":1}', "self"),
        ("Register", b'{"name":"Alice","context":1}', "context"),
        ("Register", b'{"name":"Alice","params":{}}', "params"),
        ("Register", b'{"name":"Alice","Name":"Alice"}', "Name"),
        ("Register", b'{"name":"Alice","":1}', ""),
        ("Register", b'{"name":"Alice","after":1.5}', "after"),
        ("Register", b'{"name":"Alice","after":123456789012345678901234567890}', "after"),
        ("Register", b'{"name":"Alice","max_batch":true}', "max_batch"),
        ("Ping", b"[1]", None),
        ("Ping", b'{"id":"alice"}', "id"),
    ],
)
async def test_a_parameter_that_does_not_fit_is_named(
    server: RunningServer, method: str, params: bytes, field: str | None
) -> None:
    reply = await answer(server, b'{"jsonrpc":"2.0","method":"%b","params":%b,"id":1}' % (method.encode(), params))
    assert (reply["error"]["code"], reply["error"]["data"]["field"]) == (-32602, field)
    assert reply["error"]["data"]["problem"]


async def test_members_beside_the_specifications_are_ignored(server: RunningServer) -> None:
    assert await refusal(server, b'{"jsonrpc":"2.0","method":"Ping","id":1,"trace":{"a":[1]}}') == (-32001, 1)


async def test_a_mebibyte_of_json_is_refused_without_a_stall(server: RunningServer) -> None:
    for filling in (b'"%b"' % (b"a" * (1024 * 1024 - 2)), b"{%b}" % b",".join([b'"":0'] * 200_000)):
        began = time.thread_time()  # of the one thread of test and server, whatever else the machine does
        assert await refusal(server, filling.ljust(1024 * 1024)) == (-32600, None)
        assert time.thread_time() - began < 1


async def break_down(_context: CallContext, _params: Params) -> Any:
    raise LookupError("the secret of Alice")


async def test_an_internal_error_says_only_its_id(
    session: ClientSession, expected_tracebacks: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with ServedFront(session, {"Break": break_down}) as front:
        reply = await answer(front, b'{"jsonrpc":"2.0","method":"Break","id":7}')
    error_id = reply["error"]["data"].pop("error_id")
    message = f"Internal error: {error_id} in the server's log"
    assert reply == {"jsonrpc": "2.0", "error": {"code": -32603, "message": message, "data": {}}, "id": 7}
    assert error_id in caplog.text
    assert "the secret of Alice" in caplog.text
    assert len(expected_tracebacks) == 1


async def test_an_internal_error_spoils_nothing_else_of_a_batch(
    session: ClientSession, expected_tracebacks: list[Any]
) -> None:
    async def work(_context: CallContext, _params: Params) -> Any:
        return "done"

    async with ServedFront(session, {"Break": break_down, "Work": work}) as front:
        body = b'[{"jsonrpc":"2.0","method":"Break","id":1},{"jsonrpc":"2.0","method":"Work","id":2}]'
        replies = await answer(front, body)
        assert await front.post(b'{"jsonrpc":"2.0","method":"Break"}') == (204, b"")
    assert [(reply.get("result"), reply["id"]) for reply in replies] == [(None, 1), ("done", 2)]
    assert len(expected_tracebacks) == 2


async def test_a_method_that_blocks_the_loop_is_noticed(session: ClientSession, expected_tracebacks: list[Any]) -> None:
    async def block(_context: CallContext, _params: Params) -> Any:
        time.sleep(0)  # noqa: ASYNC251 (what this test is about)

    async with ServedFront(session, {"Block": block}) as front:
        assert (await refusal(front, b'{"jsonrpc":"2.0","method":"Block","id":1}'))[0] == -32603
    assert "Blocking call to time.sleep" in str(expected_tracebacks[0].exc_info)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
method_names = st.sampled_from(
    ["Register", "Unregister", "SendMessage", "GetHistory", "ListMembers", "Rename", "SetTyping", "Ping", "Nope"]
)
parameter_names = st.sampled_from(
    ["id", "name", "user_id", "text", "max_batch", "secret", "accepts", "after", "before", "limit", "client_msg_id"]
)
almost_requests = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": method_names},
    optional={
        "params": st.dictionaries(parameter_names, json_values, max_size=5) | st.lists(json_values, max_size=9),
        "id": json_values,
    },
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.one_of(json_values, almost_requests, st.lists(almost_requests | json_values, max_size=5)).map(
        msgspec.json.encode
    ),
)


def is_answer(element: Any) -> bool:
    """JSON-RPC 2.0, section 5."""
    whole = set(element) in ({"jsonrpc", "result", "id"}, {"jsonrpc", "error", "id"})
    error = element.get("error", {"code": 0, "message": ""})
    return (
        whole and element["jsonrpc"] == "2.0" and isinstance(error["code"], int) and isinstance(error["message"], str)
    )


async def test_whatever_is_sent_the_answer_is_json_rpc_or_nothing(server: RunningServer) -> None:
    alice = await server.register("Alice", id="alice")
    loop = asyncio.get_running_loop()

    @settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(bodies)
    def check(body: bytes) -> None:
        headers = {"Authorization": f"Bearer {alice.token}"}
        status, raw = asyncio.run_coroutine_threadsafe(server.post(body, headers=headers), loop).result()
        assert status in (200, 204), raw
        assert (status == 204) == (raw == b"")
        if raw:
            reply = msgspec.json.decode(raw)
            assert all(map(is_answer, reply if isinstance(reply, list) else [reply])), raw
            assert b"-32603" not in raw
            assert not (isinstance(reply, list) and not reply)

    await asyncio.to_thread(check)
