"""Webhooks: bodies to POST to callbacks, with the parts of the head that all their recipients share."""

from collections.abc import Sequence
from typing import Final

import msgspec

from protocol import jsonrpc
from protocol.messages import VerifyCallbackParams
from protocol.methods import VERIFY_CALLBACK
from protocol.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Signer, signed_content
from protocol.webhook_id import messages_id, typing_id, verification_id
from server.message_log.entry import Entry

HEADERS: Final = f"Content-Length: %d\r\n{ID_HEADER}: %b\r\n{TIMESTAMP_HEADER}: %d\r\n{SIGNATURE_HEADER}: ".encode()
KEPT: Final = 32  # batches of up to 512 KiB; recipients with the same cursor ask at about the same time


class Webhook:
    """A body with its `webhook-id`. `ids` are the ids of its JSON-RPC requests, which expect a response."""

    __slots__ = ("_content", "_lines", "_timestamp", "_webhook_id", "body", "ids")

    def __init__(self, webhook_id: str, body: bytes, ids: Sequence[int | str] = ()) -> None:
        self.body = body
        self.ids = ids
        self._webhook_id = webhook_id
        self._timestamp = -1
        self._content = self._lines = b""

    def __repr__(self) -> str:
        return f"<Webhook {self._webhook_id}>"

    def headers(self, signer: Signer, timestamp: int) -> bytes:
        """Return the last header lines for an attempt at `timestamp` (Unix seconds), with signature and blank line."""
        if timestamp != self._timestamp:
            self._prepare(timestamp)
        return b"%b%b\r\n\r\n" % (self._lines, signer.sign(self._content))

    def _prepare(self, timestamp: int) -> None:
        """Build the parts that are the same for all recipients in the same second."""
        self._timestamp = timestamp
        self._content = signed_content(self._webhook_id, timestamp, self.body)
        self._lines = HEADERS % (len(self.body), self._webhook_id.encode(), timestamp)


def make_typing(random: str, notification: bytes) -> Webhook:
    """Return the webhook of a `ReceiveTyping` notification; `random` makes its `webhook-id` unique."""
    return Webhook(typing_id(random), notification)


def make_challenge(challenge: str) -> Webhook:
    """Return the webhook of a `VerifyCallback` request; the challenge is also its id and `webhook-id`."""
    request = jsonrpc.request(VERIFY_CALLBACK, VerifyCallbackParams(challenge), challenge)
    return Webhook(verification_id(challenge), msgspec.json.encode(request), [challenge])


class Batches:
    """Joins entries into batches, once for all recipients with the same cursor."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._recent: dict[tuple[int, int], Webhook] = {}

    def of(self, entries: Sequence[Entry]) -> Webhook:
        """Return these entries as a webhook: a single request, or a batch (JSON-RPC 2.0, section 6)."""
        first, last = entries[0].seq, entries[-1].seq
        if last - first + 1 != len(entries):  # without the recipient's own messages: for this recipient alone
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
