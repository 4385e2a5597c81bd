"""Interprets a callback's HTTP response: which messages were accepted or refused, or why the request failed."""

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final, Literal, cast

import msgspec
from msgspec import Raw, Struct

from protocol.errors import ErrorCode
from protocol.json_text import BYTE_ORDER_MARK, json_problem, mark_halves
from protocol.signing import TOLERANCE_SECONDS

ABSENT: Final = Raw()
NONE: Final = (ABSENT, Raw(b"null"))
CONTENT_TOO_LARGE: Final = 413
REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
REDIRECTED: Final = (
    "; the callback redirects, and no redirect is followed; register the address that it leads to"
    " (often the same with a slash at the end, or with https)"
)
REFUSING: Final = frozenset({400, CONTENT_TOO_LARGE, 422, *range(500, 600)}) - {502, 503, 504}  # a proxy sends those
LONGEST_SCALAR: Final = 512  # bytes; an id or a challenge has far fewer, even with every character escaped
# With these error codes the recipient has understood that it cannot use the message. A retry would not help, so
# the message counts as accepted.
ACCEPTED_ERRORS: Final = frozenset({ErrorCode.INVALID_REQUEST, ErrorCode.METHOD_NOT_FOUND, ErrorCode.INVALID_PARAMS})


class HttpResponse(Struct, frozen=True):
    """An HTTP response. `truncated`: the body is larger than 64 KiB, and `body` is not all of it.

    `retry_after` and `date` are the headers of those names.
    """

    status: int
    body: bytes
    retry_after: str | None = None
    truncated: bool = False
    date: str | None = None


class Accepted(Struct, frozen=True):
    """The recipient accepted the first `taken` messages; `refusal` is the error code for the next message, if any."""

    taken: int
    refusal: int | None = None


class Failed(Struct, frozen=True):
    """The request failed at `stage`: dns, address, connect, tls, timeout, http or rpc.

    `retry_after` is the wait in seconds that a 429 or 503 asked for.
    """

    stage: str
    detail: str
    retry_after: float | None = None


class Refused(Struct, frozen=True):
    """The recipient refused the whole request with an HTTP status that points to the request, not to the recipient."""

    status: int


class Gone(Struct, frozen=True):
    """HTTP status 410: the recipient does not want further messages."""


Outcome = Accepted | Refused | Failed | Gone


class RpcResponse(Struct):
    """The members of a JSON-RPC response, not yet decoded: decoding a large `result` that is not used takes long."""

    jsonrpc: Raw = ABSENT
    id: Raw = ABSENT
    result: Raw = ABSENT
    error: Raw = ABSENT


class ErrorObject(Struct):
    """The part of a JSON-RPC error object that is used."""

    code: int | float


RPC_RESPONSE: Final = msgspec.json.Decoder(RpcResponse)
ANYTHING: Final = msgspec.json.Decoder(Raw)
RPC_RESPONSES: Final = msgspec.json.Decoder(list[Raw])
SCALAR: Final = msgspec.json.Decoder(int | float | str)
ERROR: Final = msgspec.json.Decoder(ErrorObject)


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def judge_response(response: HttpResponse, ids: Sequence[int | str], unix_now: float) -> Outcome:
    """Return the outcome of the JSON-RPC requests with these ids, which a single POST carried."""
    if response.status == 410:
        return Gone()
    if response.status in REFUSING:
        return Refused(response.status)
    if (failure := _http_failure(response, unix_now)) is not None:
        return failure
    answers = _read_answers(response, batch=len(ids) > 1)
    if not answers:
        return Failed("rpc", _unreadable(response))
    for taken, request_id in enumerate(ids):
        answer = answers.get(request_id)
        if answer is None:
            return Accepted(taken) if taken else Failed("rpc", _without_id(request_id, answers))
        if answer.error not in NONE and (refusal := _refusal(answer)) is not None:
            return Accepted(taken, refusal)
    return Accepted(len(ids))


def judge_proof(response: HttpResponse, challenge: str, unix_now: float) -> Failed | None:
    """Return the failure in the response to `VerifyCallback`, or None if it proves the callback.

    "Method not found" is a proof as well.
    """
    if (failure := _http_failure(response, unix_now)) is not None:
        return failure
    answers = _read_answers(response, batch=False)
    if not answers:
        return Failed("rpc", _unreadable(response))
    if (answer := answers.get(challenge)) is None:
        return Failed("rpc", "the id in the response is not that of the request")
    if _error_code(answer) == ErrorCode.METHOD_NOT_FOUND:
        return None
    if answer.error in NONE and _scalar(answer.result) == challenge:
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
        ANYTHING.decode(response.body.removeprefix(BYTE_ORDER_MARK))
        response.body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"the response {json_problem(response.body)}"
    return 'the body is not a JSON-RPC response: expected "jsonrpc": "2.0", the id, and a result or an error'


def _without_id(request_id: int | str, answers: Mapping[int | str, RpcResponse]) -> str:
    """Return the error text for a body without a response to the first request."""
    of_another_type = "; the id came back as a string, but must be a number" if str(request_id) in answers else ""
    return f"no response has the id {request_id}{of_another_type}"


def _read_answers(response: HttpResponse, *, batch: bool) -> dict[int | str, RpcResponse]:
    """Return the well-formed JSON-RPC responses by id. Only the response to a batch is an array."""
    body = response.body.removeprefix(BYTE_ORDER_MARK)
    try:
        answers = _read_elements(body, batch=batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        marked = mark_halves(body)
        return {} if marked == body else _read_answers(HttpResponse(response.status, marked), batch=batch)
    return {identifier: answer for answer in answers if (identifier := _response_id(answer)) is not None}


def _read_elements(body: bytes, *, batch: bool) -> list[RpcResponse]:
    body.decode()  # Raw checks JSON syntax, but not UTF-8
    elements = RPC_RESPONSES.decode(body) if batch else [body]
    return [answer for element in elements if (answer := _read_answer(element)) is not None]


def _read_answer(element: Raw | bytes) -> RpcResponse | None:
    """Return a JSON object as `RpcResponse`; None for JSON that does not fit."""
    try:
        return RPC_RESPONSE.decode(element)
    except msgspec.ValidationError:
        return None


def _response_id(answer: RpcResponse) -> int | str | None:
    """Return the id of a well-formed response, else None.

    JSON-RPC 2.0, section 5: version, an id, and either a result or an error object with an integer code. Some libraries
    write the unused member of the two as null, which the section forbids; null counts as absent.
    """
    identifier = _scalar(answer.id)
    if _scalar(answer.jsonrpc) != "2.0" or type(identifier) not in (int, str):
        return None
    if answer.error in NONE:
        is_good = answer.result != ABSENT
    else:
        is_good = answer.result in NONE and _error_code(answer) is not None
    return cast("int | str", identifier) if is_good else None


def _scalar(value: Raw) -> object:
    """Return a string or number of up to 512 bytes of JSON; None for any other value. `5.0` is the integer 5."""
    try:
        return _whole(SCALAR.decode(value)) if len(value) <= LONGEST_SCALAR else None
    except msgspec.DecodeError:
        return None


def _whole(value: float | str) -> float | str:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _error_code(answer: RpcResponse) -> int | None:
    try:
        code = _whole(ERROR.decode(answer.error).code) if answer.error else None
    except msgspec.DecodeError:
        return None
    return code if isinstance(code, int) else None


def _refusal(answer: RpcResponse) -> int | None:
    """Return the error code with which the message is refused, or None if the message counts as accepted."""
    code = _error_code(answer)
    return None if code in ACCEPTED_ERRORS else code
