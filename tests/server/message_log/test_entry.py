"""From a draft to the bytes that every recipient gets."""

import msgspec
import pytest

from protocol.messages import ChatMessage
from server.message_log.entry import Draft, EntryRun, format_time, make_entry

AT = 1_769_860_800.25
SAID = Draft(sender_id="alice-1", sender_name="Alice", text="hi \u0000 žluť 🐎", at=AT, client_msg_id="m-1")
NOTICE = Draft(sender_id="alice-1", sender_name="Alice", text="Alice joined the chat", at=AT, event="join")


def test_a_request_carries_the_message_and_its_seq_as_id() -> None:
    assert msgspec.json.decode(make_entry(SAID, 42, "e1").request) == {
        "jsonrpc": "2.0",
        "method": "ReceiveMessage",
        "params": {
            "message": {
                "seq": 42,
                "room": "lobby",
                "sender_id": "alice-1",
                "sender_name": "Alice",
                "text": "hi \u0000 žluť 🐎",
                "is_system": False,
                "event": None,
                "sent_at": "2026-01-31T12:00:00.250Z",
                "client_msg_id": "m-1",
            },
            "epoch": "e1",
        },
        "id": 42,
    }


def test_an_entry_knows_its_place_and_time() -> None:
    entry = make_entry(SAID, 42, "e1")
    assert (entry.seq, entry.at) == (42, AT)


def test_a_notice_is_of_the_system_and_tells_its_event() -> None:
    message = make_entry(NOTICE, 1, "e1").message
    assert (message.is_system, message.event) == (True, "join")
    assert b"client_msg_id" not in make_entry(NOTICE, 1, "e1").request


def test_the_message_reads_the_same_from_the_request() -> None:
    entry = make_entry(SAID, 42, "e1")
    message = msgspec.json.decode(entry.request)["params"]["message"]
    assert msgspec.convert(message, ChatMessage) == entry.message


def test_entry_run_with_a_gap_gives_entries_by_their_numbers() -> None:
    run = EntryRun(4)
    for seq in (5, 6, 100, 101):
        run.append(make_entry(SAID, seq, "e1"))
    assert [entry.seq for entry in run.after(5, 2)] == [6, 100]
    assert [entry.seq for entry in run.after(50, 9)] == [100, 101]
    assert [entry.seq for entry in run.before(101, 2)] == [6, 100]
    assert [entry.seq for entry in run.before(50, 9)] == [5, 6]
    assert [entry.seq for entry in run.drop_to(50)] == [5, 6]
    assert (run.first, len(run), [entry.seq for entry in run.before(999, 9)]) == (50, 2, [100, 101])


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (AT, "2026-01-31T12:00:00.250Z"),
        (1_769_860_799.9996, "2026-01-31T11:59:59.999Z"),
        (1_769_860_800.0, "2026-01-31T12:00:00.000Z"),
        (1_709_164_800.001, "2024-02-29T00:00:00.001Z"),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds(at: float, text: str) -> None:
    assert format_time(at) == text
