"""An entry of the log, before and after it is stored."""

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, Struct

from protocol import jsonrpc
from protocol.messages import ChatMessage, ReceiveMessageParams
from protocol.methods import LOBBY, RECEIVE_MESSAGE


class Draft(Struct, frozen=True, kw_only=True):
    """A message or notice that has no `seq` yet. `event` is None for a message; `at` is in Unix seconds."""

    sender_id: str
    sender_name: str
    text: str
    at: float
    event: str | None = None
    client_msg_id: str | None = None


class Entry(Struct, frozen=True):
    """A stored message or notice.

    `request` is its `ReceiveMessage` request as JSON, encoded once for all recipients.
    """

    seq: int
    sender_id: str
    message: ChatMessage
    request: bytes
    at: float


class EntryRun:
    """The entries of the log from the `seq` `first` on, in order. Their `seq` may have gaps."""

    def __init__(self, first: int) -> None:
        """Start empty; the first entry to be appended has a `seq` of `first` or more."""
        self.first = first
        self._entries: list[Entry] = []
        self._seqs: list[int] = []  # parallel to `_entries`: bisecting integers calls no Python code and takes 0.2 µs

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<EntryRun {self.first}..{self._seqs[-1] if self._seqs else self.first - 1}>"

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._seqs.append(entry.seq)

    def after(self, seq: int, limit: int) -> list[Entry]:
        """Return the oldest `limit` entries above `seq`, oldest first."""
        start = bisect_right(self._seqs, seq)
        return self._entries[start : start + limit]

    def before(self, seq: int, limit: int) -> list[Entry]:
        """Return the newest `limit` entries below `seq`, oldest first."""
        end = bisect_left(self._seqs, seq)
        return self._entries[max(0, end - limit) : end]

    def drop_to(self, first: int) -> list[Entry]:
        """Remove and return the entries below `first`."""
        count = bisect_left(self._seqs, first)
        dropped = self._entries[:count]
        del self._entries[:count], self._seqs[:count]
        self.first = max(first, self.first)
        return dropped


def make_entry(draft: Draft, seq: int, epoch: str) -> Entry:
    """Return the entry for a draft at `seq` in the log `epoch`."""
    message = ChatMessage(
        seq=seq,
        room=LOBBY,
        sender_id=draft.sender_id,
        sender_name=draft.sender_name,
        text=draft.text,
        is_system=draft.event is not None,
        event=draft.event,
        sent_at=format_time(draft.at),
        client_msg_id=UNSET if draft.client_msg_id is None else draft.client_msg_id,
    )
    request = jsonrpc.request(RECEIVE_MESSAGE, ReceiveMessageParams(message, epoch), seq)
    return Entry(seq, draft.sender_id, message, msgspec.json.encode(request), draft.at)


def format_time(at: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
