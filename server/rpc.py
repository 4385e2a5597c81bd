"""The strict JSON-RPC 2.0 front around jsonrpcserver.

jsonrpcserver calls the method and makes its response. What it does not do by the letter is done here before it is
asked: strict JSON, limits, each element of a batch judged alone and run in order, ids echoed byte for byte, and no text
of an exception to a caller. Sections are those of the JSON-RPC 2.0 specification.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Final, cast

import msgspec
from jsonrpcserver import Error, Result, Success
from jsonrpcserver.async_dispatcher import call
from jsonrpcserver.dispatcher import to_response
from jsonrpcserver.request import Request
from jsonrpcserver.response import to_serializable_one
from msgspec import Raw, Struct

from protocol.errors import ContractError, ErrorCode
from protocol.methods import MAX_BATCH_CALLS, MAX_NESTING
from server import journal
from server.message_log.base import LogError
from server.methods import CallContext, Method

NULL: Final = Raw(b"null")
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024  # a hundred GetHistory calls could ask for half a gigabyte


class Envelope(Struct):
    """The `id` of a request as its bytes, so that it goes back exactly as it came; null when there is none."""

    id: Raw = NULL


class RpcFront:
    """Answers the body of one HTTP request."""

    def __init__(self, methods: Mapping[str, Method], once_per_batch: Collection[str] = ()) -> None:
        """Serve these methods; those in `once_per_batch` may be called only once in a batch."""
        self._methods = {name: _dispatchable(method) for name, method in methods.items()}
        self._once_per_batch = frozenset(once_per_batch)

    async def answer(self, body: bytes, context: CallContext) -> bytes | None:
        """Give the body of the answer, or None when there is nothing to answer (only notifications)."""
        try:
            parsed = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return msgspec.json.encode(_error(NULL, ErrorCode.PARSE_ERROR, {"problem": "the body is not JSON"}))
        if problem := _limit_problem(parsed, body):
            return msgspec.json.encode(_error(NULL, ErrorCode.INVALID_REQUEST, {"problem": problem}))
        if isinstance(parsed, list):
            return await self._answer_batch(parsed, msgspec.json.decode(body, type=list[Raw]), context)
        answer = await self._answer_one(parsed, Raw(body), context, frozenset())
        return None if answer is None else msgspec.json.encode(answer)

    async def _answer_batch(self, elements: list[Any], raws: list[Raw], context: CallContext) -> bytes | None:
        """Run the elements one after the other (section 6), as long as the answers stay within bounds."""
        answers: list[Raw] = []
        called: set[str] = set()
        size = 0
        for element, raw in zip(elements, raws, strict=True):
            if size > MAX_ANSWER_BYTES:
                problem = {"problem": "the answers of this batch have become too large; ask for less at a time"}
                answer: dict[str, Any] | None = _error(
                    _read_identifier(element, raw), ErrorCode.INVALID_REQUEST, problem
                )
            else:
                answer = await self._answer_one(element, raw, context, called & self._once_per_batch)
            if answer is not None:
                answers.append(Raw(msgspec.json.encode(answer)))
                size += len(answers[-1])
            if isinstance(element, dict) and isinstance(element.get("method"), str):
                called.add(element["method"])
            await asyncio.sleep(0)  # let others have their turn between two elements
        return msgspec.json.encode(answers) if answers else None

    async def _answer_one(
        self, element: object, raw: Raw, context: CallContext, refused: Collection[str]
    ) -> dict[str, Any] | None:
        """Answer one element; None for a notification (section 4.1)."""
        identifier = _read_identifier(element, raw)
        if (problem := _request_problem(element)) is not None:
            return _error(identifier, ErrorCode.INVALID_REQUEST, {"problem": problem})
        request = cast("dict[str, Any]", element)
        if request["method"] in refused:
            problem = f"only one {request['method']} in a batch"
            return _error(identifier, ErrorCode.INVALID_REQUEST, {"problem": problem}) if "id" in request else None
        method = self._methods.get(request["method"])
        if method is None:
            problem = f"there is no such method; this server has {', '.join(self._methods)}"
            return _error(identifier, ErrorCode.METHOD_NOT_FOUND, {"problem": problem}) if "id" in request else None
        # The inner part of what jsonrpcserver does with a text. The outer one would parse and check once more, make a
        # task, and ask `inspect` for a signature that takes anything.
        asked = Request(request["method"], request.get("params", []), NULL)
        response = to_response(asked, await call(asked, context, method))
        return {**_plain(response), "id": identifier} if "id" in request else None


def _plain(response: Any) -> dict[str, Any]:
    """Give one response of jsonrpcserver as the object that it is."""
    return cast("dict[str, Any]", to_serializable_one(response))


def _read_identifier(element: object, raw: Raw) -> Raw:
    """Give the bytes of the `id`; null when there is none that could be one (section 5)."""
    if not isinstance(element, dict) or isinstance(element.get("id"), bool | list | dict):
        return NULL
    return msgspec.json.decode(raw, type=Envelope).id


def _request_problem(element: object) -> str | None:
    """Say why this is not a Request object (section 4), or None when it is one."""
    if not isinstance(element, dict):
        return "a request is an object"
    if element.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if not isinstance(element.get("method"), str):
        return "method must be a string"
    if "params" in element and not isinstance(element["params"], list | dict):
        return "params must be an array or an object; leave it out when there are none"
    if isinstance(element.get("id"), bool | list | dict):
        return "id must be a string, a number or null"
    return None


def _limit_problem(parsed: object, body: bytes) -> str | None:
    if isinstance(parsed, list):
        if not parsed:
            return "a batch must not be empty"
        if len(parsed) > MAX_BATCH_CALLS:
            return f"a batch may hold at most {MAX_BATCH_CALLS} requests, not {len(parsed)}"
    # What opens fewer brackets than that cannot be nested deeper, wherever they are.
    if body.count(b"[") + body.count(b"{") > MAX_NESTING and _is_nested_deeper(parsed, MAX_NESTING):
        return f"arrays and objects may be nested {MAX_NESTING} deep at most"
    return None


def _is_nested_deeper(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return any(isinstance(value, list | dict) for value in level)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _dispatchable(method: Method) -> Callable[..., Awaitable[Result]]:
    """Make of a method what jsonrpcserver calls: the parameters spread out, a Result returned, nothing raised."""

    async def answer(context: CallContext, /, *args: Any, **kwargs: Any) -> Result:
        try:
            return Success(await method(context, kwargs or args))
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
        return Error(error.code.value, error.code.message)
    return Error(error.code.value, error.code.message, error.data)


def _error(identifier: Raw, code: ErrorCode, data: Mapping[str, Any]) -> dict[str, Any]:
    error = {"code": code.value, "message": code.message, "data": data}
    return {"jsonrpc": "2.0", "error": error, "id": identifier}
