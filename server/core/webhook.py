"""What is posted to callbacks, with what is the same for everybody who gets just that."""

from collections.abc import Sequence
from typing import Final

import msgspec

from protocol.messages import VerifyCallbackParams
from protocol.methods import VERIFY_CALLBACK
from protocol.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Signer, signed_content
from protocol.webhook_id import messages_id, typing_id, verification_id
from server.core.entry import Entry

HEADERS: Final = f"Content-Length: %d\r\n{ID_HEADER}: %b\r\n{TIMESTAMP_HEADER}: %d\r\n{SIGNATURE_HEADER}: ".encode()
KEPT: Final = 32  # one may have half a mebibyte, and who stands at the same place asks at about the same time


class Webhook:
    """A body with its `webhook-id`. `ids` are those of the JSON-RPC requests in it that are to be answered."""

    __slots__ = ("_content", "_lines", "_timestamp", "_webhook_id", "body", "ids")

    def __init__(self, webhook_id: str, body: bytes, ids: Sequence[int | str] = ()) -> None:
        """Nothing is signed yet."""
        self.body = body
        self.ids = ids
        self._webhook_id = webhook_id
        self._timestamp = -1
        self._content = self._lines = b""

    def __repr__(self) -> str:
        return f"<Webhook {self._webhook_id}>"

    def headers(self, signer: Signer, timestamp: int) -> bytes:
        """Give the end of the head for an attempt at `timestamp` (Unix seconds): its signature, and the empty line."""
        if timestamp != self._timestamp:
            self._prepare(timestamp)
        return b"%b%b\r\n\r\n" % (self._lines, signer.sign(self._content))

    def _prepare(self, timestamp: int) -> None:
        """Make what is the same for all who are posted to in the same second."""
        self._timestamp = timestamp
        self._content = signed_content(self._webhook_id, timestamp, self.body)
        self._lines = HEADERS % (len(self.body), self._webhook_id.encode(), timestamp)


def make_typing(random: str, notification: bytes) -> Webhook:
    """Tell that somebody is writing, by `ReceiveTyping`; `random` is another one for each."""
    return Webhook(typing_id(random), notification)


def make_challenge(challenge: str) -> Webhook:
    """Ask whether a callback is there, by `VerifyCallback`: the challenge is every id."""
    params = VerifyCallbackParams(challenge)
    request = {"jsonrpc": "2.0", "method": VERIFY_CALLBACK, "params": params, "id": challenge}
    return Webhook(verification_id(challenge), msgspec.json.encode(request), [challenge])


class Batches:
    """Joins messages that go together, once for all recipients that stand at the same place."""

    def __init__(self, epoch: str) -> None:
        """Begin with none; they are messages of this log."""
        self._epoch = epoch
        self._recent: dict[tuple[int, int], Webhook] = {}

    def of(self, entries: Sequence[Entry]) -> Webhook:
        """Give these entries as one webhook: one is a plain request, several are a batch (JSON-RPC 2.0, section 6)."""
        first, last = entries[0].seq, entries[-1].seq
        if last - first + 1 != len(entries):  # somebody's own are left out, so that it is for that one alone
            return self._join(entries)
        batch = self._recent.get((first, last))
        if batch is None:
            if len(self._recent) == KEPT:
                del self._recent[next(iter(self._recent))]
            batch = self._recent[first, last] = self._join(entries)
        return batch

    def _join(self, entries: Sequence[Entry]) -> Webhook:
        requests = [entry.request for entry in entries]
        body = requests[0] if len(requests) == 1 else b"[%b]" % b",".join(requests)
        webhook_id = messages_id(self._epoch, entries[0].seq, entries[-1].seq)
        return Webhook(webhook_id, body, [entry.seq for entry in entries])
