"""Calls a method through jsonrpcserver, which builds the members of the response.

Only this module knows jsonrpcserver. Its outer functions parse and check the text again, create a task, and ask
`inspect` for the signature of a method that accepts any parameters, so the inner functions are used.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from jsonrpcserver import Error, Result, Success
from jsonrpcserver.async_dispatcher import call
from jsonrpcserver.dispatcher import to_response
from jsonrpcserver.request import Request
from jsonrpcserver.response import to_serializable_one
from msgspec import Raw

from protocol.errors import ContractError, ErrorCode
from protocol.jsonrpc import NULL
from server import logs
from server.chat.methods import CallContext, Method
from server.message_log.base import LogError

Dispatchable = Callable[[CallContext, bytes], Awaitable[Result]]

NO_PARAMS: Final = b"[]"


async def call_method(name: str, method: Dispatchable, params: Raw, context: CallContext) -> dict[str, Any]:
    """Call a method and return the members of its response, except the `id`."""
    request = Request(name, [bytes(params) or NO_PARAMS], NULL)
    response = to_response(request, await call(request, context, method))
    return cast("dict[str, Any]", to_serializable_one(response))


def dispatchable(method: Method) -> Dispatchable:
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
