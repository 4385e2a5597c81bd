"""The strict JSON-RPC 2.0 dispatcher around jsonrpcserver.

jsonrpcserver calls the method and builds its response. This module adds, before that call, the rules that jsonrpcserver
does not follow: strict JSON, limits, batch elements checked separately and run in order, ids echoed byte for byte. It
also keeps exception texts out of responses. Section numbers refer to the JSON-RPC 2.0 specification.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, cast

import msgspec
from jsonrpcserver import Error, Result, Success
from jsonrpcserver.async_dispatcher import call as run
from jsonrpcserver.dispatcher import to_response
from jsonrpcserver.request import Request
from jsonrpcserver.response import to_serializable_one
from msgspec import Raw, Struct

from protocol.errors import ContractError, ErrorCode, message_of
from protocol.json_text import BYTE_ORDER_MARK, json_problem, mark_halves, unmark_halves
from protocol.methods import MAX_BATCH_CALLS, MAX_NESTING
from server import logs
from server.chat.methods import CallContext, Method
from server.message_log.base import LogError

ABSENT: Final = Raw()
NULL: Final = Raw(b"null")
NO_PARAMS: Final = Raw(b"[]")
BATCH: Final = re.compile(rb"[ \t\r\n]*\[")
STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
NOT_A_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024  # a batch of a hundred GetHistory requests could ask for half a gigabyte


class Call(Struct):
    """A request with undecoded fields. Each field is decoded later, by its type, and only as far as needed.

    Decoding all fields at once could take long: half a second for a mebibyte of numbers. `id` is echoed byte for byte.
    """

    jsonrpc: Raw = ABSENT
    method: Raw = ABSENT
    params: Raw = ABSENT
    id: Raw = ABSENT


CALL: Final = msgspec.json.Decoder(Call)
CALLS: Final = msgspec.json.Decoder(list[Raw])
ANYTHING: Final = msgspec.json.Decoder(Raw)


class JsonRpcDispatcher:
    """Handles the body of one HTTP request."""

    def __init__(self, methods: Mapping[str, Method], once_per_batch: Collection[str] = ()) -> None:
        """Serve `methods`. Those in `once_per_batch` may appear once in a batch."""
        self._methods = {name: _dispatchable(method) for name, method in methods.items()}
        self._once_per_batch = frozenset(once_per_batch)

    async def answer(self, body: bytes, context: CallContext) -> bytes | None:
        """Return the body of the response, None if the request has only notifications."""
        body = body.removeprefix(BYTE_ORDER_MARK)
        try:
            body.decode()  # msgspec.Raw checks JSON syntax but not UTF-8
            is_batch, elements = _split(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return await self._answer_odd(body, context)
        if problem := _limit_problem(elements, body, is_batch=is_batch):
            return msgspec.json.encode(_error(NULL, ErrorCode.INVALID_REQUEST, {"problem": problem}))
        if is_batch:
            return await self._answer_batch(elements, context)
        answer = await self._answer_one(_call_of(elements[0]), context, frozenset())
        return None if answer is None else msgspec.json.encode(answer)

    async def _answer_odd(self, body: bytes, context: CallContext) -> bytes | None:
        """Handle a body that is not JSON, or JSON but for lone surrogates, which the methods refuse by field."""
        marked = mark_halves(body)
        if marked == body:
            problem = {"problem": f"the body {json_problem(body)}"}
            return msgspec.json.encode(_error(NULL, ErrorCode.PARSE_ERROR, problem))
        return await self.answer(marked, context)

    async def _answer_batch(self, elements: list[Raw], context: CallContext) -> bytes | None:
        """Run the elements in order (section 6). Refuse the rest once the responses exceed `MAX_ANSWER_BYTES`."""
        answers: list[Raw] = []
        called: set[str] = set()
        size = 0
        for call in map(_call_of, elements):
            if size > MAX_ANSWER_BYTES:
                problem = {"problem": "the responses of this batch are too large; split it"}
                answer: dict[str, Any] | None = _error(_identifier(call), ErrorCode.INVALID_REQUEST, problem)
            else:
                answer = await self._answer_one(call, context, called & self._once_per_batch)
            if answer is not None:
                answers.append(Raw(msgspec.json.encode(answer)))
                size += len(answers[-1])
            called.add((call and _string(call.method)) or "")
            await asyncio.sleep(0)  # let other tasks run between two elements
        return msgspec.json.encode(answers) if answers else None

    async def _answer_one(
        self, call: Call | None, context: CallContext, refused: Collection[str]
    ) -> dict[str, Any] | None:
        """Return the response to one element, None for a notification (section 4.1)."""
        identifier = _identifier(call)
        if call is None or (problem := _request_problem(call)) is not None:
            why = "a request must be an object" if call is None else problem
            return _error(identifier, ErrorCode.INVALID_REQUEST, {"problem": why})
        name = _string(call.method) or ""
        if name in refused:
            problem = f"a batch may contain only one {name}"
            return _error(identifier, ErrorCode.INVALID_REQUEST, {"problem": problem}) if call.id else None
        method = self._methods.get(name)
        if method is None:
            problem = f"unknown method; this server has {', '.join(self._methods)}"
            return _error(identifier, ErrorCode.METHOD_NOT_FOUND, {"problem": problem}) if call.id else None
        # Use jsonrpcserver's inner functions. Its `dispatch` would parse and check the text again, create a task, and
        # ask `inspect` for the signature, which accepts any parameters.
        asked = Request(name, [bytes(call.params or NO_PARAMS)], NULL)
        response = to_response(asked, await run(asked, context, method))
        return {**_plain(response), "id": identifier} if call.id else None


def _split(body: bytes) -> tuple[bool, list[Raw]]:
    """Return (True, elements) for a batch, (False, [request]) for a single request."""
    if BATCH.match(body):
        return True, CALLS.decode(body)
    return False, [ANYTHING.decode(body)]


def _call_of(element: Raw) -> Call | None:
    """Decode an element; return None if it is not an object."""
    try:
        return CALL.decode(element)
    except msgspec.ValidationError:
        return None


def _plain(response: Any) -> dict[str, Any]:
    """Return a response of jsonrpcserver as a dictionary."""
    return cast("dict[str, Any]", to_serializable_one(response))


def _identifier(call: Call | None) -> Raw:
    """Return the bytes of the `id`, null if it is missing or invalid (section 5)."""
    return NULL if call is None or _id_problem(call) else unmark_halves(call.id) or NULL


def _id_problem(call: Call) -> bool:
    return _first(call.id) in (b"t", b"f", b"[", b"{")  # a boolean, an array, an object


def _request_problem(call: Call) -> str | None:
    """Return why this is not a Request object (section 4), None if it is valid."""
    if _string(call.jsonrpc) != "2.0":
        return 'jsonrpc must be "2.0"'
    if _string(call.method) is None:
        return "method must be a string"
    if call.params and _first(call.params) not in (b"[", b"{"):
        return "params must be an array or an object, or be left out"
    if _id_problem(call):
        return "id must be a string, a number or null"
    return None


def _string(value: Raw) -> str | None:
    return msgspec.json.decode(value, type=str) if _first(value) == b'"' else None


def _first(value: Raw) -> bytes:
    return bytes(memoryview(value)[:1])


def _limit_problem(elements: list[Raw], body: bytes, *, is_batch: bool) -> str | None:
    if is_batch:
        if not elements:
            return "a batch must not be empty"
        if len(elements) > MAX_BATCH_CALLS:
            return f"a batch may hold at most {MAX_BATCH_CALLS} requests, not {len(elements)}"
    # With at most `MAX_NESTING` opening brackets in the body, the nesting cannot be deeper.
    if body.count(b"[") + body.count(b"{") > MAX_NESTING and _is_nested_deeper(body, MAX_NESTING):
        return f"arrays and objects may be nested {MAX_NESTING} deep at most"
    return None


def _is_nested_deeper(body: bytes, limit: int) -> bool:
    """Return whether JSON is nested deeper than `limit`. Each pass removes all innermost brackets."""
    brackets = STRING.sub(b"", body).translate(AS_SQUARE, NOT_A_BRACKET)
    for _ in range(limit):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _dispatchable(method: Method) -> Callable[..., Awaitable[Result]]:
    """Wrap a method for jsonrpcserver: it takes the params as its only argument, returns a Result, never raises."""

    async def answer(context: CallContext, params: bytes) -> Result:
        try:
            return Success(await method(context, params))
        except ContractError as error:
            return _result_of(error)
        except Exception as error:
            # The details stay in the log; `error_id` lets an operator find them. A store that cannot be read is not a
            # bug, so a `LogError` gets no traceback.
            error_id = secrets.token_hex(4)
            known = isinstance(error, LogError)
            logs.server.error("Internal error %s: %s", error_id, error, exc_info=not known)
            return _result_of(ContractError(ErrorCode.INTERNAL_ERROR, {"error_id": error_id}))

    return answer


def _result_of(error: ContractError) -> Result:
    if error.data is None:
        return Error(error.code.value, error.message)
    return Error(error.code.value, error.message, error.data)


def _error(identifier: Raw, code: ErrorCode, data: Mapping[str, Any]) -> dict[str, Any]:
    error = {"code": code.value, "message": message_of(code, data), "data": data}
    return {"jsonrpc": "2.0", "error": error, "id": identifier}
