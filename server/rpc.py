"""The strict JSON-RPC 2.0 front around jsonrpcserver.

jsonrpcserver calls the method and makes its response. What it does not do by the letter is done here before it is
asked: strict JSON, limits, each element of a batch judged alone and run in order, ids echoed byte for byte, and no text
of an exception to a caller. Sections are those of the JSON-RPC 2.0 specification.
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
from server import journal
from server.message_log.base import LogError
from server.methods import CallContext, Method

ABSENT: Final = Raw()
NULL: Final = Raw(b"null")
NO_PARAMS: Final = Raw(b"[]")
BATCH: Final = re.compile(rb"[ \t\r\n]*\[")
STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
NOT_A_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024  # a hundred GetHistory calls could ask for half a gigabyte


class Call(Struct):
    """A request as it came. The parts are read when it is known what they should be, and how much of them.

    Reading all of it could take long: half a second for a mebibyte of numbers. `id` goes back exactly as it came.
    """

    jsonrpc: Raw = ABSENT
    method: Raw = ABSENT
    params: Raw = ABSENT
    id: Raw = ABSENT


CALL: Final = msgspec.json.Decoder(Call)
CALLS: Final = msgspec.json.Decoder(list[Raw])
ANYTHING: Final = msgspec.json.Decoder(Raw)


class RpcFront:
    """Answers the body of one HTTP request."""

    def __init__(self, methods: Mapping[str, Method], once_per_batch: Collection[str] = ()) -> None:
        """Serve these methods; those in `once_per_batch` may be called only once in a batch."""
        self._methods = {name: _dispatchable(method) for name, method in methods.items()}
        self._once_per_batch = frozenset(once_per_batch)

    async def answer(self, body: bytes, context: CallContext) -> bytes | None:
        """Give the body of the answer, or None when there is nothing to answer (only notifications)."""
        body = body.removeprefix(BYTE_ORDER_MARK)
        try:
            body.decode()  # what is passed over unread is checked for all that JSON asks for, but not for this
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
        """Answer what is not JSON; or is it but for halves of surrogate pairs, which the methods refuse by field."""
        marked = mark_halves(body)
        if marked == body:
            problem = {"problem": f"the body {json_problem(body)}"}
            return msgspec.json.encode(_error(NULL, ErrorCode.PARSE_ERROR, problem))
        return await self.answer(marked, context)

    async def _answer_batch(self, elements: list[Raw], context: CallContext) -> bytes | None:
        """Run the elements one after the other (section 6), as long as the answers stay within bounds."""
        answers: list[Raw] = []
        called: set[str] = set()
        size = 0
        for call in map(_call_of, elements):
            if size > MAX_ANSWER_BYTES:
                problem = {"problem": "the answers of this batch have become too large; ask for less at a time"}
                answer: dict[str, Any] | None = _error(_identifier(call), ErrorCode.INVALID_REQUEST, problem)
            else:
                answer = await self._answer_one(call, context, called & self._once_per_batch)
            if answer is not None:
                answers.append(Raw(msgspec.json.encode(answer)))
                size += len(answers[-1])
            called.add((call and _string(call.method)) or "")
            await asyncio.sleep(0)  # let others have their turn between two elements
        return msgspec.json.encode(answers) if answers else None

    async def _answer_one(
        self, call: Call | None, context: CallContext, refused: Collection[str]
    ) -> dict[str, Any] | None:
        """Answer one element; None for a notification (section 4.1)."""
        identifier = _identifier(call)
        if call is None or (problem := _request_problem(call)) is not None:
            why = "a request is an object" if call is None else problem
            return _error(identifier, ErrorCode.INVALID_REQUEST, {"problem": why})
        name = _string(call.method) or ""
        if name in refused:
            problem = f"only one {name} in a batch"
            return _error(identifier, ErrorCode.INVALID_REQUEST, {"problem": problem}) if call.id else None
        method = self._methods.get(name)
        if method is None:
            problem = f"there is no such method; this server has {', '.join(self._methods)}"
            return _error(identifier, ErrorCode.METHOD_NOT_FOUND, {"problem": problem}) if call.id else None
        # The inner part of what jsonrpcserver does with a text. The outer one would parse and check once more, make a
        # task, and ask `inspect` for a signature that takes anything.
        asked = Request(name, [bytes(call.params or NO_PARAMS)], NULL)
        response = to_response(asked, await run(asked, context, method))
        return {**_plain(response), "id": identifier} if call.id else None


def _split(body: bytes) -> tuple[bool, list[Raw]]:
    """Give the elements of a batch, or the one request that it is."""
    if BATCH.match(body):
        return True, CALLS.decode(body)
    return False, [ANYTHING.decode(body)]


def _call_of(element: Raw) -> Call | None:
    """Read an element; None when it is no object."""
    try:
        return CALL.decode(element)
    except msgspec.ValidationError:
        return None


def _plain(response: Any) -> dict[str, Any]:
    """Give one response of jsonrpcserver as the object that it is."""
    return cast("dict[str, Any]", to_serializable_one(response))


def _identifier(call: Call | None) -> Raw:
    """Give the bytes of the `id`; null when there is none that could be one (section 5)."""
    return NULL if call is None or _id_problem(call) else unmark_halves(call.id) or NULL


def _id_problem(call: Call) -> bool:
    return _first(call.id) in (b"t", b"f", b"[", b"{")  # a boolean, an array, an object


def _request_problem(call: Call) -> str | None:
    """Say why this is not a Request object (section 4), or None when it is one."""
    if _string(call.jsonrpc) != "2.0":
        return 'jsonrpc must be "2.0"'
    if _string(call.method) is None:
        return "method must be a string"
    if call.params and _first(call.params) not in (b"[", b"{"):
        return "params must be an array or an object; leave it out when there are none"
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
    # What opens fewer brackets than that cannot be nested deeper, wherever they are.
    if body.count(b"[") + body.count(b"{") > MAX_NESTING and _is_nested_deeper(body, MAX_NESTING):
        return f"arrays and objects may be nested {MAX_NESTING} deep at most"
    return None


def _is_nested_deeper(body: bytes, limit: int) -> bool:
    """Tell of JSON whether it is; each turn takes away the innermost brackets, everywhere at once."""
    brackets = STRING.sub(b"", body).translate(AS_SQUARE, NOT_A_BRACKET)
    for _ in range(limit):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _dispatchable(method: Method) -> Callable[..., Awaitable[Result]]:
    """Make of a method what jsonrpcserver calls: a Result returned, nothing raised. It has one argument, the params."""

    async def answer(context: CallContext, params: bytes) -> Result:
        try:
            return Success(await method(context, params))
        except ContractError as error:
            return _result_of(error)
        except Exception as error:
            # Whatever went wrong inside is for the log alone; the id lets an operator find it there. A store that
            # cannot be read is no mistake in the code that a traceback would show.
            error_id = secrets.token_hex(4)
            known = isinstance(error, LogError)
            journal.server.error("Internal error %s: %s", error_id, error, exc_info=not known)
            return _result_of(ContractError(ErrorCode.INTERNAL_ERROR, {"error_id": error_id}))

    return answer


def _result_of(error: ContractError) -> Result:
    if error.data is None:
        return Error(error.code.value, error.message)
    return Error(error.code.value, error.message, error.data)


def _error(identifier: Raw, code: ErrorCode, data: Mapping[str, Any]) -> dict[str, Any]:
    error = {"code": code.value, "message": message_of(code, data), "data": data}
    return {"jsonrpc": "2.0", "error": error, "id": identifier}
