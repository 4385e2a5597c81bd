"""The table of error codes, and the exception that becomes a JSON-RPC error.

Codes from -32700 to -32600 are defined by JSON-RPC 2.0, section 5.1; all further codes are Ringback's own, from the
range that the specification reserves for servers.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final


class ErrorCode(IntEnum):
    """An error code with its `message`, and whether the same request may succeed later (`retryable`)."""

    message: str
    retryable: bool

    def __new__(cls, code: int, message: str, retryable: bool) -> "ErrorCode":
        row = int.__new__(cls, code)
        row._value_ = code
        row.message = message
        row.retryable = retryable
        return row

    PARSE_ERROR = -32700, "Parse error", False
    INVALID_REQUEST = -32600, "Invalid Request", False
    METHOD_NOT_FOUND = -32601, "Method not found", False
    INVALID_PARAMS = -32602, "Invalid params", False
    INTERNAL_ERROR = -32603, "Internal error", True
    UNAUTHORIZED = -32001, "Unauthorized", False
    AWAY = -32002, "Away: register again with your token", False
    TAKEN = -32003, "Taken", False
    CALLBACK_UNREACHABLE = -32004, "Callback unreachable", True
    ADDRESS_NOT_ALLOWED = -32005, "Callback address not allowed", False
    RATE_LIMITED = -32006, "Rate limited", True
    TEXT_TOO_LONG = -32007, "Text too long", False
    JOIN_KEY_WRONG = -32008, "Join key missing or wrong", False
    NOT_STORED = -32010, "Not stored", True


class ContractError(Exception):
    """A request that fails with a code of the table. `data` is sent to the caller unchanged."""

    def __init__(self, code: ErrorCode, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, data)
        self.code = code
        self.data = data

    @property
    def message(self) -> str:
        """Return the `message` of the error object."""
        return message_of(self.code, self.data)

    def __str__(self) -> str:
        """Return code, message and data in a single line."""
        told = f"{self.code.message} ({self.code.value})"
        return f"{told}: {dict(self.data)}" if self.data else told


def invalid_params(field: str | None, problem: str, **more: Any) -> ContractError:
    """Return a -32602 that names the parameter and the expected value; `more` is added to its `data`."""
    return ContractError(ErrorCode.INVALID_PARAMS, {"field": field, "problem": problem, **more})


def message_of(code: ErrorCode, data: Mapping[str, Any] | None) -> str:
    """Return the `message` of an error object: that of the table, and details of `data`, which some libraries hide."""
    detail = _DETAILS.get(code, _detail)(data or {})
    return f"{code.message}: {detail}" if detail else code.message


def _detail(data: Mapping[str, Any]) -> str:
    return str(data.get("problem") or data.get("detail") or "")


def _of_field(data: Mapping[str, Any]) -> str:
    field, problem = data.get("field"), _detail(data)
    return f"{field} {problem}" if field and problem else problem


def _of_url(data: Mapping[str, Any]) -> str:
    url, detail = data.get("url"), _detail(data)
    return f"{url}: {detail}" if url and detail else detail


def _taken(data: Mapping[str, Any]) -> str:
    state = "is kept for its owner, who is away" if "retry_after_ms" in data else "is in use"
    return _detail(data) or (f"this {data['field']} {state}" if "field" in data else "")


_DETAILS: Final[Mapping[ErrorCode, Callable[[Mapping[str, Any]], str]]] = {
    ErrorCode.INVALID_PARAMS: _of_field,
    ErrorCode.CALLBACK_UNREACHABLE: _of_url,
    ErrorCode.ADDRESS_NOT_ALLOWED: _of_url,
    ErrorCode.TAKEN: _taken,
    ErrorCode.TEXT_TOO_LONG: lambda data: f"at most {data['limit']} characters" if "limit" in data else "",
    ErrorCode.INTERNAL_ERROR: lambda data: f"{data['error_id']} in the server's log" if "error_id" in data else "",
}
