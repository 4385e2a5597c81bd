"""Interprets a callback's HTTP response: which messages were accepted or refused, or why the request failed."""

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct

from protocol.errors import ErrorCode
from protocol.json_text import json_problem
from protocol.jsonrpc import UNREADABLE, Response, read_responses, read_scalar, split
from protocol.signing import TOLERANCE_SECONDS
from server.callbacks.exchange import Failed, HttpResponse

CONTENT_TOO_LARGE: Final = 413
REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
REDIRECTED: Final = (
    "; the callback redirects, and no redirect is followed; register the address that it leads to"
    " (often the same with a slash at the end, or with https)"
)
REFUSING: Final = frozenset({400, CONTENT_TOO_LARGE, 422, *range(500, 600)}) - {502, 503, 504}  # a proxy sends those
# With these error codes the recipient has understood that it cannot use the message. A retry would not help, so
# the message counts as accepted.
ACCEPTED_ERRORS: Final = frozenset({ErrorCode.INVALID_REQUEST, ErrorCode.METHOD_NOT_FOUND, ErrorCode.INVALID_PARAMS})


class Accepted(Struct, frozen=True):
    """The recipient accepted the first `taken` messages; `refusal` is the error code for the next message, if any."""

    taken: int
    refusal: int | None = None


class Refused(Struct, frozen=True):
    """The recipient refused the whole request with an HTTP status that points to the request, not to the recipient."""

    status: int


class Gone(Struct, frozen=True):
    """HTTP status 410: the recipient does not want further messages."""


Outcome = Accepted | Refused | Failed | Gone


class SuccessResponse(Struct):
    """A JSON-RPC response with a result, for the fast check in `accepts_all`."""

    jsonrpc: Literal["2.0"]
    id: int
    result: Raw
    error: None = None


ONE_TAKEN: Final = msgspec.json.Decoder(SuccessResponse)
ALL_TAKEN: Final = msgspec.json.Decoder(list[SuccessResponse])


def accepts_all(response: HttpResponse, ids: Sequence[int | str]) -> bool:
    """Return whether all messages were accepted, in order. Any other response is for `judge_response`.

    This is the common case, and is decoded in a single pass.
    """
    if response.status != 200 or response.truncated or not response.body.isascii():  # Raw checks JSON, not UTF-8
        return False
    try:
        if len(ids) == 1:
            return ONE_TAKEN.decode(response.body).id == ids[0]
        return [answer.id for answer in ALL_TAKEN.decode(response.body)] == ids
    except UNREADABLE:
        return False


def judge_response(response: HttpResponse, ids: Sequence[int | str], unix_now: float) -> Outcome:
    """Return the outcome of the JSON-RPC requests with these ids, which a single POST carried."""
    if response.status == 410:
        return Gone()
    if response.status in REFUSING:
        return Refused(response.status)
    if (failure := _http_failure(response, unix_now)) is not None:
        return failure
    answers = read_responses(response.body, is_batch=len(ids) > 1)
    if not answers:
        return Failed("rpc", _unreadable(response))
    for taken, request_id in enumerate(ids):
        answer = answers.get(request_id)
        if answer is None:
            return Accepted(taken) if taken else Failed("rpc", _without_id(request_id, answers))
        if answer.is_error and (refusal := _refusal(answer)) is not None:
            return Accepted(taken, refusal)
    return Accepted(len(ids))


def judge_proof(response: HttpResponse, challenge: str, unix_now: float) -> Failed | None:
    """Return the failure in the response to `VerifyCallback`, or None if it proves the callback.

    "Method not found" is a proof as well.
    """
    if (failure := _http_failure(response, unix_now)) is not None:
        return failure
    answers = read_responses(response.body, is_batch=False)
    if not answers:
        return Failed("rpc", _unreadable(response))
    if (answer := answers.get(challenge)) is None:
        return Failed("rpc", "the id in the response is not that of the request")
    if answer.error_code == ErrorCode.METHOD_NOT_FOUND:
        return None
    if not answer.is_error and read_scalar(answer.result) == challenge:
        return None
    return Failed("rpc", "the result is not the challenge")


def read_retry_after(value: str | None, date: str | None, unix_now: float) -> float | None:
    """Return Retry-After (RFC 9110, section 10.2.3), seconds or a date, as seconds from now; None if invalid.

    A date in it and the header Date both come from the recipient's clock, which may be wrong, so they are compared with
    each other. Without the header Date, this server's clock is used.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)  # infinity, not an error, for very many digits
    until, sent = _read_date(value), _read_date(date or "")
    return None if until is None else max(0.0, until - (unix_now if sent is None else sent))


def _read_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _http_failure(response: HttpResponse, unix_now: float) -> Failed | None:
    if 200 <= response.status < 300:
        return Failed("rpc", "the response is larger than 64 KiB") if response.truncated else None
    retry_after = (
        read_retry_after(response.retry_after, response.date, unix_now) if response.status in (429, 503) else None
    )
    if response.status == 401:
        more = _clocks_apart(response.date, unix_now)
    else:
        more = REDIRECTED if response.status in REDIRECTING else ""
    return Failed("http", f"HTTP status {response.status}{more}", retry_after)


def _clocks_apart(date: str | None, unix_now: float) -> str:
    """Return how far the recipient's clock (Date, RFC 9110, section 6.6.1) is off, if too far to accept a signature."""
    told = None if date is None else _read_date(date)
    ahead = 0.0 if told is None else told - unix_now
    if abs(ahead) <= TOLERANCE_SECONDS:
        return ""
    return f"; its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this server's"


def _unreadable(response: HttpResponse) -> str:
    """Return why a body holds no JSON-RPC response."""
    if not response.body.strip():
        return "the response has no body; expected a JSON-RPC response"
    if response.body.lstrip()[:1] == b"<":
        return "the response is a web page, not a JSON-RPC response"
    try:
        split(response.body)
    except UNREADABLE:
        return f"the response {json_problem(response.body)}"
    return 'the body is not a JSON-RPC response: expected "jsonrpc": "2.0", the id, and a result or an error'


def _without_id(request_id: int | str, answers: Mapping[int | str, Response]) -> str:
    """Return the error text for a body without a response to the first request."""
    of_another_type = "; the id came back as a string, but must be a number" if str(request_id) in answers else ""
    return f"no response has the id {request_id}{of_another_type}"


def _refusal(answer: Response) -> int | None:
    """Return the error code with which the message is refused, or None if the message counts as accepted."""
    code = answer.error_code
    return None if code in ACCEPTED_ERRORS else code
