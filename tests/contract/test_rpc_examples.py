"""The examples of the JSON-RPC 2.0 specification, section 7, to the letter, with the methods that they call."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from server.chat.methods import CallContext, Params
from tests.server.served import ServedFront

PARSE_ERROR = {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}
INVALID_REQUEST = {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": None}


def not_found(request_id: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": request_id}


def result(value: object, request_id: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "result": value, "id": request_id}


async def subtract(_context: CallContext, given: Params) -> Any:
    params = msgspec.json.decode(given)
    minuend, subtrahend = (params["minuend"], params["subtrahend"]) if isinstance(params, dict) else list(params)
    return minuend - subtrahend


async def add_up(_context: CallContext, params: Params) -> Any:
    return sum(msgspec.json.decode(params))


async def get_data(_context: CallContext, _params: Params) -> Any:
    return ["hello", 5]


async def take_note(_context: CallContext, _params: Params) -> Any:
    return None


@pytest.fixture
async def front(session: ClientSession) -> AsyncIterator[ServedFront]:
    notified = dict.fromkeys(("update", "notify_hello", "notify_sum"), take_note)
    methods = {"subtract": subtract, "sum": add_up, "get_data": get_data, **notified}
    async with ServedFront(session, methods) as front:
        yield front


def without_data(answer: Any) -> Any:
    """Leave out what section 5.1 lets a server add: `data`, and the rest of the sentence in `message`."""
    if isinstance(answer, list):
        return [without_data(element) for element in answer]
    if error := answer.get("error"):
        error.pop("data", None)
        error["message"], _, detail = error["message"].partition(": ")
        assert detail
    return answer


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', result(19, 1)),
        ('{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', result(-19, 2)),
        (
            '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
            result(19, 3),
        ),
        (
            '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
            result(19, 4),
        ),
        ('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', not_found("1")),
        ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', PARSE_ERROR),
        ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID_REQUEST),
        (
            '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
            PARSE_ERROR,
        ),
        ("[]", INVALID_REQUEST),
        ("[1]", [INVALID_REQUEST]),
        ("[1,2,3]", [INVALID_REQUEST] * 3),
        (
            """[
                {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
                {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
                {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
                {"foo": "boo"},
                {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
                {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
            ]""",
            [result(7, "1"), result(19, "2"), INVALID_REQUEST, not_found("5"), result(["hello", 5], "9")],
        ),
    ],
)
async def test_an_example_is_answered_as_the_specification_says(front: ServedFront, sent: str, received: Any) -> None:
    status, body = await front.post(sent)
    assert (status, without_data(msgspec.json.decode(body))) == (200, received)


@pytest.mark.parametrize(
    "sent",
    [
        '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}',
        '{"jsonrpc": "2.0", "method": "foobar"}',
        """[
            {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
        ]""",
    ],
)
async def test_an_example_of_notifications_gets_nothing(front: ServedFront, sent: str) -> None:
    assert await front.post(sent) == (204, b"")
