"""What an answer must be, by the letter of JSON-RPC 2.0, read with another JSON reader than the one that is judged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

DEEPEST: Final = 300  # from about a thousand on readers of JSON give up, each in its own way
PARSE_ERROR: Final = "-32700"
INVALID_REQUEST: Final = "-32600"
# An internal error, and the page's word for a server that cannot be understood: no input may lead there.
FLAWS: Final = frozenset({"-32603", "-32000"})


class Wrong(Exception):
    """An answer that must not be; `str()` says why."""


class NotJson(ValueError):
    """Bytes that are no JSON text."""


class Number(str):
    """A number as it was written: an `id` of 1.50 is to come back as 1.50."""

    __slots__ = ()


@dataclass(frozen=True)
class Dialect:
    """What a port settles beyond the specification: the longest batch (0: none at all), its nesting, its size.

    An `id` comes back as it was written.
    """

    max_batch: int
    max_nesting: int = 10**6
    max_bytes: int = 10**9


def read_json(body: bytes) -> Any:
    """Read a JSON text (RFC 8259) whose numbers and halves of surrogate pairs stay as written. Raises `NotJson`.

    A byte order mark before it is ignored (section 8.1).
    """
    try:
        return _VALUES.decode(body.removeprefix(b"\xef\xbb\xbf").decode())
    except NotJson:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None


def is_answered(asked: bytes, dialect: Dialect) -> bool:
    """Tell whether something must come back."""
    try:
        given = read_json(asked)
    except NotJson:
        return True
    if len(asked) > dialect.max_bytes or nesting(asked) > min(DEEPEST, dialect.max_nesting):
        return True
    return not all(map(_is_notification, given)) if _is_batch(given, dialect) else not _is_notification(given)


def check(asked: bytes, answered: bytes | None, dialect: Dialect) -> str:
    """Say of what kind an answer is (None: nothing came back), or raise `Wrong`."""
    if len(asked) > dialect.max_bytes:
        return _refusal(answered, INVALID_REQUEST)
    deep = nesting(asked)
    try:
        given = read_json(asked)
    except NotJson:
        # What is too deep for this reader may be read, and found too deep, by the other.
        return _refusal(answered, PARSE_ERROR, *[INVALID_REQUEST] * (deep > DEEPEST))
    if deep > dialect.max_nesting:
        return _refusal(answered, INVALID_REQUEST, *[PARSE_ERROR] * (deep > DEEPEST))
    if deep > DEEPEST:
        return check_shape(answered)
    if not isinstance(given, list):
        return _check_one(given, answered, dialect)
    if not _is_batch(given, dialect):
        return _refusal(answered, INVALID_REQUEST)
    return _check_batch(given, answered, dialect)


def check_shape(answered: bytes | None) -> str:
    """Say of what kind an answer is, of which it is not known what it answers."""
    if answered is None:
        return "nothing"
    answer = _read_answer(answered)
    if not isinstance(answer, list):
        return _kind_of(answer)
    if not answer:
        raise Wrong("an empty batch")
    for element in answer:
        _kind_of(element)
    return "batch"


def nesting(body: bytes) -> int:
    """Count how deep arrays and objects are nested; at most so deep, where there are brackets in strings."""
    opened = body.count(b"[") + body.count(b"{")
    if opened <= 16:
        return opened
    try:
        return _depth(_VALUES.decode(body.decode()))
    except (ValueError, RecursionError):
        return opened


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [child for one in level for child in (one.values() if isinstance(one, dict) else one)]
    return depth


def _check_one(given: Any, answered: bytes | None, dialect: Dialect) -> str:
    if _is_notification(given):
        if answered is not None:
            raise Wrong("an answer to a notification")
        return "nothing"
    if answered is None:
        raise Wrong("no answer")
    return _check_element(given, _read_answer(answered), dialect)


def _check_batch(given: Sequence[Any], answered: bytes | None, dialect: Dialect) -> str:
    asking = [element for element in given if not _is_notification(element)]
    if not asking:
        return _check_one(given[0], answered, dialect)
    answers = None if answered is None else _read_answer(answered)
    if not isinstance(answers, list) or len(answers) != len(asking):
        raise Wrong(f"not {len(asking)} answers")
    for element, answer in zip(asking, answers, strict=True):
        _check_element(element, answer, dialect)
    return "batch"


def _check_element(given: Any, answer: Any, dialect: Dialect) -> str:
    kind = _kind_of(answer)
    identifier = given.get("id") if isinstance(given, dict) and _is_identifier(given.get("id")) else None
    if _is_request(given):
        if not _is_same(identifier, answer["id"]):
            raise Wrong(f"id {identifier!r} came back as {answer['id']!r}")
    elif kind != f"error {INVALID_REQUEST}":
        raise Wrong(f"what is no request is answered with {kind}")
    elif answer["id"] is not None and not _is_same(identifier, answer["id"]):
        raise Wrong(f"what is no request is answered under the id {answer['id']!r}")
    return kind


def _refusal(answered: bytes | None, *codes: str) -> str:
    """Check that there is one error, with one of these codes and no id."""
    answer = None if answered is None else _read_answer(answered)
    kind = _kind_of(answer)
    if answer is None or kind not in {f"error {code}" for code in codes} or answer["id"] is not None:
        raise Wrong(f"not one error {' or '.join(codes)} with the id null")
    return kind


def _read_answer(answered: bytes) -> Any:
    try:
        return read_json(answered)
    except NotJson as error:
        raise Wrong(f"the answer is not JSON: {error}") from None


def _kind_of(answer: Any) -> str:
    """Check one answer by section 5 of the specification."""
    if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0" or isinstance(answer["jsonrpc"], Number):
        raise Wrong("not a JSON-RPC 2.0 answer")
    if not ("id" in answer and _is_identifier(answer["id"])):
        raise Wrong("an answer without an id")
    if set(answer) == {"jsonrpc", "id", "result"}:
        return "result"
    if set(answer) != {"jsonrpc", "id", "error"}:
        raise Wrong("not exactly one of result and error")
    error = answer["error"]
    if not isinstance(error, dict) or not {"code", "message"} <= set(error) <= {"code", "message", "data"}:
        raise Wrong("an error object of another form")
    code, message = error["code"], error["message"]
    if not isinstance(code, Number) or not code.lstrip("-").isdigit() or not _is_text(message):
        raise Wrong("an error whose code is no integer, or whose message is no text")
    if code in FLAWS:
        raise Wrong(f"error {code}: {message}")
    return f"error {code}"


def _is_batch(given: object, dialect: Dialect) -> bool:
    return isinstance(given, list) and 0 < len(given) <= dialect.max_batch


def _is_notification(given: object) -> bool:
    return _is_request(given) and isinstance(given, dict) and "id" not in given


def _is_request(given: object) -> bool:
    """Tell whether this is a Request object, by section 4 of the specification."""
    return (
        isinstance(given, dict)
        and _is_text(given.get("jsonrpc"))
        and given["jsonrpc"] == "2.0"
        and _is_text(given.get("method"))
        and isinstance(given.get("params", []), dict | list)
        and _is_identifier(given.get("id"))
    )


def _is_identifier(value: object) -> bool:
    return value is None or isinstance(value, str)  # a `Number` is one too


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_same(asked: object, answered: object) -> bool:
    return type(asked) is type(answered) and asked == answered


def _no_constant(name: str) -> Any:
    raise NotJson(f"{name} is no JSON")


_VALUES: Final = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_no_constant)
