"""The JSON-RPC 2.0 that page and container speak over their WebSocket, one JSON value in each text frame."""

from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from client.errors import ClientError
from client.web.errors import PageError, code_and_data
from protocol.errors import ErrorCode

MAX_FRAME_BYTES: Final = 64 * 1024

RequestId = str | int | float | None
Params = TypeVar("Params", bound=Struct)


class Request(Struct, frozen=True):
    """A call of the page; without an `id` it is a notification and gets no answer."""

    jsonrpc: Literal["2.0"]
    method: str
    id: RequestId | UnsetType = UNSET
    params: dict[str, Any] | list[Any] | UnsetType = UNSET


class _Error(Struct, frozen=True, omit_defaults=True):
    code: int
    message: str
    data: Any = None


def read_request(frame: str) -> Request:
    """Read one frame; raises `PageError` -32700 or -32600."""
    if len(frame) > MAX_FRAME_BYTES or len(frame.encode()) > MAX_FRAME_BYTES:
        raise PageError(ErrorCode.INVALID_REQUEST, f"A frame holds at most {MAX_FRAME_BYTES} bytes.")
    try:
        value = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PageError(ErrorCode.PARSE_ERROR, "The frame is not JSON.") from None
    try:
        return msgspec.convert(value, Request)
    except msgspec.ValidationError as problem:
        raise PageError(ErrorCode.INVALID_REQUEST, f"The frame is no JSON-RPC 2.0 request: {problem}") from None


def read_params(request: Request, shape: type[Params]) -> Params:
    """Read the named parameters; raises `PageError` -32602 with `{field, problem}`."""
    given = {} if request.params is UNSET else request.params
    try:
        return msgspec.convert(given, shape)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`") or None
        words = f"{field}: {problem}" if field else problem
        raise PageError(ErrorCode.INVALID_PARAMS, words, {"field": field, "problem": problem}) from None


def result_frame(request_id: RequestId, result: Struct) -> bytes:
    """Answer a request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def error_frame(request_id: RequestId, error: ClientError) -> bytes:
    """Answer a request that failed; `message` is what a person may read."""
    code, data = code_and_data(error)
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": _Error(code, str(error), data)})


def notification_frame(method: str, params: Struct) -> bytes:
    """Tell the page something it did not ask for."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params})
