"""Latencies of messages, from the moment before the send to the arrival."""

import time
from array import array
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bench.control import RunFailed

STAMP_DIGITS: Final = 20


def stamp() -> bytes:
    """Return the time as 20 digits. `time.monotonic_ns()` has the same origin in all processes of a machine."""
    return b"%020d" % time.monotonic_ns()


class Message(msgspec.Struct, gc=False):
    """The decoded part of a message."""

    text: str


class Params(msgspec.Struct, gc=False):
    """The parameters of `ReceiveMessage`."""

    message: Message


class Delivered(msgspec.Struct, gc=False):
    """A `ReceiveMessage` request."""

    id: int
    params: Params


class Timing:
    """Records the latency of each delivery, of messages that were sent after the creation of this object."""

    def __init__(self) -> None:
        self._latencies = array("q")  # nanoseconds
        self._since = time.monotonic_ns()
        self._sent: dict[int, int] = {}  # send time by seq; 0 for entries that do not count
        self._decode = msgspec.json.Decoder(Delivered | list[Delivered]).decode

    def note(self, seqs: Iterable[int], body: bytes) -> None:
        """Record the arrival of the entries `seqs`. Parse `body` only for the first recipient of a message."""
        now = time.monotonic_ns()
        for seq in seqs:
            if seq not in self._sent:
                self._read(body)
            if sent := self._sent[seq]:
                self._latencies.append(now - sent)

    def percentiles(self) -> dict[str, float]:
        """Return the number of latencies, and p50 and p99 in milliseconds. Raise `RunFailed` without any."""
        values = sorted(self._latencies)
        if not values:
            raise RunFailed("no latency was measured")
        p50, p99 = (values[len(values) * percent // 100] / 1e6 for percent in (50, 99))
        return {"timed": len(values), "p50_ms": p50, "p99_ms": p99}

    def _read(self, body: bytes) -> None:
        calls: Any = self._decode(body)
        for call in calls if isinstance(calls, list) else [calls]:
            digits = call.params.message.text[:STAMP_DIGITS]
            sent = int(digits) if digits.isdigit() else 0  # a notice has no stamp
            self._sent[call.id] = sent if sent >= self._since else 0
