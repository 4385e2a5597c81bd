"""Bytes for an HTTP port: requests that are right, nearly right, or no HTTP at all; in pieces, and cut off anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from tests.fuzz.mutation import cut_up, mutated, one_in
from tests.fuzz.raw_words import (
    CHUNK_HEADS,
    CHUNKED,
    LENGTHS,
    LINE_ENDS,
    METHODS,
    NO_HTTP,
    ODD_HEADERS,
    PATHS,
    TRAILERS,
    VERSIONS,
)

# The places in which a request may be odd, as often as they stand here.
PLACES: Final = ("header",) * 5 + ("framing",) * 3 + ("path",) * 2 + ("method", "version", "line end")


@dataclass(frozen=True)
class Request:
    """A good request of a port, from which others are made. `host` stands in `headers` as it should be."""

    method: bytes
    path: bytes
    headers: tuple[bytes, ...] = ()
    body: bytes = b""


class Ending(Enum):
    """What the sender does after its last byte."""

    HALF_CLOSE = "half close"
    CLOSE = "close"


@dataclass(frozen=True)
class RawInput:
    """What is sent on one connection, piece by piece."""

    pieces: tuple[bytes, ...]
    ending: Ending

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)


class RawRequests:
    """Draws what is sent to one port."""

    def __init__(self, good: Sequence[Request]) -> None:
        self._good = good

    def draw(self, draw: Random) -> RawInput:
        """Draw what is sent on one connection."""
        whole = draw.choice(NO_HTTP) if one_in(draw, 20) else b"".join(self._several(draw))
        if one_in(draw, 6):
            whole = mutated(draw, whole)
        if one_in(draw, 8):
            whole = whole[: draw.randrange(len(whole) + 1)]
        pieces = cut_up(draw, whole) if one_in(draw, 4) else (whole,)
        return RawInput(pieces, Ending.CLOSE if one_in(draw, 10) else Ending.HALF_CLOSE)

    def _several(self, draw: Random) -> list[bytes]:
        return [self._one(draw) for _ in range(draw.choice((1, 1, 1, 1, 2, 3, 5)))]

    def _one(self, draw: Random) -> bytes:
        """Draw one request, which is odd in few places or in none."""
        good, odd = draw.choice(self._good), {draw.choice(PLACES) for _ in range(draw.choice((0, 0, 0, 1, 1, 2)))}
        method = draw.choice(METHODS) if "method" in odd else good.method
        path = draw.choice(PATHS) if "path" in odd else good.path
        version = draw.choice(VERSIONS) if "version" in odd else b"HTTP/1.1"
        headers = [*good.headers]
        if "header" in odd:
            headers.insert(draw.randrange(len(headers) + 1), draw.choice(ODD_HEADERS))
        framing, body = self._misframed(draw, good.body) if "framing" in odd else self._framed(draw, good.body)
        lines = [b"%b %b %b" % (method, path, version), *headers, *framing, b"", b""]
        if "line end" in odd:
            at = draw.randrange(len(lines) - 1)
            lines[at] += draw.choice(LINE_ENDS) + lines.pop(at + 1)
        return b"\r\n".join(lines) + body

    def _framed(self, draw: Random, body: bytes) -> tuple[list[bytes], bytes]:
        """Give the headers that frame a body, and the body as it is framed."""
        if one_in(draw, 3):
            return [b"Transfer-Encoding: chunked"], self._chunked(draw, body) + b"0\r\n\r\n"
        return [b"Content-Length: %d" % len(body)] if body else [], body

    def _misframed(self, draw: Random, body: bytes) -> tuple[list[bytes], bytes]:
        """Give the same, with a lie in it."""
        chunked = self._chunked(draw, body)
        match draw.randrange(7):
            case 0:
                return [b"Transfer-Encoding: chunked"], self._mischunked(draw, chunked)
            case 1:
                return [b"Transfer-Encoding: chunked"], chunked + b"0\r\n" + draw.choice(TRAILERS)
            case 2:
                return [b"Transfer-Encoding: " + draw.choice(CHUNKED)], chunked + b"0\r\n\r\n"
            case 3:
                return [b"Content-Length: %d" % max(0, len(body) + draw.choice((-1, 1, -5, 5, 1000)))], body
            case 4:
                return [b"Content-Length: " + draw.choice(LENGTHS)], body
            case 5:
                return [b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked"], chunked + b"0\r\n\r\n"
        return [], body

    def _chunked(self, draw: Random, body: bytes) -> bytes:
        return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in cut_up(draw, body) if piece)

    def _mischunked(self, draw: Random, chunked: bytes) -> bytes:
        ends = [0, *[at for at in range(len(chunked)) if chunked.startswith(b"\r\n", at)]]
        at = draw.choice(ends)
        odd = draw.choice(CHUNK_HEADS)
        return chunked[:at] + draw.choice((odd + b"\r\nhello\r\n", odd, b"\r\n", b"5")) + chunked[at:] + b"0\r\n\r\n"
