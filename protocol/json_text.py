r"""Accepts JSON that msgspec rejects: a byte order mark, integers as doubles, half of a surrogate pair.

RFC 8259 allows a reader to ignore the mark (section 8.1); half of a pair, `"\ud83d"`, is valid by the grammar but its
effect is unpredictable (section 8.2). Callers decode with msgspec first, and use these functions when that fails.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
# Magic numbers of compressed data (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1).
CODINGS: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
LONGEST_NUMBER: Final = 512  # bytes
# The escape of U+0000, after an even number of backslashes.
NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
NO_TEXT: Final = "must not contain U+0000 or half of a surrogate pair"

# As much text as possible without a half of a pair; or a half; or a backslash that does not start an escape.
_PIECE: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++"
    rb"|\\u([dD][89a-fA-F][0-9a-fA-F]{2})|\\",
    re.DOTALL,
)
_MARKED: Final = re.compile(rb"\\u0000([dD][89a-fA-F][0-9a-fA-F]{2})")


def mark_halves(body: bytes) -> bytes:
    r"""Return JSON in which U+0000 and four digits replace each half of a surrogate pair: `\u0000d83d` for `\ud83d`."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _PIECE.sub(lambda piece: b"\\u0000" + piece[1] if piece[1] else piece[0], body)


def unmark_halves(value: Raw) -> Raw:
    """Undo `mark_halves` in a value, for instance in an `id` that must be returned unchanged."""
    return Raw(_MARKED.sub(rb"\\u\1", bytes(value))) if b"\\u0000" in bytes(value) else value


def has_marked_half(value: bytes | Raw) -> bool:
    """Return whether JSON contains a half that `mark_halves` marked."""
    return _MARKED.search(value) is not None


def field_with_half(params: Mapping[str, Any]) -> str | None:
    """Return the name of the first parameter with a half that `mark_halves` marked, or None."""
    return next((name for name, value in params.items() if has_marked_half(msgspec.json.encode(value))), None)


def json_problem(body: bytes) -> str:
    """Return why `body` is not JSON, as the end of a sentence."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    if coding := next((name for magic, name in CODINGS.items() if body.startswith(magic)), None):
        return f"is compressed ({coding}); expected JSON without a Content-Encoding"
    if body.startswith(UTF16_MARKS) or b"\0" in body[:4]:
        return "is UTF-16 or UTF-32; expected JSON in UTF-8"
    if not body.strip():
        return "is empty; expected JSON, with a Content-Length or in chunks"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "is not UTF-8; expected JSON in UTF-8"
    return "is not JSON"


def as_integer(number: bytes) -> int | None:
    """Return the integer, up to 2**53, that a JSON number denotes as a double (`2.0`, `1e2`); None for other text."""
    if len(number) > LONGEST_NUMBER:
        return None
    try:
        value = msgspec.json.decode(number, type=float)
    except msgspec.DecodeError:
        return None
    return int(value) if value.is_integer() and abs(value) <= 2**53 else None


def convert(value: Any, shape: type[T]) -> T:
    """Return decoded JSON as `shape`; whole doubles are accepted as integers. Raise `ValidationError`."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return msgspec.convert(_with_integers(value), shape)


def _with_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _with_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_integers(each) for each in value]
    return value
