"""What is posted: bodies that are made once for all who get just that, and lines of the head that are for one alone."""

from collections.abc import Sequence

import msgspec
import pytest

from protocol.signing import SignatureError, Signer, verify
from server.delivery.webhook import KEPT, Batches, Webhook, make_challenge
from server.message_log.entry import Draft, Entry, make_entry

NOW = 1_800_000_000
KEYS = [bytes(range(24)), bytes(range(32)), b"\xff" * 64]


def entries(*seqs: int) -> list[Entry]:
    return [make_entry(Draft(sender_id="a", sender_name="A", text=f"ü{seq}", at=NOW), seq, "e") for seq in seqs]


def headers_of(webhook: Webhook, key: bytes, timestamp: int) -> dict[str, str]:
    """Read the lines as a recipient does; they end with the empty line."""
    *lines, last, end = webhook.headers(Signer(key), timestamp).decode().split("\r\n")
    assert (last, end) == ("", "")
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


@pytest.fixture
def batches() -> Batches:
    return Batches("epoch")


# Bodies.


def test_one_message_is_the_request_that_was_encoded_for_it(batches: Batches) -> None:
    [entry] = entries(7)
    webhook = batches.of([entry])
    assert webhook.body is entry.request
    assert webhook.ids == [7]


@pytest.mark.parametrize("seqs", [(7, 8), (7, 8, 9, 10), (7, 9), (1, 5, 6)])
def test_several_messages_are_a_batch_in_their_order(batches: Batches, seqs: Sequence[int]) -> None:
    webhook = batches.of(entries(*seqs))
    calls = msgspec.json.decode(webhook.body)
    assert [call["id"] for call in calls] == list(webhook.ids) == list(seqs)
    assert [call["params"]["message"]["text"] for call in calls] == [f"ü{seq}" for seq in seqs]


@pytest.mark.parametrize(("seqs", "webhook_id"), [((7,), "epoch-7-7"), ((7, 8, 9), "epoch-7-9"), ((7, 9), "epoch-7-9")])
def test_a_webhook_is_named_after_its_log_and_its_first_and_last_message(
    batches: Batches, seqs: Sequence[int], webhook_id: str
) -> None:
    assert headers_of(batches.of(entries(*seqs)), KEYS[0], NOW)["webhook-id"] == webhook_id


def test_who_stands_at_the_same_place_gets_the_same_bytes(batches: Batches) -> None:
    first = batches.of(entries(7, 8, 9))
    assert batches.of(entries(7, 8, 9)) is first


@pytest.mark.parametrize("seqs", [(7, 8), (7, 8, 9, 10), (8, 9), (6, 7, 8, 9), (7,)])
def test_who_stands_at_another_place_gets_other_bytes(batches: Batches, seqs: Sequence[int]) -> None:
    batches.of(entries(7, 8, 9))
    assert batches.of(entries(*seqs)).ids == list(seqs)


def test_a_batch_without_ones_own_messages_is_for_that_one_alone(batches: Batches) -> None:
    before, own, after = (batches.of(entries(*seqs)) for seqs in [(7, 9), (7, 8, 9), (7, 9)])
    assert before is not after
    assert before.ids == after.ids == [7, 9]
    assert own.ids == [7, 8, 9]
    assert batches.of(entries(7, 8, 9)) is own


def test_no_more_are_kept_than_may_be_wanted_at_the_same_time(batches: Batches) -> None:
    made = [batches.of(entries(seq, seq + 1)) for seq in range(KEPT + 1)]
    assert [batches.of(entries(seq, seq + 1)) is made[seq] for seq in range(1, KEPT + 1)] == [True] * KEPT
    assert batches.of(entries(0, 1)) is not made[0]


def test_a_challenge_is_every_id() -> None:
    webhook = make_challenge("0123abcd")
    assert msgspec.json.decode(webhook.body) == {
        "jsonrpc": "2.0",
        "method": "VerifyCallback",
        "params": {"challenge": "0123abcd"},
        "id": "0123abcd",
    }
    assert webhook.ids == ["0123abcd"]
    assert headers_of(webhook, KEYS[0], NOW)["webhook-id"] == "0123abcd"


# Lines of the head.


def test_the_lines_tell_the_length_in_bytes_and_the_time(batches: Batches) -> None:
    webhook = batches.of(entries(7, 8))
    headers = headers_of(webhook, KEYS[0], NOW)
    assert list(headers) == ["content-length", "webhook-id", "webhook-timestamp", "webhook-signature"]
    assert headers["content-length"] == str(len(webhook.body))
    assert headers["webhook-timestamp"] == str(NOW)


@pytest.mark.parametrize("body", [b"", b"{}", "ü".encode() * 1000, bytes(range(256)) * 2048])
def test_each_key_signs_the_same_body_for_its_own_holder(body: bytes) -> None:
    webhook = Webhook("id-1", body)
    for key in KEYS * 2:
        assert verify(key, headers_of(webhook, key, NOW), body, NOW) == "id-1"


def test_a_signature_is_not_that_of_another_key(batches: Batches) -> None:
    webhook = batches.of(entries(7))
    headers = headers_of(webhook, KEYS[0], NOW)
    with pytest.raises(SignatureError):
        verify(KEYS[1], headers, webhook.body, NOW)


@pytest.mark.parametrize("timestamps", [[NOW, NOW + 1], [NOW, NOW + 1, NOW], [NOW, NOW, NOW - 7, NOW + 290]])
def test_each_attempt_is_signed_with_its_own_time(batches: Batches, timestamps: list[int]) -> None:
    webhook = batches.of(entries(7, 8))
    for timestamp in timestamps:
        for key in KEYS:
            headers = headers_of(webhook, key, timestamp)
            assert headers["webhook-timestamp"] == str(timestamp)
            assert verify(key, headers, webhook.body, NOW) == "epoch-7-8"


def test_a_webhook_that_is_shared_is_signed_for_each_at_different_times(batches: Batches) -> None:
    """One retries in the next second what the other has got in this one."""
    first, second = (batches.of(entries(7, 8)) for _ in range(2))
    early, late = headers_of(first, KEYS[0], NOW), headers_of(second, KEYS[1], NOW + 1)
    assert verify(KEYS[0], early, first.body, NOW) == verify(KEYS[1], late, second.body, NOW) == "epoch-7-8"
