"""How long messages take from the moment before they are sent to the moment they have arrived."""

import time
from array import array
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bench.control import RunFailed

STAMP_DIGITS: Final = 20


def stamp() -> bytes:
    """Give the moment, as the beginning of a text: `time.monotonic_ns()` is the same in all processes of a machine."""
    return b"%020d" % time.monotonic_ns()


class Message(msgspec.Struct, gc=False):
    """What is read of a message."""

    text: str


class Params(msgspec.Struct, gc=False):
    """Those of `ReceiveMessage`."""

    message: Message


class Delivered(msgspec.Struct, gc=False):
    """A call of `ReceiveMessage`."""

    id: int
    params: Params


class Timing:
    """Notes how long each delivery took of a message that was sent since this was made."""

    def __init__(self) -> None:
        self._latencies = array("q")  # nanoseconds
        self._since = time.monotonic_ns()
        self._sent: dict[int, int] = {}  # by seq; 0 for what is to be left out
        self._decode = msgspec.json.Decoder(Delivered | list[Delivered]).decode

    def note(self, seqs: Iterable[int], body: bytes) -> None:
        """Note that these have arrived now. Only for the first recipient of a message its text is read."""
        now = time.monotonic_ns()
        for seq in seqs:
            if seq not in self._sent:
                self._read(body)
            if sent := self._sent[seq]:
                self._latencies.append(now - sent)

    def percentiles(self) -> dict[str, float]:
        """Give how many there are, and p50 and p99 in milliseconds. Raises `RunFailed` if there are none."""
        values = sorted(self._latencies)
        if not values:
            raise RunFailed("nothing was timed")
        p50, p99 = (values[len(values) * percent // 100] / 1e6 for percent in (50, 99))
        return {"timed": len(values), "p50_ms": p50, "p99_ms": p99}

    def _read(self, body: bytes) -> None:
        calls: Any = self._decode(body)
        for call in calls if isinstance(calls, list) else [calls]:
            digits = call.params.message.text[:STAMP_DIGITS]
            sent = int(digits) if digits.isdigit() else 0  # a notice has none
            self._sent[call.id] = sent if sent >= self._since else 0
