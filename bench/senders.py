"""Senders at minimum cost: a kept connection each, and a prepared request in which only the time stamp changes.

A text is the stamp of the moment before the write, and some words.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from typing import Any, Final

import msgspec

from bench.poster import Poster, head
from bench.registering import Seat
from bench.timing import STAMP_DIGITS, stamp
from protocol.methods import RPC_PATH, SEND_MESSAGE

WORDS: Final = "The quick brown fox jumps over the lazy dog."
SLOT: Final = "0" * STAMP_DIGITS


class Stored(msgspec.Struct, gc=False):
    """The decoded part of the result of `SendMessage`."""

    success: bool
    seq: int


class Answer(msgspec.Struct, gc=False):
    """The response to `SendMessage`."""

    result: Stored | None = None
    error: Any = None


DECODER: Final = msgspec.json.Decoder(Answer)


class Sender(Poster):
    """A sender. It may send again before it has the response."""

    def __init__(self, senders: "Senders", seat: Seat, port: int) -> None:
        super().__init__()
        params = {"user_id": seat.id, "text": f"{SLOT} {WORDS}"}
        body = msgspec.json.encode({"jsonrpc": "2.0", "method": SEND_MESSAGE, "params": params, "id": 1})
        before, _, self._after = body.partition(SLOT.encode())
        self._before = head(port, RPC_PATH, len(body), seat.token) + before
        self._senders = senders

    def say(self) -> None:
        """Send a message."""
        self._senders.sent += 1
        self.transport.write(b"%b%b%b" % (self._before, stamp(), self._after))

    def answered(self, status: int, body: bytes) -> None:
        """Count a response, or store the problem."""
        stored = DECODER.decode(body).result if status == 200 else None
        if stored is None or not stored.success:
            self._senders.problems.append(f"SendMessage was answered with {status}: {body.decode()}")
        else:
            self._senders.answered += 1
            self._senders.on_answer(self, stored.seq)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Store the problem: none of the measured programs closes the connection of a sender."""
        self._senders.problems.append("the connection of a sender ended")


class Senders:
    """All senders of a process, and their counts. They send nothing until a mode is set (`loop_…`, `pace`)."""

    def __init__(self) -> None:
        self.sent = 0
        self.answered = 0
        self.problems: list[str] = []
        self.on_answer: Callable[[Sender, int], None] = _be_silent
        self._senders: list[Sender] = []
        self._pacing: asyncio.Task[None] | None = None

    async def connect(self, port: int, seats: list[Seat]) -> None:
        """Open a connection for each registration."""
        for seat in seats:
            make = partial(Sender, self, seat, port)
            _, sender = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
            self._senders.append(sender)

    def loop_on_answer(self) -> None:
        """Start: each sender sends the next message when it has the response to the previous message."""
        self.on_answer = lambda sender, _: sender.say()
        self._begin()

    def loop_on_arrival(self, arrivals: "Arrivals") -> None:
        """Start: each sender sends the next message when all recipients have the previous message."""
        self.on_answer = arrivals.answered
        self._begin()

    def pace(self, per_second: float) -> None:
        """Start: send `per_second` messages a second in total, evenly spaced, without waiting for responses."""
        self._pacing = asyncio.create_task(self._pace(per_second))

    def stop(self) -> None:
        self.on_answer = _be_silent
        if self._pacing is not None:
            self._pacing.cancel()

    def _begin(self) -> None:
        for sender in self._senders:
            sender.say()

    async def _pace(self, per_second: float) -> None:
        clock = asyncio.get_running_loop().time
        begin = clock()
        for number, sender in zip(count(), cycle(self._senders), strict=False):
            if (early := begin + number / per_second - clock()) > 0:
                await asyncio.sleep(early)
            sender.say()


class Arrivals:
    """Counts the recipients of each message. When all have it, its sender sends the next message."""

    def __init__(self, recipients: int) -> None:
        self._recipients = recipients
        self._counts: dict[int, int] = {}
        self._senders: dict[int, Sender] = {}

    def arrived(self, seq: int) -> None:
        """Count a recipient of the message `seq`."""
        self._counts[seq] = self._counts.get(seq, 0) + 1
        self._go_on(seq)

    def answered(self, sender: Sender, seq: int) -> None:
        """Store the sender of the message `seq`. The response may come after the message has reached all recipients."""
        self._senders[seq] = sender
        self._go_on(seq)

    def _go_on(self, seq: int) -> None:
        if self._counts.get(seq) == self._recipients and seq in self._senders:
            del self._counts[seq]
            self._senders.pop(seq).say()


def _be_silent(_sender: Sender, _seq: int) -> None:
    pass
