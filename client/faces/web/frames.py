"""JSON-RPC 2.0 between the page and this client over the WebSocket: each text frame holds a single JSON value."""

from functools import cache
from typing import Any, Final, TypeVar, cast, get_args, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct

from client.errors import CallRefused, ClientError
from client.faces.web.errors import PageError, code_and_data
from protocol import jsonrpc
from protocol.errors import ErrorCode
from protocol.json_text import NO_TEXT, convert, field_with_half, mark_halves
from protocol.jsonrpc import NOT_A_REQUEST, UNREADABLE, Request, error_response, notification, split, success

MAX_FRAME_BYTES: Final = 64 * 1024

Params = TypeVar("Params", bound=Struct)


def read_request(frame: str) -> Request:
    """Decode a frame. Raise `PageError` with code -32700 or -32600."""
    if len(frame) > MAX_FRAME_BYTES or len(body := frame.encode()) > MAX_FRAME_BYTES:
        raise PageError(ErrorCode.INVALID_REQUEST, f"The frame must have at most {MAX_FRAME_BYTES} bytes.")
    try:
        # Halves of surrogate pairs are marked here, so that `read_params` can name the field in its error.
        is_batch, elements = split(mark_halves(body))
    except UNREADABLE:
        raise PageError(ErrorCode.PARSE_ERROR, "The frame is not JSON.") from None
    request = None if is_batch else jsonrpc.read_request(elements[0])
    if problem := NOT_A_REQUEST if request is None else request.problem:
        raise PageError(ErrorCode.INVALID_REQUEST, f"The frame is not a JSON-RPC 2.0 request: {problem}.")
    return cast("Request", request)


def read_params(request: Request, shape: type[Params]) -> Params:
    """Decode the named parameters. Raise `CallRefused` -32602 with `{field, problem}`, as the server does."""
    try:
        given = msgspec.json.decode(request.params or b"{}")
    except msgspec.DecodeError as error:  # a number out of range: `read_request` keeps the parameters undecoded
        raise _refused(None, f"the parameters cannot be read: {error}") from None
    if isinstance(given, dict) and (name := field_with_half(given)) is not None:
        raise _refused(name, NO_TEXT)
    try:
        return convert(given, shape)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`") or None
        if expected := _descriptions(shape).get(field or ""):
            problem = f"must be {expected}"
        raise _refused(field, problem) from None


def _refused(field: str | None, problem: str) -> CallRefused:
    data = {"field": field, "problem": problem}
    return CallRefused(ErrorCode.INVALID_PARAMS, ErrorCode.INVALID_PARAMS.message, data)


@cache
def _descriptions(shape: type[Struct]) -> dict[str, str]:
    """Return the description of each parameter from its `Meta` annotation in `protocol.messages`."""
    hints = get_type_hints(shape, include_extras=True)
    return {name: described for name, hint in hints.items() if (described := _description(hint))}


def _description(hint: Any) -> str | None:
    """Return the first description in an annotated type or in the members of a union, or None."""
    if isinstance(hint, Meta):
        return hint.description
    return next(filter(None, map(_description, get_args(hint))), None)


def result_frame(response_id: Raw, result: Struct) -> bytes:
    """Return the frame of a JSON-RPC response with a result."""
    return msgspec.json.encode(success(response_id, result))


def error_frame(response_id: Raw, error: ClientError) -> bytes:
    """Return the frame of a JSON-RPC error response; its `message` is written for a person."""
    code, data = code_and_data(error)
    return msgspec.json.encode(error_response(response_id, code, str(error), data))


def notification_frame(method: str, params: Struct) -> bytes:
    """Return the frame of a JSON-RPC notification to the page."""
    return msgspec.json.encode(notification(method, params))
