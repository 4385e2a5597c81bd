"""One message of the log: before it is stored, and after."""

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, Struct

from protocol.messages import ChatMessage
from protocol.methods import LOBBY, RECEIVE_MESSAGE


class Draft(Struct, frozen=True, kw_only=True):
    """A message or notice that has no `seq` yet. `event` is None for what somebody said; `at` is Unix seconds."""

    sender_id: str
    sender_name: str
    text: str
    at: float
    event: str | None = None
    client_msg_id: str | None = None


class Entry(Struct, frozen=True):
    """A stored message, and its place in the log.

    `request` is the `ReceiveMessage` request that carries it, encoded once for every recipient.
    """

    seq: int
    sender_id: str
    message: ChatMessage
    request: bytes
    at: float


class EntryRun:
    """Entries one after the other, without a gap."""

    def __init__(self, first: int) -> None:
        """Begin empty; the first entry to come has the `seq` `first`."""
        self.first = first
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<EntryRun {self.first}..{self.first + len(self) - 1}>"

    def append(self, entry: Entry) -> None:
        """Add the next one."""
        self._entries.append(entry)

    def after(self, seq: int, limit: int) -> list[Entry]:
        """Give the oldest `limit` of those above `seq`, oldest first."""
        start = max(0, seq + 1 - self.first)
        return self._entries[start : start + limit]

    def before(self, seq: int, limit: int) -> list[Entry]:
        """Give the newest `limit` of those below `seq`, oldest first."""
        end = max(0, min(seq - self.first, len(self._entries)))
        return self._entries[max(0, end - limit) : end]

    def drop_to(self, first: int) -> list[Entry]:
        """Drop those below `first`, and give them."""
        count = max(0, first - self.first)
        dropped = self._entries[:count]
        del self._entries[:count]
        self.first = max(first, self.first)
        return dropped


def make_entry(draft: Draft, seq: int) -> Entry:
    """Give a draft its place in the log."""
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
    request = {"jsonrpc": "2.0", "method": RECEIVE_MESSAGE, "params": {"message": message}, "id": seq}
    return Entry(seq, draft.sender_id, message, msgspec.json.encode(request), draft.at)


def format_time(at: float) -> str:
    """Write Unix seconds as RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
