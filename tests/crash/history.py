"""Judge a history: what was sent and answered, what each recipient took, and what the log says in the end.

Pure: facts in, violations out. The rules are those of the contract's invariants: no answered message is lost, nothing
appears that was not sent, everybody sees one log in one order, an id is stored once, and what was answered before
something else began stands before it.

The texts of sends are expected to be unique for a sender, unless they carry the same `client_msg_id`.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

NOTICE_WORDS: Final = {"join": " joined the chat", "leave": " left the chat", "rename": " is now "}
SHOWN_CHARS: Final = 40


class Rule(StrEnum):
    """What can be violated."""

    LOST = "lost"
    INVENTED = "not sent"
    OUT_OF_ORDER = "out of order"
    TWO_BODIES = "two bodies"
    STORED_TWICE = "stored twice"
    WRONG_ANSWER = "wrong answer"
    OVERTAKEN = "overtaken"
    EPOCH = "epoch"
    PRESENCE = "presence"


class Violation(NamedTuple):
    """One thing that must not be, in words."""

    rule: Rule
    words: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.words}"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the log as somebody saw it."""

    epoch: str
    seq: int
    sender_id: str
    text: str
    is_system: bool = False
    event: str | None = None
    client_msg_id: str | None = None

    def __str__(self) -> str:
        what = f"the {self.event} notice" if self.is_system else shortened(self.text)
        return f"{what} of {self.sender_id}"


class Restart(NamedTuple):
    """The recipient's process ended here and was started again."""


@dataclass(frozen=True, slots=True)
class Send:
    """A `SendMessage`, with all its tries. Times are monotonic seconds of one clock.

    `began` is before the first try, `ended` after the answer; both `ended` and `seq` are None when there was none.
    """

    sender_id: str
    client_msg_id: str | None
    text: str
    began: float
    ended: float | None
    seq: int | None

    def __str__(self) -> str:
        return f"{shortened(self.text)} of {self.sender_id}"


@dataclass(frozen=True, slots=True)
class Recipient:
    """What one recipient took, in order of arrival, repeats included. `cursor` is where it first came in."""

    id: str
    cursor: int
    arrivals: Sequence[Record | Restart]
    stayed: bool = True

    @property
    def records(self) -> Iterator[Record]:
        """What it took, whatever process of it."""
        return (arrival for arrival in self.arrivals if isinstance(arrival, Record))


@dataclass(frozen=True, slots=True)
class History:
    """All that is known of one run.

    `members` are the ids of all who came in or tried to; `log` is what `GetHistory` gives in the end; `present` is whom
    `ListMembers` tells in the end; `epochs` are those that were told elsewhere (`Register`, `Ping`, `GetHistory`).
    """

    sends: Sequence[Send]
    recipients: Sequence[Recipient]
    members: Set[str]
    log: Sequence[Record] | None = None
    present: Set[str] | None = None
    epochs: Set[str] = frozenset()


def check(history: History) -> list[Violation]:
    """Give everything that is wrong with a history; an empty list is the proof."""
    return list(_Judge(history).violations())


def shortened(text: str) -> str:
    """Quote a text for people, a long one only in part."""
    return repr(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…")


# A message is known by these: its sender, its client_msg_id, and its text.
Identity = tuple[str, str | None, str]


class _Judge:
    def __init__(self, history: History) -> None:
        self._history = history
        self._seen = _distinct(history)
        # Where two bodies were seen for one seq, which is told, the others are judged by the log's.
        self._bodies: dict[int, Record] = {record.seq: record for record in self._seen}
        self._bodies.update((record.seq, record) for record in history.log or ())
        self._sent = Counter(_identity(send) for send in history.sends)
        self._stored = _seqs_by_identity(self._bodies)

    def violations(self) -> Iterator[Violation]:
        yield from self._epochs()
        yield from self._two_bodies()
        yield from self._invented()
        yield from self._stored_twice()
        yield from self._wrong_answers()
        yield from self._answered_and_gone()
        for recipient in self._history.recipients:
            yield from self._order(recipient)
            yield from self._missing(recipient)
        yield from self._holes_in_log()
        yield from self._overtaken()
        yield from self._presence()

    def _epochs(self) -> Iterator[Violation]:
        epochs = {record.epoch for record in self._seen} | self._history.epochs
        if len(epochs) > 1:
            yield Violation(Rule.EPOCH, f"the log changed its epoch: {', '.join(sorted(epochs))} were seen")

    def _two_bodies(self) -> Iterator[Violation]:
        bodies = defaultdict(set)
        for record in self._seen:
            bodies[record.seq].add(record)
        for seq, records in bodies.items():
            if len(records) > 1:
                told = "; ".join(sorted(f"{record} at {self._holders(record)}" for record in records))
                yield Violation(Rule.TWO_BODIES, f"seq {seq} is not the same everywhere: {told}")

    def _holders(self, record: Record) -> str:
        holders = [recipient.id for recipient in self._history.recipients if record in recipient.records]
        return ", ".join([*holders, *(["the log"] if record in (self._history.log or ()) else [])])

    def _invented(self) -> Iterator[Violation]:
        for record in sorted(self._seen, key=lambda record: record.seq):
            if record.is_system:
                problem = _problem_of_notice(record, self._history.members)
            else:
                problem = None if _identity(record) in self._sent else "nobody sent it"
            if problem:
                yield Violation(Rule.INVENTED, f"seq {record.seq} is {record}, and {problem}")

    def _stored_twice(self) -> Iterator[Violation]:
        by_id = defaultdict(set)
        for (sender_id, client_msg_id, text), seqs in self._stored.items():
            if client_msg_id is not None:
                by_id[sender_id, client_msg_id].update(seqs)
            elif len(seqs) > (times := self._sent[sender_id, None, text]) > 0:
                what = f"{shortened(text)} of {sender_id}"
                yield Violation(Rule.STORED_TWICE, f"{what} was sent {times} times and is there as seq {_list(seqs)}")
        for send in self._history.sends:
            if send.client_msg_id is not None and send.seq is not None:
                by_id[send.sender_id, send.client_msg_id].add(send.seq)
        for (sender_id, client_msg_id), seqs in by_id.items():
            if len(seqs) > 1:
                what = f"client_msg_id {client_msg_id} of {sender_id}"
                yield Violation(Rule.STORED_TWICE, f"{what} has more than one seq: {_list(seqs)}")

    def _wrong_answers(self) -> Iterator[Violation]:
        answered: dict[int, Send] = {}
        for send in self._history.sends:
            if send.seq is None:
                continue
            other = answered.setdefault(send.seq, send)
            if _identity(other) != _identity(send):
                yield Violation(Rule.WRONG_ANSWER, f"seq {send.seq} was the answer to {other} and to {send}")
            there = self._bodies.get(send.seq)
            if there is not None and (there.is_system or _identity(there) != _identity(send)):
                yield Violation(Rule.WRONG_ANSWER, f"{send} was answered as seq {send.seq}, which is {there}")

    def _answered_and_gone(self) -> Iterator[Violation]:
        """Find what was answered and is nowhere; without the log, only where somebody had to get it."""
        for send in self._history.sends:
            if send.seq is None or _identity(send) in self._stored:
                continue
            if self._history.log is not None or any(_is_for(send, recipient) for recipient in self._history.recipients):
                yield Violation(Rule.LOST, f"{send} was answered as seq {send.seq} and is nowhere")

    def _order(self, recipient: Recipient) -> Iterator[Violation]:
        expected = self._expected(recipient)
        had: set[int] = set()
        last = recipient.cursor
        for record in recipient.records:
            if record.sender_id == recipient.id:
                yield Violation(Rule.OUT_OF_ORDER, f"{recipient.id} got its own seq {record.seq}")
            if record.seq in had:
                continue
            had.add(record.seq)
            if record.seq <= last:
                yield Violation(Rule.OUT_OF_ORDER, f"{recipient.id} got seq {record.seq} first when it was at {last}")
                continue
            skipped = expected[bisect_right(expected, last) : bisect_left(expected, record.seq)]
            if skipped:
                told = f"{recipient.id} went from seq {last} to {record.seq} without {_list(skipped)}"
                yield Violation(Rule.OUT_OF_ORDER, told)
            last = record.seq

    def _missing(self, recipient: Recipient) -> Iterator[Violation]:
        if not recipient.stayed:
            return
        had = {record.seq for record in recipient.records}
        answered = {send.seq for send in self._history.sends}
        for seq in self._expected(recipient):
            if seq > recipient.cursor and seq not in had:
                how = "was answered" if seq in answered else "is stored"
                yield Violation(Rule.LOST, f"{recipient.id} never got seq {seq}, {self._bodies[seq]}, which {how}")

    def _expected(self, recipient: Recipient) -> list[int]:
        return sorted(seq for seq, record in self._bodies.items() if record.sender_id != recipient.id)

    def _holes_in_log(self) -> Iterator[Violation]:
        log = self._history.log or ()
        for before, after in pairwise(log):
            if after.seq != before.seq + 1:  # no run restores a backup, so that a missing number is a lost entry
                yield Violation(Rule.OUT_OF_ORDER, f"in the log, seq {after.seq} follows on {before.seq}")

    def _overtaken(self) -> Iterator[Violation]:
        """See that the log's order agrees with the order of what did not overlap in time (linearizability)."""
        spans = self._spans()
        by_end = sorted((span for span in spans if span.ended is not None), key=lambda span: span.ended or 0.0)
        finished = 0
        highest: _Span | None = None
        for span in sorted(spans, key=lambda span: span.began):
            while finished < len(by_end) and (by_end[finished].ended or 0.0) < span.began:
                if highest is None or by_end[finished].seq > highest.seq:
                    highest = by_end[finished]
                finished += 1
            if highest is not None and span.seq < highest.seq:
                told = f"{span.send} began after {highest.send} was answered as seq {highest.seq}, and has {span.seq}"
                yield Violation(Rule.OVERTAKEN, told)

    def _spans(self) -> list["_Span"]:
        """Give each message that has a place; all sends of one `client_msg_id` are one."""
        by_identity: dict[object, list[Send]] = defaultdict(list)
        for number, send in enumerate(self._history.sends):
            by_identity[number if send.client_msg_id is None else _identity(send)].append(send)
        spans = []
        for sends in by_identity.values():
            seq = self._place(sends)
            if seq is not None:
                ends = [send.ended for send in sends if send.ended is not None]
                spans.append(_Span(sends[0], min(send.began for send in sends), min(ends, default=None), seq))
        return spans

    def _place(self, sends: Sequence[Send]) -> int | None:
        """Find the seq by the answer, or in the log if it is clear which one it is."""
        answered = [send.seq for send in sends if send.seq is not None]
        identity = _identity(sends[0])
        stored = self._stored.get(identity, ())
        clear = len(stored) == 1 and (identity[1] is not None or self._sent[identity] == 1)
        return answered[0] if answered else next(iter(stored)) if clear else None

    def _presence(self) -> Iterator[Violation]:
        """See that the notices of the log tell a life that can be, and end with those who are here."""
        log = self._history.log
        if not log or log[0].seq != 1:
            return
        present: set[str] = set()
        for record in log:
            if record.is_system and (record.event == "join") == (record.sender_id in present):
                state = "present" if record.sender_id in present else "away"
                yield Violation(Rule.PRESENCE, f"seq {record.seq} is {record}, who was {state}")
            if record.event == "join":
                present.add(record.sender_id)
            elif record.event == "leave":
                present.discard(record.sender_id)
        if self._history.present is not None:
            for member_id in sorted(present ^ self._history.present):
                told, listed = ("here", "not") if member_id in present else ("away", "still")
                yield Violation(Rule.PRESENCE, f"by the notices {member_id} is {told}, and it is {listed} listed")


class _Span(NamedTuple):
    """One message in time and in the log."""

    send: Send
    began: float
    ended: float | None
    seq: int


def _distinct(history: History) -> set[Record]:
    seen = set(history.log or ())
    for recipient in history.recipients:
        seen.update(recipient.records)
    return seen


def _identity(of: Send | Record) -> Identity:
    return of.sender_id, of.client_msg_id, of.text


def _seqs_by_identity(bodies: Mapping[int, Record]) -> dict[Identity, set[int]]:
    found: dict[Identity, set[int]] = defaultdict(set)
    for record in bodies.values():
        if not record.is_system:
            found[_identity(record)].add(record.seq)
    return found


def _problem_of_notice(record: Record, members: Set[str]) -> str | None:
    if record.sender_id not in members:
        return "there is no such member"
    if record.client_msg_id is not None:
        return "a notice has no client_msg_id"
    if record.event not in NOTICE_WORDS or NOTICE_WORDS[record.event] not in record.text:
        return f"the server says no such thing: {shortened(record.text)}"
    return None


def _is_for(send: Send, recipient: Recipient) -> bool:
    return recipient.stayed and recipient.id != send.sender_id and (send.seq or 0) > recipient.cursor


def _list(seqs: Iterable[int]) -> str:
    ordered = sorted(seqs)
    told = ", ".join(map(str, ordered[:5]))
    return told if len(ordered) <= 5 else f"{told} and {len(ordered) - 5} more"
