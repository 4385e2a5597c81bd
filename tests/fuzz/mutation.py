"""Bytes that are nearly right: what was well made, with something cut out, put in, doubled or turned around.

All inputs are drawn from a `random.Random`, which is either made from a seed or is Hypothesis's own (`st.randoms`). The
least that can be drawn is the plain form, so that Hypothesis shrinks towards it.
"""

from collections.abc import Callable
from random import Random
from typing import Final

ODD_BYTES: Final = (
    b"\x00",
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b"\t",
    b"\x7f",
    b"\x1b",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\xae",
    b"\\ud800",
    b"\\u0000",
    b"NaN",
    b"-",
    b"1e999",
    b"null",
    b"'",
    b"%00",
    b"<script>",
)


def one_in(draw: Random, count: int) -> bool:
    """Say yes once in so many times."""
    return draw.randrange(count) == count - 1


def mutated(draw: Random, whole: bytes) -> bytes:
    """Change something, or a few things."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        whole = draw.choice(MUTATIONS)(draw, whole)
    return whole


def cut_up(draw: Random, whole: bytes, most: int = 4) -> tuple[bytes, ...]:
    """Cut into up to so many pieces, at any places."""
    cuts = sorted(draw.randrange(len(whole) + 1) for _ in range(draw.randrange(most)))
    return tuple(whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True))


def _slice(draw: Random, whole: bytes) -> tuple[int, int]:
    begin = draw.randrange(len(whole) + 1)
    return begin, min(len(whole), begin + draw.choice((1, 1, 2, 3, 8, 30)))


def _flip(draw: Random, whole: bytes) -> bytes:
    begin, end = _slice(draw, whole)
    return (
        whole[:begin]
        + bytes(byte ^ 1 << draw.randrange(8) for byte in whole[begin : min(end, begin + 3)])
        + whole[end:]
    )


def _delete(draw: Random, whole: bytes) -> bytes:
    begin, end = _slice(draw, whole)
    return whole[:begin] + whole[end:]


def _double(draw: Random, whole: bytes) -> bytes:
    begin, end = _slice(draw, whole)
    return whole[:end] + whole[begin:end] * draw.choice((1, 1, 2, 20)) + whole[end:]


def _insert(draw: Random, whole: bytes) -> bytes:
    at = draw.randrange(len(whole) + 1)
    return whole[:at] + draw.choice(ODD_BYTES) + whole[at:]


def _replace(draw: Random, whole: bytes) -> bytes:
    begin, end = _slice(draw, whole)
    return whole[:begin] + draw.choice(ODD_BYTES) + whole[end:]


def _move(draw: Random, whole: bytes) -> bytes:
    begin, end = _slice(draw, whole)
    rest = whole[:begin] + whole[end:]
    at = draw.randrange(len(rest) + 1)
    return rest[:at] + whole[begin:end] + rest[at:]


def _truncate(draw: Random, whole: bytes) -> bytes:
    return whole[: draw.randrange(len(whole) + 1)]


MUTATIONS: Final[tuple[Callable[[Random, bytes], bytes], ...]] = (
    _flip,
    _delete,
    _double,
    _insert,
    _replace,
    _move,
    _truncate,
)
