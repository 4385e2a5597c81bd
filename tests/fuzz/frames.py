"""WebSocket frames (RFC 6455, section 5), written by hand: lawful ones around a text, and such as no browser sends."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from client.faces.web.page import MAX_READ_BYTES
from tests.fuzz.bodies import Bodies
from tests.fuzz.judge import Wrong
from tests.fuzz.mutation import cut_up, mutated, one_in

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASKS: Final = (bytes(4), b"\x37\xfa\x21\x3d")
CLOSINGS: Final = (
    b"",
    b"\x03\xe8",
    b"\x03\xe8bye",
    b"\x03",
    b"\x03\xe8\xff\xfe",
    b"\x00\x00",
    b"\x03\xed",
    b"\x03\xee",
    b"\x13\x88x",
    b"\xff\xff",
    b"\x03\xe8" + b"x" * 124,
)
LIES: Final = (
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x81\xff\x00\x00\x00\x01\x00\x00\x00\x00",
    b"\x81\xfe\xff\xff",
)
MAX_CONTROL: Final = 125


def frame(opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0, mask: bytes | None = MASKS[0]) -> bytes:
    """Write one frame."""
    size = len(payload)
    masked = 0 if mask is None else 0x80
    head = bytes([fin << 7 | reserved << 4 | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 65_536:
        head += bytes([masked | 126]) + size.to_bytes(2)
    else:
        head += bytes([masked | 127]) + size.to_bytes(8)
    if mask is None:
        return head + payload
    return head + mask + (payload if mask == MASKS[0] else _masked(payload, mask))


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def take_frame(received: bytearray) -> tuple[int, bytes] | None:
    """Take the opcode and payload of a frame that a server sent off the front, if it is there as a whole."""
    if len(received) < 2:
        return None
    if received[0] & 0xF0 != 0x80 or received[1] & 0x80:
        raise Wrong(f"a frame that is reserved, masked or in fragments: {bytes(received[:2])!r}")
    size, begin = received[1], 2
    if size >= 126:
        begin = 4 if size == 126 else 10
        size = int.from_bytes(received[2:begin])
    if len(received) < max(begin + size, begin):
        return None
    opcode, payload = received[0] & 0x0F, bytes(received[begin : begin + size])
    del received[: begin + size]
    return opcode, payload


@dataclass(frozen=True)
class FrameInput:
    """What a tab sends. `text`: the one text in it, None where there is none.

    `binaries` and `pings` count what else is to be answered; `is_lawful`: else the connection may be closed at once.
    """

    pieces: tuple[bytes, ...]
    text: bytes | None
    binaries: int
    pings: int
    is_lawful: bool

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)


class Frames:
    """Draws what a tab sends."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies

    def draw(self, draw: Random) -> FrameInput:
        """Draw what is sent in one go."""
        text = self._bodies.draw(draw)
        lawful = _is_text(text) and len(text) < MAX_READ_BYTES
        if one_in(draw, 8):
            return self._unlawful(draw, text)
        between, pings = b"", 0
        match draw.randrange(12):
            case 9:
                payload = draw.choice((b"", b"x", b"\xff" * MAX_CONTROL))
                between, pings = frame(PING, payload, mask=draw.choice(MASKS)), 1
            case 10:
                between = frame(PONG, b"unasked")
            case 11:
                return FrameInput((frame(BINARY, text),), None, 1, 0, is_lawful=len(text) < MAX_READ_BYTES)
        fragments = cut_up(draw, text) if one_in(draw, 4) else (text,)
        whole = between.join(self._fragments(draw, fragments))
        pieces = cut_up(draw, whole) if one_in(draw, 16) else (whole,)
        return FrameInput(pieces, text, 0, pings * (len(fragments) - 1), lawful)

    def _fragments(self, draw: Random, fragments: tuple[bytes, ...]) -> list[bytes]:
        last, mask = len(fragments) - 1, draw.choice(MASKS)
        return [
            frame(CONTINUATION if number else TEXT, part, fin=number == last, mask=mask)
            for number, part in enumerate(fragments)
        ]

    def _unlawful(self, draw: Random, text: bytes) -> FrameInput:
        whole = draw.choice(_UNLAWFUL)(draw, text)
        pieces = cut_up(draw, whole) if one_in(draw, 4) else (whole,)
        return FrameInput(pieces, None, 0, 0, is_lawful=False)


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


_UNLAWFUL: Final[tuple[Callable[[Random, bytes], bytes], ...]] = (
    lambda draw, text: frame(CLOSE, draw.choice(CLOSINGS)) + frame(TEXT, text),
    lambda draw, text: frame(TEXT, text, mask=None),
    lambda draw, text: frame(TEXT, text, reserved=draw.choice((4, 1, 2, 7))),
    lambda draw, text: frame(draw.choice((3, 7, 11, 15)), text),
    lambda draw, text: frame(CONTINUATION, text),
    lambda draw, text: frame(TEXT, text, fin=False) + frame(TEXT, text),
    lambda draw, text: frame(TEXT, text, fin=False) * draw.choice((1, 100)),
    lambda draw, text: frame(PING, text, fin=False),
    lambda draw, text: frame(draw.choice((PING, PONG, CLOSE)), text.ljust(MAX_CONTROL + 1)),
    lambda draw, text: draw.choice(LIES) + bytes(4) + text,
    lambda draw, text: frame(TEXT, b"x" * draw.choice((1_048_576, 1_048_577))),
    lambda draw, text: mutated(draw, frame(TEXT, text, mask=draw.choice(MASKS))),
    lambda draw, text: mutated(draw, frame(TEXT, text, fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"")),
    lambda draw, text: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + text,
)
