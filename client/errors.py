"""What can go wrong between a client and its server, told in words for the person who sits there."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from protocol.errors import ErrorCode
from protocol.methods import MAX_TEXT_CHARS


class ClientError(Exception):
    """Root of the tree; `str()` is a sentence for a person."""


class ServerUnreachable(ClientError):
    """No answer that counts: the network failed, time ran out, 5xx, or something that is no JSON-RPC.

    Whether the call was carried out is not known. `retry_after` is in seconds, if the server said so.
    """

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class CallRefused(ClientError):
    """The server's JSON-RPC error: `code`, its `data`, and as `str()` what was wrong and what to do."""

    def __init__(self, code: int, message: str = "", data: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data: dict[str, Any] = dict(data or {})

    def __str__(self) -> str:
        words = _WORDS.get(self.code)
        return words(self.data) if words else f"The server refused: {self.message or 'no reason given'} ({self.code})."

    @property
    def kicked(self) -> bool:
        """Whether an operator has removed this client: no try with the same token will succeed."""
        return self.code == ErrorCode.UNAUTHORIZED and self.data.get("kicked") is True

    @property
    def is_about_name(self) -> bool:
        """Whether another name may do."""
        return self.code in (ErrorCode.TAKEN, ErrorCode.INVALID_PARAMS) and self.data.get("field") == "name"

    @property
    def retry_after(self) -> float | None:
        """Seconds that a rate limit asks to wait, if this is one."""
        wait = self.data.get("retry_after_ms")
        return wait / 1000 if isinstance(wait, int | float) and wait >= 0 else None


class SeatMissing(CallRefused):
    """A call that needs a seat, made while there is none; answered here, as the server would."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.AWAY, ErrorCode.AWAY.message)


def _invalid(data: Mapping[str, Any]) -> str:
    field, problem = data.get("field"), data.get("problem")
    if not problem:
        return "The server does not understand this call."
    return f"The server does not accept the {field}: {problem}." if field else f"The server refused: {problem}."


def _unauthorized(data: Mapping[str, Any]) -> str:
    if data.get("kicked") is True:
        return "An operator has removed you from this chat. Who comes in again is a newcomer."
    return "The server does not know this client any more."


def _taken(data: Mapping[str, Any]) -> str:
    if data.get("field") == "id":
        return "That id belongs to somebody else. Choose another, or none."
    return "That name is in use. Choose another."


def _unreachable(data: Mapping[str, Any]) -> str:
    where = data.get("url", "this client's address")
    why = ", ".join(str(data[key]) for key in ("stage", "detail") if data.get(key))
    return (
        f"The server cannot call back at {where}{f' ({why})' if why else ''}. It rings every client there, so a"
        " firewall or NAT in between shuts you out: chat through the web page of a client that the server can reach, or"
        " set CHAT_CALLBACK to an address of this one that the server can reach."
    )


def _not_allowed(data: Mapping[str, Any]) -> str:
    detail = data.get("detail") or data.get("problem")
    return (
        f"The server may not call this client's address{f' ({detail})' if detail else ''}. By default it rings only the"
        " address that calls it: leave CHAT_CALLBACK unset, or ask the server's operator to allow your network with"
        " CHAT_CALLBACK_ALLOW (behind a proxy: CHAT_TRUSTED_PROXIES); or chat through a client's web page."
    )


def _too_long(data: Mapping[str, Any]) -> str:
    return f"The text is too long: at most {data.get('limit', MAX_TEXT_CHARS)} characters."


def _internal(data: Mapping[str, Any]) -> str:
    told = data.get("error_id") or data.get("id")
    return f"The server failed within{f' (error {told}, in its log)' if told else ''}. Try again later."


_WORDS: Final[Mapping[int, Callable[[Mapping[str, Any]], str]]] = {
    ErrorCode.INVALID_PARAMS: _invalid,
    ErrorCode.INTERNAL_ERROR: _internal,
    ErrorCode.UNAUTHORIZED: _unauthorized,
    ErrorCode.AWAY: lambda _: "The server holds no seat for this client now.",
    ErrorCode.TAKEN: _taken,
    ErrorCode.CALLBACK_UNREACHABLE: _unreachable,
    ErrorCode.ADDRESS_NOT_ALLOWED: _not_allowed,
    ErrorCode.RATE_LIMITED: lambda _: "Too much at once: the server asks to slow down.",
    ErrorCode.TEXT_TOO_LONG: _too_long,
    ErrorCode.JOIN_KEY_WRONG: lambda _: "This chat wants a join key, and it was missing or wrong (CHAT_JOIN_KEY).",
    ErrorCode.NOT_STORED: lambda _: "The server could not store it. Try again later.",
}
