"""What a callback's HTTP answer means for the delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from protocol.errors import ErrorCode

# A recipient that answers with one of these has understood that it cannot use this message: trying again is no help.
TAKEN_ERRORS: Final = frozenset({ErrorCode.INVALID_REQUEST, ErrorCode.METHOD_NOT_FOUND, ErrorCode.INVALID_PARAMS})


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer as it was read: `body` holds at most 64 KiB, `truncated` tells that there was more."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """The recipient lives: it took the first `taken` messages; `refusal` is the error code it gave to the next one."""

    taken: int
    refusal: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The exchange came to nothing at `stage`: dns, address, connect, tls, timeout, http or rpc.

    `retry_after` is what a 429 or 503 asked for, in seconds.
    """

    stage: str
    detail: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """410: the recipient wants no more."""


Outcome = Answered | Failed | Gone


def judge_reply(reply: Reply, ids: Sequence[int | str], unix_now: float) -> Outcome:
    """Say what became of the requests with these ids that were posted together."""
    if reply.status == 410:
        return Gone()
    if (failure := _http_failure(reply, unix_now)) is not None:
        return failure
    answers = _read_answers(reply, batch=len(ids) > 1)
    if not answers:
        return Failed("rpc", "the answer is not JSON-RPC")
    for taken, request_id in enumerate(ids):
        answer = answers.get(request_id)
        if answer is None:
            return Answered(taken) if taken else Failed("rpc", f"no answer has the id {request_id}")
        if (refusal := _refusal(answer)) is not None:
            return Answered(taken, refusal)
    return Answered(len(ids))


def judge_challenge(reply: Reply, challenge: str, unix_now: float) -> Failed | None:
    """Say what is wrong with the answer to `VerifyCallback`, or None when it proves the callback."""
    if (failure := _http_failure(reply, unix_now)) is not None:
        return failure
    answer = _read_answers(reply, batch=False).get(challenge)
    if answer is None:
        return Failed("rpc", "the answer is not JSON-RPC with the id of the request")
    if answer.get("result") == challenge or _error_code(answer) == ErrorCode.METHOD_NOT_FOUND:
        return None
    return Failed("rpc", "the result is not the challenge")


def read_retry_after(value: str | None, unix_now: float) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3), seconds or a date, as seconds from now; None when unreadable."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)  # infinite rather than an error, however many digits there are
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - unix_now)
    except (ValueError, OverflowError):
        return None


def _http_failure(reply: Reply, unix_now: float) -> Failed | None:
    if 200 <= reply.status < 300:
        return Failed("rpc", "the answer is larger than 64 KiB") if reply.truncated else None
    retry_after = read_retry_after(reply.headers.get("Retry-After"), unix_now) if reply.status in (429, 503) else None
    return Failed("http", f"HTTP status {reply.status}", retry_after)


def _read_answers(reply: Reply, *, batch: bool) -> dict[int | str, dict[str, Any]]:
    """Give the well-formed JSON-RPC responses by id. A batch is answered with an array, a single request never is."""
    try:
        parsed = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if batch != isinstance(parsed, list):
        return {}
    return {element["id"]: element for element in (parsed if batch else [parsed]) if _is_response(element)}


def _is_response(element: object) -> bool:
    """JSON-RPC 2.0, section 5: version, an id, and either a result or an error object with an integer code."""
    if not isinstance(element, dict) or element.get("jsonrpc") != "2.0":
        return False
    identifier = element.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, int | str):
        return False
    if "result" in element:
        return element.get("error") is None
    return _error_code(element) is not None


def _error_code(answer: Mapping[str, Any]) -> int | None:
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _refusal(answer: Mapping[str, Any]) -> int | None:
    """Give the error code that asks for another try, or None when the message counts as taken."""
    code = _error_code(answer)
    return None if code in TAKEN_ERRORS else code
