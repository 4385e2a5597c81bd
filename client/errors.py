"""Errors between a client and its server, as sentences for the person at the client."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from protocol.errors import ErrorCode
from protocol.methods import MAX_TEXT_CHARS
from protocol.signing import TOLERANCE_SECONDS


class ClientError(Exception):
    """Base class; `str()` is a sentence for a person."""


class ServerUnreachable(ClientError):
    """No valid response: a network failure, a timeout, a status other than 200, or a body that is not JSON-RPC.

    Whether the server has executed the call is unknown. `retry_after`: seconds, from the header of that name.
    """

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class CallRefused(ClientError):
    """The server's JSON-RPC error: `code` and `data`; `str()` states the problem and a remedy."""

    def __init__(self, code: int, message: str = "", data: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data: dict[str, Any] = dict(data or {})
        self.clocks_apart: float | None = None
        """Seconds by which this clock is ahead of the server's, if this client refused a callback for that."""

    def __str__(self) -> str:
        if self.code == ErrorCode.CALLBACK_UNREACHABLE and self.clocks_apart is not None:
            return words_for_clocks(self.clocks_apart)
        words = _WORDS.get(self.code)
        return words(self.data) if words else f"The server refused: {self.message or 'no reason given'} ({self.code})."

    @property
    def kicked(self) -> bool:
        """Whether an operator has removed this client: no try with the same token will succeed."""
        return self.code == ErrorCode.UNAUTHORIZED and self.data.get("kicked") is True

    @property
    def is_about_name(self) -> bool:
        """Whether another name may be accepted."""
        return self.code in (ErrorCode.TAKEN, ErrorCode.INVALID_PARAMS) and self.data.get("field") == "name"

    @property
    def retry_after(self) -> float | None:
        """The seconds to wait (`retry_after_ms`), of a rate limit or a reserved name; else None."""
        wait = self.data.get("retry_after_ms")
        return wait / 1000 if isinstance(wait, int | float) and wait >= 0 else None


class NotRegistered(CallRefused):
    """A call that needs a registration, made without it; raised without a request to the server."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.AWAY, ErrorCode.AWAY.message)


def words_for_clocks(ahead: float) -> str:
    """Return a sentence on a clock that differs too much from the server's; `ahead` is in seconds."""
    direction = "ahead of" if ahead > 0 else "behind"
    return (
        f"This computer's clock is {words_for_time(abs(ahead))} {direction} the chat server's. They may be at most"
        f" {words_for_time(TOLERANCE_SECONDS)} apart, since the server signs its requests with its time: set the"
        " wrong clock."
    )


def words_for_time(seconds: float) -> str:
    """Return a duration in words, rounded up, in the largest unit of which it has at least 1.5."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return _counted(math.ceil(seconds / length), unit)
    return _counted(math.ceil(seconds), "second")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


# A problem that continues a sentence that begins with "The text": "must not be empty".
_PREDICATE: Final = re.compile(r"(must|is|has|holds|begins|may|cannot) ")
_SUBJECTS: Final = {"name": "That name", "text": "The text", "id": "That id"}


def _invalid(data: Mapping[str, Any]) -> str:
    field, problem = data.get("field"), data.get("problem")
    if not problem:
        return "The server rejected the request as invalid."
    if not field:
        return f"The server refused: {problem}."
    subject = _SUBJECTS.get(field, f"The {field}")
    if _PREDICATE.match(str(problem)):
        return f"{subject} {problem}."
    return f"The server does not accept the {field}: {problem}."


def _unauthorized(data: Mapping[str, Any]) -> str:
    if data.get("kicked") is True:
        return "An operator has removed you from this chat. You can join again as a new member."
    return "The server does not know this client any more."


def _taken(data: Mapping[str, Any]) -> str:
    if data.get("field") == "id":
        return "That id belongs to another member. Choose another, or none."
    if wait := _wait(data):
        name = f"The name {data['name']}" if data.get("name") else "That name"
        return (
            f"{name} is reserved for an absent member, for another {wait}."
            " Choose another name, or ask the operator of this chat to release it."
        )
    return "That name is in use. Choose another."


def _wait(data: Mapping[str, Any]) -> str:
    wait = data.get("retry_after_ms")
    return words_for_time(wait / 1000) if isinstance(wait, int | float) and wait > 0 else ""


_ELSEWHERE: Final = (
    "chat through the web page of a client that the server can reach, or set CHAT_CALLBACK to an address of this one"
    " that the server can reach"
)
_STAGES: Final[Mapping[str, tuple[str, str]]] = {
    "dns": (
        "The server finds no address for the host name in",
        "Set CHAT_CALLBACK to a host name that the server can resolve",
    ),
    "connect": (
        "The server cannot connect to",
        f"It must reach every client, and a firewall or NAT in between blocks it: {_ELSEWHERE}",
    ),
    "tls": (
        "The server cannot make a secure connection to",
        "CHAT_CALLBACK needs the host name of a certificate that the server trusts, or http://",
    ),
    "timeout": (
        "The server has connected, but did not get a response in time from",
        "Is this computer very busy, or does CHAT_CALLBACK lead to another program?",
    ),
    "http": (
        "The server got an HTTP error at",
        "A proxy or another program responds at that address: check CHAT_CALLBACK",
    ),
    "rpc": (
        "The server got a response that is not from this client at",
        "Another program responds at that address: check CHAT_CALLBACK",
    ),
}


def _unreachable(data: Mapping[str, Any]) -> str:
    where = data.get("url", "this client's address")
    stage, detail = str(data.get("stage", "")), data.get("detail")
    if stage in _STAGES:
        problem, advice = _STAGES[stage]
        told = f"{problem} {where}{f' ({detail})' if detail else ''}. {advice}"
        return told if told.endswith("?") else f"{told}."
    why = ", ".join(filter(None, (stage, str(detail or ""))))
    told = f"The server cannot call back at {where}{f' ({why})' if why else ''}."
    return f"{told} It must reach every client: {_ELSEWHERE}."


def _not_allowed(data: Mapping[str, Any]) -> str:
    detail = str(data.get("detail") or data.get("problem") or "")
    if "CHAT_TRUSTED_PROXIES" in detail:
        return (
            f"The server cannot determine this client's address: {detail}. Ask the server's operator to name that proxy"
            " there, or chat through a client's web page."
        )
    return (
        f"The server may not call this client's address{f' ({detail})' if detail else ''}. By default it calls only the"
        " address that calls it: leave CHAT_CALLBACK unset, or ask the server's operator to allow your network with"
        " CHAT_CALLBACK_ALLOW; or chat through a client's web page."
    )


def _rate_limited(data: Mapping[str, Any]) -> str:
    return f"The server asks to wait {_wait(data) or 'a little'}: {data.get('detail') or 'too much at once'}."


def _too_long(data: Mapping[str, Any]) -> str:
    return f"The text is too long: at most {data.get('limit', MAX_TEXT_CHARS)} characters."


def _internal(data: Mapping[str, Any]) -> str:
    told = data.get("error_id") or data.get("id")
    return f"The server had an internal error{f' (id {told} in its log)' if told else ''}. Try again later."


_WORDS: Final[Mapping[int, Callable[[Mapping[str, Any]], str]]] = {
    ErrorCode.INVALID_PARAMS: _invalid,
    ErrorCode.INTERNAL_ERROR: _internal,
    ErrorCode.UNAUTHORIZED: _unauthorized,
    ErrorCode.AWAY: lambda _: "You are not in the chat now.",
    ErrorCode.TAKEN: _taken,
    ErrorCode.CALLBACK_UNREACHABLE: _unreachable,
    ErrorCode.ADDRESS_NOT_ALLOWED: _not_allowed,
    ErrorCode.RATE_LIMITED: _rate_limited,
    ErrorCode.TEXT_TOO_LONG: _too_long,
    ErrorCode.JOIN_KEY_WRONG: lambda _: "This chat requires a join key, and it was missing or wrong (CHAT_JOIN_KEY).",
    ErrorCode.NOT_STORED: lambda _: "The server could not store this. Try again later.",
}
