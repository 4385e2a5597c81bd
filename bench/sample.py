"""The POST of a message with the same bytes as the server's, for the rivals. It is always the same."""

from collections.abc import Mapping
from typing import Final

import msgspec

from bench.senders import WORDS
from protocol.messages import ChatMessage, ReceiveMessageParams
from protocol.methods import CONTENT_TYPE, LOBBY, RECEIVE_MESSAGE, RECIPIENT_HEADER
from protocol.signing import signed_headers
from protocol.webhook_id import messages_id

SEQ: Final = 123_456
EPOCH: Final = "0123456789abcdef"


def sample_body(text: str = f"{'0' * 20} {WORDS}", seq: int = SEQ) -> bytes:
    """Return the body of a `ReceiveMessage` request."""
    message = ChatMessage(
        seq=seq,
        room=LOBBY,
        sender_id="sender-0-00000000",
        sender_name="Sender 0",
        text=text,
        is_system=False,
        event=None,
        sent_at="2026-01-31T12:00:00.000Z",
    )
    params = ReceiveMessageParams(message, EPOCH)
    return msgspec.json.encode({"jsonrpc": "2.0", "method": RECEIVE_MESSAGE, "params": params, "id": seq})


def sample_headers(body: bytes) -> Mapping[str, str]:
    """Return all headers except Host and Content-Length, with a signature of the right length."""
    return {
        "User-Agent": "ringback",
        "Content-Type": CONTENT_TYPE,
        "Accept-Encoding": "identity",
        RECIPIENT_HEADER: "recipient-0-00000000",
        **signed_headers(bytes(32), messages_id(EPOCH, SEQ, SEQ), 1_769_860_800, body),
    }
