"""The `webhook-id` of a POST to a callback: unique for each request, and the same for its retries.

messages          <epoch>-<first seq>-<last seq>
VerifyCallback    <challenge>
ReceiveTyping     typing-<random>
"""

import re
from typing import Final, NamedTuple

_MESSAGES: Final = re.compile(r"(.+)-([0-9]{1,16})-([0-9]{1,16})")  # 2^53 has 16 digits


class MessagesId(NamedTuple):
    """The messages in a POST: those of the log `epoch` from `first` to `last`, without the recipient's own."""

    epoch: str
    first: int
    last: int


def messages_id(epoch: str, first: int, last: int) -> str:
    """Return the id of a POST with messages."""
    return f"{epoch}-{first}-{last}"


def verification_id(challenge: str) -> str:
    """Return the id of a `VerifyCallback`: the challenge, which is random and has no hyphen."""
    return challenge


def typing_id(random: str) -> str:
    """Return the id of a `ReceiveTyping`."""
    return f"typing-{random}"


def parse_messages_id(webhook_id: str) -> MessagesId | None:
    """Return the parts of the id of a POST with messages; None for any other id."""
    found = _MESSAGES.fullmatch(webhook_id)
    return None if found is None else MessagesId(found[1], int(found[2]), int(found[3]))
