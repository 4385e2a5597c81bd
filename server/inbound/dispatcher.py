"""The strict JSON-RPC 2.0 dispatcher.

`jsonrpcserver_adapter` calls the methods. This module adds, before that call, the rules that jsonrpcserver does not
follow: strict JSON, limits, batch elements checked separately and run in order, ids echoed byte for byte. Section
numbers refer to the JSON-RPC 2.0 specification.
"""

import asyncio
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from protocol.errors import ErrorCode
from protocol.json_text import json_problem, mark_halves
from protocol.jsonrpc import NOT_A_REQUEST, NULL, UNREADABLE, Request, failure, read_request, split
from protocol.methods import MAX_BATCH_CALLS, MAX_NESTING
from server.chat.methods import CallContext, Method
from server.inbound.jsonrpcserver_adapter import call_method, dispatchable

STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
NOT_A_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
MAX_RESPONSE_BYTES: Final = 8 * 1024 * 1024  # a batch of a hundred GetHistory requests could ask for half a gigabyte


class JsonRpcDispatcher:
    """Handles the body of one HTTP request."""

    def __init__(self, methods: Mapping[str, Method], once_per_batch: Collection[str] = ()) -> None:
        """Serve `methods`. Those in `once_per_batch` may appear once in a batch."""
        self._methods = {name: dispatchable(method) for name, method in methods.items()}
        self._once_per_batch = frozenset(once_per_batch)

    async def dispatch(self, body: bytes, context: CallContext) -> bytes | None:
        """Return the body of the response, None if the request has only notifications."""
        try:
            is_batch, elements = split(body)
        except UNREADABLE:
            return await self._dispatch_odd(body, context)
        if problem := _limit_problem(elements, body, is_batch=is_batch):
            return msgspec.json.encode(_invalid(None, problem))
        if is_batch:
            return await self._dispatch_batch(elements, context)
        response = await self._dispatch_one(read_request(elements[0]), context, frozenset())
        return None if response is None else msgspec.json.encode(response)

    async def _dispatch_odd(self, body: bytes, context: CallContext) -> bytes | None:
        """Handle a body that is not JSON, or JSON but for lone surrogates, which the methods refuse by field."""
        marked = mark_halves(body)
        if marked == body:
            problem = {"problem": f"the body {json_problem(body)}"}
            return msgspec.json.encode(failure(NULL, ErrorCode.PARSE_ERROR, problem))
        return await self.dispatch(marked, context)

    async def _dispatch_batch(self, elements: list[Raw], context: CallContext) -> bytes | None:
        """Run the elements in order (section 6). Refuse the rest once the responses exceed `MAX_RESPONSE_BYTES`."""
        responses: list[Raw] = []
        called: set[str] = set()
        size = 0
        for request in map(read_request, elements):
            if size > MAX_RESPONSE_BYTES:
                problem = "the responses of this batch are too large; split it"
                response: dict[str, Any] | None = _invalid(request, problem)
            else:
                response = await self._dispatch_one(request, context, called & self._once_per_batch)
            if response is not None:
                responses.append(Raw(msgspec.json.encode(response)))
                size += len(responses[-1])
            called.add((request and request.name) or "")
            await asyncio.sleep(0)  # let other tasks run between two elements
        return msgspec.json.encode(responses) if responses else None

    async def _dispatch_one(
        self, request: Request | None, context: CallContext, refused: Collection[str]
    ) -> dict[str, Any] | None:
        """Return the response to one element, None for a notification (section 4.1)."""
        if request is None:
            return _invalid(None, NOT_A_REQUEST)
        if (problem := request.problem) is not None:
            return _invalid(request, problem)
        name = request.name or ""
        if name in refused:
            response = _invalid(request, f"a batch may contain only one {name}")
        elif (method := self._methods.get(name)) is None:
            unknown = {"problem": f"unknown method; this server has {', '.join(self._methods)}"}
            response = failure(request.response_id, ErrorCode.METHOD_NOT_FOUND, unknown)
        else:
            response = {**await call_method(name, method, request.params, context), "id": request.response_id}
        return response if request.id else None


def _invalid(request: Request | None, problem: str) -> dict[str, Any]:
    return failure(request.response_id if request else NULL, ErrorCode.INVALID_REQUEST, {"problem": problem})


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
