"""A recipient's file: what it took, one JSON object a line, written so that a kill -9 leaves whole lines only."""

import os
from pathlib import Path

import msgspec
from msgspec import UnsetType

from protocol.messages import ChatMessage
from tests.crash.history import Record, Restart


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A process of this recipient has begun."""

    pid: int


class Registered(msgspec.Struct, frozen=True, tag="registered"):
    """`Register` was answered."""

    epoch: str
    cursor: int
    lost: int


class Took(msgspec.Struct, frozen=True, tag="took"):
    """A message was taken; this line is written before the answer is."""

    record: Record


class Cut(msgspec.Struct, frozen=True, tag="cut"):
    """The connection was cut instead of answering, after so many of the messages were taken."""

    taken: int
    of: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A call was refused that should have been none: its signature was wrong, or it was not what was expected."""

    why: str


Line = Started | Registered | Took | Cut | Refused


def record_of(message: ChatMessage, epoch: str) -> Record:
    """Give what is compared of a message."""
    return Record(
        epoch=epoch,
        seq=message.seq,
        sender_id=message.sender_id,
        text=message.text,
        is_system=message.is_system,
        event=message.event,
        client_msg_id=None if isinstance(message.client_msg_id, UnsetType) else message.client_msg_id,
    )


class Recorder:
    """Appends to the file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, line: Line) -> None:
        """One write(2) a line: it outlives this process, and nothing is left in a buffer of it."""
        encoded = msgspec.json.encode(line) + b"\n"
        written = os.write(self._file, encoded)
        if written != len(encoded):
            raise OSError(f"only {written} of {len(encoded)} bytes could be written")


class Recording:
    """Follows the file while it grows.

    `known` holds each record once for all recordings of a run: a dozen recipients take the same messages.
    """

    def __init__(self, path: Path, known: dict[Record, Record]) -> None:
        self.arrivals: list[Record | Restart] = []
        self.newest = 0
        self.repeats = 0
        self.deliveries = 0
        self.processes = 0
        self.cuts = 0
        self.registrations: list[Registered] = []
        self.refused: list[str] = []
        self._path = path
        self._known = known
        self._offset = 0
        self._had: set[int] = set()
        self._decoder = msgspec.json.Decoder(Line)

    def catch_up(self) -> None:
        """Read what was added since the last time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._note(self._decoder.decode(line))

    def _note(self, line: Line) -> None:
        match line:
            case Started():
                self.processes += 1
                if self.processes > 1:
                    self.arrivals.append(Restart())
            case Registered():
                self.registrations.append(line)
            case Took(record):
                self._note_taken(record)
            case Cut():
                self.cuts += 1
            case Refused(why):
                self.refused.append(why)

    def _note_taken(self, record: Record) -> None:
        self.deliveries += 1
        self.repeats += record.seq in self._had
        self._had.add(record.seq)
        self.newest = max(self.newest, record.seq)
        self.arrivals.append(self._known.setdefault(record, record))
