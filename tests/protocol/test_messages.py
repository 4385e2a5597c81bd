"""Shapes, positional orders and what each parameter may be by itself."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import fields

from protocol import messages
from protocol.messages import ChatMessage

MESSAGE = ChatMessage(
    seq=7,
    room="lobby",
    sender_id="alice-1",
    sender_name="Alice",
    text="hi",
    is_system=False,
    event=None,
    sent_at="2026-01-31T12:00:00.000Z",
)

PARAMETERS = [
    (messages.RegisterParams, "id? name callback? max_batch? secret? join_key? accepts? after? keep_name?"),
    (messages.UnregisterParams, "id keep_name?"),
    (messages.SendMessageParams, "user_id text client_msg_id?"),
    (messages.GetHistoryParams, "before? after? limit?"),
    (messages.ListMembersParams, "after_id? limit?"),
    (messages.RenameParams, "name"),
    (messages.NoParams, ""),
]
RESULTS = [
    (
        messages.RegisterResult,
        "success message id name token secret callback epoch seq cursor lost resumed members member_count passed_over?",
    ),
    (messages.UnregisterResult, "success message"),
    (messages.SendMessageResult, "success message seq sent_at repeated?"),
    (messages.GetHistoryResult, "messages oldest epoch seq earlier?"),
    (messages.ListMembersResult, "members member_count seq"),
    (messages.RenameResult, "success message name"),
    (messages.SetTypingResult, "success"),
    (messages.PingResult, "epoch seq cursor callback passed_over?"),
    (messages.MemberName, "id name"),
    (messages.Member, "id name state behind"),
    (messages.ReceiveMessageParams, "message epoch?"),
    (messages.ReceiveMessageResult, "success"),
    (messages.VerifyCallbackParams, "challenge"),
    (messages.ReceiveTypingParams, "sender_id sender_name room"),
]

IDS = ["a", "A-Z_0.9", "x" * 64]
NOT_IDS: list[Any] = ["", " ", "x" * 65, "a b", "a\n", "\na", "é", "a/b", "a@b", 1, True, [], {}]
NOT_ACCEPTS: list[Any] = ["ReceiveTyping", [1], ["x"] * 65, ["x" * 65], {}]
NOT_FLAGS: list[Any] = [0, 1, "true", []]
BLANKS = ["", " ", "\t\n", "\u00a0\u3000"]
ALLOWED: list[tuple[type[Struct], str, Any]] = [
    *[(messages.RegisterParams, "id", value) for value in IDS],
    *[(messages.SendMessageParams, "client_msg_id", value) for value in IDS],
    (messages.RenameParams, "name", " Alice "),
    (messages.SendMessageParams, "text", "\n.\n"),
    (messages.SendMessageParams, "text", "x" * 5000),
    *[(messages.RegisterParams, "max_batch", value) for value in (1, 256)],
    *[(messages.GetHistoryParams, "limit", value) for value in (1, 300)],
    *[(messages.ListMembersParams, "limit", value) for value in (1, 1000)],
    *[(messages.GetHistoryParams, "before", value) for value in (0, 2**53)],
    *[(messages.RegisterParams, "after", value) for value in (0, 2**53)],
    (messages.RegisterParams, "accepts", []),
    (messages.RegisterParams, "accepts", ["ReceiveTyping", "SomethingElse"]),
    (messages.RegisterParams, "callback", ":8080/rpc"),
    (messages.RegisterParams, "callback", "h" * 2048),
]
REFUSED: list[tuple[type[Struct], str, Any]] = [
    *[(messages.RegisterParams, "id", value) for value in NOT_IDS],
    (messages.UnregisterParams, "id", "a b"),
    *[(messages.RegisterParams, "keep_name", value) for value in NOT_FLAGS],
    (messages.UnregisterParams, "keep_name", "yes"),
    (messages.SendMessageParams, "user_id", "a b"),
    (messages.SendMessageParams, "client_msg_id", "a b"),
    (messages.ListMembersParams, "after_id", "a b"),
    *[(messages.RegisterParams, "name", value) for value in [*BLANKS, 1, None]],
    *[(messages.RenameParams, "name", value) for value in BLANKS],
    *[(messages.SendMessageParams, "text", value) for value in [*BLANKS, 1, None]],
    *[(messages.RegisterParams, "callback", value) for value in [*BLANKS, 8080, "h" * 2049]],
    *[(messages.RegisterParams, "max_batch", value) for value in (0, 257, -1, 1.5, 1.0, "1", True, 2**70)],
    *[(messages.RegisterParams, "after", value) for value in (-1, 2**53 + 1, 1.0, "1", True)],
    *[(messages.RegisterParams, "accepts", value) for value in NOT_ACCEPTS],
    *[(messages.GetHistoryParams, "limit", value) for value in (0, 301)],
    *[(messages.ListMembersParams, "limit", value) for value in (0, 1001)],
]


def signature_of(shape: type[Struct]) -> str:
    return " ".join(field.name if field.required else f"{field.name}?" for field in fields(shape))


def types_of(shape: type[Struct]) -> dict[str, Any]:
    return {field.name: field.type for field in fields(shape)}


@pytest.mark.parametrize(("shape", "signature"), PARAMETERS)
def test_parameters_have_the_order_of_the_contract(shape: type[Struct], signature: str) -> None:
    assert signature_of(shape) == signature


@pytest.mark.parametrize(("shape", "signature"), RESULTS)
def test_results_have_the_fields_of_the_contract(shape: type[Struct], signature: str) -> None:
    assert signature_of(shape) == signature


@pytest.mark.parametrize(("shape", "name", "value"), ALLOWED)
def test_a_value_that_fits_is_allowed(shape: type[Struct], name: str, value: Any) -> None:
    assert msgspec.convert(value, types_of(shape)[name]) == value


@pytest.mark.parametrize(("shape", "name", "value"), REFUSED)
def test_a_value_that_does_not_fit_is_refused(shape: type[Struct], name: str, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, types_of(shape)[name])


@pytest.mark.parametrize("shape", [shape for shape, _ in PARAMETERS])
def test_a_server_refuses_parameters_it_does_not_know(shape: type[Struct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"id": "a", "user_id": "a", "name": "A", "text": "hi", "room": "lobby"}, shape)


@pytest.mark.parametrize("shape", [ChatMessage, *[shape for shape, _ in RESULTS]])
def test_a_client_ignores_fields_it_does_not_know(shape: type[Struct]) -> None:
    assert not shape.__struct_config__.forbid_unknown_fields


def test_a_message_without_client_msg_id_does_not_have_the_field() -> None:
    assert msgspec.json.decode(msgspec.json.encode(MESSAGE)) == {
        "seq": 7,
        "room": "lobby",
        "sender_id": "alice-1",
        "sender_name": "Alice",
        "text": "hi",
        "is_system": False,
        "event": None,
        "sent_at": "2026-01-31T12:00:00.000Z",
    }


def test_a_message_of_a_later_server_is_read() -> None:
    later = msgspec.to_builtins(MESSAGE) | {"event": "topic", "is_system": True, "reactions": ["+1"]}
    read = msgspec.json.decode(msgspec.json.encode(later), type=ChatMessage)
    assert (read.event, read.text) == ("topic", "hi")
