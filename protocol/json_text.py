r"""JSON as other programs write it: a byte order mark, integers as doubles, half of a surrogate pair.

RFC 8259 lets a reader ignore the mark (section 8.1) and calls half of a pair, `"\ud83d"`, valid by the grammar and
unpredictable (section 8.2); msgspec refuses both. JSON is read as usual first; these functions help when that fails.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
# How compressed data begins (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1).
CODINGS: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
LONGEST_NUMBER: Final = 512  # bytes
# The escape of U+0000, behind an even number of backslashes.
NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
NO_TEXT: Final = "must not contain U+0000 or half of a surrogate pair"

# What is not a half, as much as there is; or a half; or a backslash that is no escape.
_PIECE: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++"
    rb"|\\u([dD][89a-fA-F][0-9a-fA-F]{2})|\\",
    re.DOTALL,
)
_MARKED: Final = re.compile(rb"\\u0000([dD][89a-fA-F][0-9a-fA-F]{2})")


def mark_halves(body: bytes) -> bytes:
    r"""Return JSON with U+0000 and four digits for each half of a surrogate pair: `\u0000d83d` for `\ud83d`."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _PIECE.sub(lambda piece: b"\\u0000" + piece[1] if piece[1] else piece[0], body)


def unmark_halves(value: Raw) -> Raw:
    """Return a value, as an `id` that goes back as it came, with the halves that `mark_halves` has marked."""
    return Raw(_MARKED.sub(rb"\\u\1", bytes(value))) if b"\\u0000" in bytes(value) else value


def has_marked_half(value: bytes | Raw) -> bool:
    """Return whether JSON holds what `mark_halves` writes."""
    return _MARKED.search(value) is not None


def field_with_half(params: Mapping[str, Any]) -> str | None:
    """Return the first of decoded parameters that holds what `mark_halves` writes."""
    return next((name for name, value in params.items() if has_marked_half(msgspec.json.encode(value))), None)


def json_problem(body: bytes) -> str:
    """Return why bytes are not JSON, as the end of a sentence."""
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
    """Return the integer that JSON text says as a double (`2.0`, `1e2`), up to 2**53; None for anything else."""
    if len(number) > LONGEST_NUMBER:
        return None
    try:
        value = msgspec.json.decode(number, type=float)
    except msgspec.DecodeError:
        return None
    return int(value) if value.is_integer() and abs(value) <= 2**53 else None


def convert(value: Any, shape: type[T]) -> T:
    """Convert decoded JSON to `shape`, which may have integers as doubles. Raises `ValidationError`."""
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
