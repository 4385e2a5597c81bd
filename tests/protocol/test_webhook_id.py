"""What a `webhook-id` says, and that each kind is told from the others."""

import pytest

from protocol.webhook_id import MessagesId, messages_id, parse_messages_id, typing_id, verification_id

RANDOM = "9f86d081884c7d659a2feaa0c55ad015"


@pytest.mark.parametrize(("first", "last"), [(2, 2), (7, 9), (1_887_436_800_000_001, 2**53)])
def test_parse_messages_id_reads_what_messages_id_writes(first: int, last: int) -> None:
    written = messages_id("ab9e1f6f3be8d3a9", first, last)
    assert written == f"ab9e1f6f3be8d3a9-{first}-{last}"
    assert parse_messages_id(written) == MessagesId("ab9e1f6f3be8d3a9", first, last)


@pytest.mark.parametrize(
    "webhook_id", [verification_id(RANDOM), typing_id(RANDOM), typing_id("1234"), "", "-1-2", "e-1", "e-1-x", "e-1-2\n"]
)
def test_parse_messages_id_gives_none_for_any_other_id(webhook_id: str) -> None:
    assert parse_messages_id(webhook_id) is None
