"""POSTs to a callback: signed as they should be around any body, and with headers that are no signature."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from protocol.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, TOLERANCE_SECONDS, sign
from tests.fuzz.bodies import Bodies
from tests.fuzz.mutation import ODD_BYTES, mutated, one_in

NOW: Final = 1_900_000_000
EPOCH: Final = "fuzz"
KEY: Final = b"k" * 32
# Each with a number that is made of the body: who signs takes another id for other bytes, and may be held to it.
WEBHOOK_IDS: Final = (f"{EPOCH}-%d-1", f"{EPOCH}-1-%d", "%d", "typing-%d", "-1-%d-", "é%d", "x" * 4000 + "%d")
OTHER_LOG: Final = "another-1-%d"
STAMPS: Final = (
    b"0",
    b"-1",
    b"1e9",
    b"nan",
    b"inf",
    b"9" * 15,
    b"9" * 5000,
    b"1900000000.0",
    b"\xb9\xb2\xb3",
    "¹⁹".encode(),  # digits to `isdigit`, and none to `int`
    "١٩٠٠٠٠٠٠٠٠".encode(),  # 1900000000, to both
    b" ",
    b"1_900_000_000",
)
SIGNATURES: Final = (
    b"v1,",
    b"v1",
    b",",
    b"v1,====",
    b"v2,AAAA",
    b"v1,\xff",
    b"v1a,AAAA",
    b"v1,AAAA " * 400,
    b"v1,\x00",
    b"v1,AAAA\tv1",
)
PATHS: Final = (b"/rpc/nobody", b"/rpc/", b"/rpc/%00", b"/rpc/gone")


class Due(Enum):
    """What a POST must get."""

    ANSWER = "JSON-RPC"
    REFUSAL = "a 4xx"
    WAIT = "503"
    EITHER = "JSON-RPC or a 4xx"


@dataclass(frozen=True)
class SignedInput:
    """One POST, whole, its body once more, and what it must get."""

    whole: bytes
    body: bytes
    due: Due


Headers = dict[str, bytes]


class Callbacks:
    """Draws POSTs to one seat."""

    def __init__(self, bodies: Bodies, path: str) -> None:
        self._bodies = bodies
        self._path = path.encode()

    def draw(self, draw: Random) -> SignedInput:
        """Draw one POST."""
        body, path, due = self._bodies.draw(draw), self._path, Due.ANSWER
        form = draw.choice(WEBHOOK_IDS) if one_in(draw, 4) else WEBHOOK_IDS[0]
        lines = signed_lines(form, body)
        kind = draw.randrange(60)
        if kind == 59:
            path, due = draw.choice(PATHS), Due.REFUSAL
        elif kind == 58 and one_in(draw, 10):
            lines, due = signed_lines(OTHER_LOG, body), Due.WAIT
        elif kind > 40:
            lines, due = draw.choice(_SPOILS)(draw, lines, body)
        return SignedInput(post(path, lines, body), body, due)


def signed_lines(form: str, body: bytes, *, key: bytes = KEY, at: int = NOW) -> Headers:
    """Give the three headers as they should be; the id has this form."""
    webhook_id = form % zlib.crc32(body)
    signature = sign(key, webhook_id, at, body).encode()
    return {ID_HEADER: webhook_id.encode(), TIMESTAMP_HEADER: b"%d" % at, SIGNATURE_HEADER: signature}


def post(path: bytes, lines: Mapping[str, bytes], body: bytes) -> bytes:
    """Write a POST."""
    head = b"".join(b"%b: %b\r\n" % (name.encode(), value) for name, value in lines.items())
    return b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%bContent-Length: %d\r\n\r\n%b" % (path, head, len(body), body)


def _spoil_one(draw: Random, lines: Headers, _body: bytes) -> tuple[Headers, Due]:
    """Change a header anyhow; white space around a value is none of it, so that it may still be right."""
    name = draw.choice((ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    return {**lines, name: mutated(draw, lines[name])}, Due.EITHER


def _leave_out(draw: Random, lines: Headers, _body: bytes) -> tuple[Headers, Due]:
    del lines[draw.choice((ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))]
    return lines, Due.REFUSAL


def _other_key(draw: Random, _lines: Headers, body: bytes) -> tuple[Headers, Due]:
    return signed_lines(WEBHOOK_IDS[0], body, key=draw.choice((b"x" * 32, b"k" * 31, b""))), Due.REFUSAL


def _other_time(draw: Random, _lines: Headers, body: bytes) -> tuple[Headers, Due]:
    at = NOW + draw.choice((-1, 1)) * draw.choice((TOLERANCE_SECONDS + 1, 10**6, NOW))
    return signed_lines(WEBHOOK_IDS[0], body, at=at), Due.REFUSAL


def _other_body(_draw: Random, _lines: Headers, body: bytes) -> tuple[Headers, Due]:
    return signed_lines(WEBHOOK_IDS[0], body + b" "), Due.REFUSAL


def _odd_stamp(draw: Random, lines: Headers, _body: bytes) -> tuple[Headers, Due]:
    return {**lines, TIMESTAMP_HEADER: draw.choice(STAMPS)}, Due.REFUSAL


def _odd_signature(draw: Random, lines: Headers, _body: bytes) -> tuple[Headers, Due]:
    return {**lines, SIGNATURE_HEADER: draw.choice(SIGNATURES)}, Due.REFUSAL


def _odd_id(draw: Random, lines: Headers, _body: bytes) -> tuple[Headers, Due]:
    return {**lines, ID_HEADER: draw.choice(ODD_BYTES) + b"x"}, Due.REFUSAL


def _twice(draw: Random, lines: Headers, _body: bytes) -> tuple[Headers, Due]:
    name = draw.choice((ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    return {**lines, name.title(): draw.choice(SIGNATURES)}, Due.EITHER


def _several(draw: Random, lines: Headers, _body: bytes) -> tuple[Headers, Due]:
    """Give the right signature among others, as when a secret is being changed."""
    others = [b"v1,AAAA", b"v2,x", b"", b"v1a,\xff", lines[SIGNATURE_HEADER]]
    draw.shuffle(others)
    return {**lines, SIGNATURE_HEADER: b" ".join(others)}, Due.EITHER


_SPOILS: Final[tuple[Callable[[Random, Headers, bytes], tuple[Headers, Due]], ...]] = (
    _spoil_one,
    _leave_out,
    _other_key,
    _other_time,
    _other_body,
    _odd_stamp,
    _odd_signature,
    _odd_id,
    _twice,
    _several,
)
