"""JSON-RPC 2.0 messages: reading requests and responses, writing responses and notifications.

Values are read only as far as their reader needs them: decoding a mebibyte of numbers takes half a second. The `id`
of a request goes back byte for byte. Sections are those of the JSON-RPC 2.0 specification.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from msgspec import Raw, Struct

from protocol.errors import ErrorCode, message_of
from protocol.json_text import BYTE_ORDER_MARK, mark_halves, unmark_halves

VERSION: Final = "2.0"
ABSENT: Final = Raw()
NULL: Final = Raw(b"null")
LONGEST_SCALAR: Final = 512  # bytes; an id or a challenge has far fewer, even with every character escaped

NOT_A_REQUEST: Final = "a request must be an object"

# What the decoders and `bytes.decode` raise for a text that is not JSON, or is nested too deeply to be read.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_BATCH: Final = re.compile(rb"[ \t\r\n]*\[")


class Request(Struct):
    """A request as it arrived (section 4). Absent members are empty."""

    jsonrpc: Raw = ABSENT
    method: Raw = ABSENT
    params: Raw = ABSENT
    id: Raw = ABSENT

    @property
    def name(self) -> str | None:
        """The method's name, or None if `method` is not a string."""
        return read_string(self.method)

    @property
    def response_id(self) -> Raw:
        """The bytes of the `id` for the response; null if there is none, or none that is allowed (section 5)."""
        return NULL if self._has_odd_id else unmark_halves(self.id) or NULL

    @property
    def problem(self) -> str | None:
        """What makes this an invalid request, or None if it is valid."""
        if read_string(self.jsonrpc) != VERSION:
            return 'jsonrpc must be "2.0"'
        if self.name is None:
            return "method must be a string"
        if self.params and first_byte(self.params) not in (b"[", b"{"):
            return "params must be an array or an object; leave it out when there are none"
        if self._has_odd_id:
            return "id must be a string, a number or null"
        return None

    @property
    def _has_odd_id(self) -> bool:
        return first_byte(self.id) in (b"t", b"f", b"[", b"{")  # a boolean, an array, an object


class Response(Struct):
    """A response as it arrived (section 5). Absent members are empty."""

    jsonrpc: Raw = ABSENT
    id: Raw = ABSENT
    result: Raw = ABSENT
    error: Raw = ABSENT

    @property
    def is_error(self) -> bool:
        """True if `error` is there and not null."""
        return self.error not in (ABSENT, NULL)

    @property
    def error_code(self) -> int | None:
        """The code of the error, or None if there is no error object with an integer code."""
        try:
            code = _whole(_ERROR.decode(self.error).code) if self.error else None
        except msgspec.DecodeError:
            return None
        return code if isinstance(code, int) else None

    @property
    def request_id(self) -> int | str | None:
        """The `id`, or None if this is not a valid response: version, an id, and a result or an error with a code.

        Libraries write null for the absent one of result and error, which section 5 forbids; it counts as absent.
        """
        identifier = read_scalar(self.id)
        if read_scalar(self.jsonrpc) != VERSION or type(identifier) not in (int, str):
            return None
        if self.is_error:
            is_valid = self.result in (ABSENT, NULL) and self.error_code is not None
        else:
            is_valid = self.result != ABSENT
        return cast("int | str", identifier) if is_valid else None


class _ErrorObject(Struct):
    code: int | float


_REQUEST: Final = msgspec.json.Decoder(Request)
_RESPONSE: Final = msgspec.json.Decoder(Response)
_ERROR: Final = msgspec.json.Decoder(_ErrorObject)
_SCALAR: Final = msgspec.json.Decoder(int | float | str)
_ANYTHING: Final = msgspec.json.Decoder(Raw)
_ELEMENTS: Final = msgspec.json.Decoder(list[Raw])


def split(body: bytes) -> tuple[bool, list[Raw]]:
    """Return whether a body is a batch (section 6), and its elements. Raises one of `UNREADABLE`."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    body.decode()  # Raw checks the syntax of JSON, but not UTF-8
    if _BATCH.match(body):
        return True, _ELEMENTS.decode(body)
    return False, [_ANYTHING.decode(body)]


def read_request(element: Raw | bytes) -> Request | None:
    """Read one element of a body; None if it is not an object."""
    try:
        return _REQUEST.decode(element)
    except msgspec.ValidationError:
        return None


def read_responses(body: bytes, *, is_batch: bool) -> dict[int | str, Response]:
    """Return the valid responses by `id`. A batch is answered with an array, a single request never is."""
    try:
        came_as_batch, elements = split(body)
        if came_as_batch != is_batch:
            return {}
        responses = [response for element in elements if (response := _read_response(element)) is not None]
    except UNREADABLE:
        marked = mark_halves(body)
        return {} if marked == body else read_responses(marked, is_batch=is_batch)
    return {identifier: response for response in responses if (identifier := response.request_id) is not None}


def _read_response(element: Raw) -> Response | None:
    try:
        return _RESPONSE.decode(element)
    except msgspec.ValidationError:
        return None


def read_string(value: Raw) -> str | None:
    """Return a JSON string, or None for any other value."""
    return msgspec.json.decode(value, type=str) if first_byte(value) == b'"' else None


def read_scalar(value: Raw) -> float | str | None:
    """Return a string or a number of at most 512 bytes, or None for any other value. `5.0` is the integer 5."""
    try:
        return _whole(_SCALAR.decode(value)) if len(value) <= LONGEST_SCALAR else None
    except msgspec.DecodeError:
        return None


def _whole(value: float | str) -> float | str:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def first_byte(value: Raw) -> bytes:
    """Return the first byte of a value, which tells its type; empty if the value is absent."""
    return bytes(memoryview(value)[:1])


def error_body(code: ErrorCode, data: Mapping[str, Any]) -> bytes:
    """Return the body of an HTTP error response: a JSON-RPC error with the id null, and a line break."""
    return msgspec.json.encode(failure(NULL, code, data)) + b"\n"


def success(response_id: Raw, result: object) -> dict[str, Any]:
    """Return a response with a result."""
    return {"jsonrpc": VERSION, "result": result, "id": response_id}


def failure(response_id: Raw, code: ErrorCode, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a response with an error; its message tells the field and the problem that are in `data`."""
    return error_response(response_id, code.value, message_of(code, data), data)


def error_response(response_id: Raw, code: int, message: str, data: object = None) -> dict[str, Any]:
    """Return a response with an error; `data` is left out if it is empty."""
    error = {"code": code, "message": message} | ({"data": data} if data else {})
    return {"jsonrpc": VERSION, "error": error, "id": response_id}


def notification(method: str, params: object) -> dict[str, Any]:
    """Return a request that expects no response (section 4.1)."""
    return {"jsonrpc": VERSION, "method": method, "params": params}


def request(method: str, params: object, request_id: int | str) -> dict[str, Any]:
    """Return a request."""
    return {**notification(method, params), "id": request_id}
