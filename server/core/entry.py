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
    """A stored message. `request` is the `ReceiveMessage` request that carries it, encoded once for every recipient."""

    message: ChatMessage
    request: bytes
    at: float

    @property
    def seq(self) -> int:
        """The place in the log."""
        return self.message.seq


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
    return Entry(message, msgspec.json.encode(request), draft.at)


def format_time(at: float) -> str:
    """Write Unix seconds as RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
