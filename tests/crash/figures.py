"""What a run counts: how much was proved, and that it was not proved by standing still."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from protocol.messages import ChatMessage
from tests.crash.history import Send
from tests.crash.recording import Recording


@dataclass
class Kill:
    """What was going on when the server was killed. `unix` is just before, in seconds."""

    unix: float
    in_flight: frozenset[str]  # texts
    behind: list[int] = field(
        default_factory=list
    )  # for each recipient, the messages that were answered and not yet taken


@dataclass
class Figures:
    """Counters of one run."""

    kills: list[Kill] = field(default_factory=list)
    kills_in_start: int = 0
    terminations: list[float] = field(default_factory=list)  # seconds until it had ended
    starts: list[float] = field(default_factory=list)  # seconds until it was ready
    crashes: int = 0
    down_at_kills: int = 0
    holds: int = 0
    held_at_kills: int = 0
    cuts: int = 0
    registrations: int = 0
    tries: int = 0
    sends: int = 0
    answered: int = 0
    messages: int = 0  # in the log
    notices: int = 0
    stored_in_flight: int = 0  # of what was in flight at a kill, the log has it from before the kill
    deliveries: int = 0
    repeats: int = 0
    seconds: float = 0.0
    settle_seconds: float = 0.0

    def count_recordings(self, recordings: Iterable[Recording]) -> None:
        """Add what the recipients wrote down."""
        for recording in recordings:
            self.deliveries += recording.deliveries
            self.repeats += recording.repeats
            self.cuts += recording.cuts
            self.registrations += len(recording.registrations)

    def count_messages(self, sends: Sequence[Send], log: Sequence[ChatMessage]) -> None:
        """Add what was sent, and what came of it."""
        self.sends = len(sends)
        self.answered = sum(send.seq is not None for send in sends)
        self.notices = sum(message.is_system for message in log)
        self.messages = len(log) - self.notices
        stored_at = {message.text: datetime.fromisoformat(message.sent_at).timestamp() for message in log}
        flights = [(text, kill.unix) for kill in self.kills for text in kill.in_flight]
        self.stored_in_flight = len({text for text, killed_at in flights if stored_at.get(text, killed_at) < killed_at})

    @property
    def in_flight(self) -> int:
        """Count the sends that were in flight at kills."""
        return sum(len(kill.in_flight) for kill in self.kills)

    def lines(self) -> list[str]:
        """Tell them."""
        kills = len(self.kills)
        busy = sum(bool(kill.in_flight) for kill in self.kills)
        behind = [backlog for kill in self.kills for backlog in kill.behind]
        return [
            f"{kills} rounds in {self.seconds:.0f} s, of which {self.settle_seconds:.1f} s until all had everything",
            f"the server: {kills} times kill -9, {self.kills_in_start} times more in its start;"
            f" {len(self.terminations)} times SIGTERM, ended after {max(self.terminations, default=0):.2f} s at most;"
            f" ready after {max(self.starts, default=0):.2f} s at most",
            f"the recipients: {self.crashes} killed and brought back, {self.holds} held, {self.cuts} answers cut;"
            f" registered {self.registrations} times",
            f"sends: {self.sends} in {self.tries} tries, {self.answered} answered; the log has {self.messages} messages"
            f" and {self.notices} notices",
            f"deliveries: {self.deliveries}, of which {self.repeats} repeats",
            f"at the kills: {self.in_flight} sends in flight (some at {busy} of {kills} kills),"
            f" {self.stored_in_flight} of them stored and not answered",
            f"at the kills: {sum(map(bool, behind))} of {len(behind)} recipients behind,"
            f" {sum(backlog > 10 for backlog in behind)} by more than 10, at most by {max(behind, default=0)};"
            f" {self.down_at_kills} down, {self.held_at_kills} held",
        ]
