"""The words of each port: its methods and parameters as the contract has them, and values that fit."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from client.faces.web.calls import METHODS as PAGE_METHODS
from protocol import messages, methods
from protocol.methods import MAX_TEXT_CHARS
from protocol.signing import encode_secret
from tests.fuzz.bodies import Vocabulary

NAMES: Final = (
    "Alice",
    "Bob",
    "Eve",
    "Ann-Marie",
    "山田たろう",
    "김수현",
    "Ａlice",
    "\u0430lice",
    "system",
    "Alice ",
    "x" * 32,
    "é" * 33,
)
IDS: Final = ("alice", "bob", "guard", "nobody", "A-Z_0.9", "x" * 64, "x" * 65, "a b", "é")
TEXTS: Final = (
    "hi",
    "two\nlines",
    "\x1b[2J",
    "<b>",
    "\u202e",
    "😀",
    "x" * MAX_TEXT_CHARS,
    "x" * (MAX_TEXT_CHARS + 1),
    " ",
)
NUMBERS: Final = (b"0", b"1", b"2", b"50", b"100", b"300", b"301", b"1000", b"9007199254740992", *[b"null"] * 9)
URLS: Final = (
    ":1/rpc",
    ":1",
    ":0",
    ":99999/x",
    ":",
    "http://127.0.0.1:1/rpc",
    "http://127.1:1/",
    "http://0177.0.0.1:1/",
    "http://2130706433:1/",
    "http://[::1]:1/",
    "http://[::ffff:127.0.0.1]:1/",
    "http://[::1",
    "http://169.254.169.254/latest",
    "http://0.0.0.0:1/",
    "http://host.invalid/x",
    "https://127.0.0.1:1/",
    "http://u:p@127.0.0.1:1/",
    "http://127.0.0.1:1/#x",
    "http://１２７.0.0.1:1/",
    "http://127.0.0.1:1/\r\nX: y",
    "file:///etc/passwd",
    "ftp://127.0.0.1:1/",
    "//127.0.0.1:1/",
    "http://" + "a" * 3000,
    "",
)
SECRETS: Final = (
    encode_secret(bytes(32)),
    encode_secret(bytes(24)),
    encode_secret(bytes(8)),
    "whsec_",
    "whsec_é",
    "x",
    "whsec_====",
)
SENT_AT: Final = ("2030-01-02T03:04:05.678Z", "", "yesterday")


def _json(*values: object) -> tuple[bytes, ...]:
    return tuple(msgspec.json.encode(value) for value in values)


_ROWS: Final[Mapping[str, type[Struct]]] = {
    methods.REGISTER: messages.RegisterParams,
    methods.UNREGISTER: messages.UnregisterParams,
    methods.SEND_MESSAGE: messages.SendMessageParams,
    methods.GET_HISTORY: messages.GetHistoryParams,
    methods.LIST_MEMBERS: messages.ListMembersParams,
    methods.RENAME: messages.RenameParams,
    methods.SET_TYPING: messages.NoParams,
    methods.PING: messages.NoParams,
}
_VALUES: Final[Mapping[str, tuple[bytes, ...]]] = {
    "id": (*_json(*IDS), *[b"null"] * 9),
    "user_id": _json(*IDS),
    "after_id": (*_json(*IDS), b"null"),
    "client_msg_id": (*_json("m1", "m2", "m-3", "?"), b"null"),
    "name": (*_json(*NAMES), *_json(*(f"Guest {number}" for number in range(40)))),
    "text": _json(*TEXTS),
    "callback": (*[b"null"] * 50, *_json(*URLS)),
    "max_batch": (b"1", b"2", b"256", b"257", b"0", b"null"),
    "secret": (*[b"null"] * 9, *_json(*SECRETS)),
    "join_key": (*[b"null"] * 5, *_json("key", "x" * 1025)),
    "accepts": (*[b"null"] * 5, b"[]", b'["ReceiveTyping"]', b'["Nope","Nope"]', b"[1]"),
    "after": NUMBERS,
    "keep_name": (*[b"null"] * 5, b"true", b"false", b"1"),
    "before": NUMBERS,
    "limit": NUMBERS,
}
_NOPE: Final[Mapping[str, tuple[str, ...]]] = {"Nope": ()}


def _by_fields(rows: Mapping[str, type[Struct]]) -> dict[str, tuple[str, ...]]:
    return {name: shape.__struct_fields__ for name, shape in rows.items()}


def of_server(recipient_port: int) -> Vocabulary:
    """Give what is said to the server; one that gives this port of this machine as its callback is rung there."""
    callbacks = (*_VALUES["callback"], *_json(f":{recipient_port}/rpc") * 8)
    return Vocabulary({**_by_fields(_ROWS), **_NOPE}, {**_VALUES, "callback": callbacks})


def of_page() -> Vocabulary:
    """Give what a page says to its container."""
    rows = {name: shape for name, (shape, _) in PAGE_METHODS.items()}
    return Vocabulary({**_by_fields(rows), **_NOPE}, _VALUES)


def of_callback() -> Vocabulary:
    """Give what a server says to its recipients."""
    rows: Mapping[str, type[Struct]] = {
        methods.RECEIVE_MESSAGE: messages.ReceiveMessageParams,
        methods.VERIFY_CALLBACK: messages.VerifyCallbackParams,
        methods.RECEIVE_TYPING: messages.ReceiveTypingParams,
    }
    values = {
        "epoch": (b'"ab9e1f6f3be8d3a9"', b'""', b"null", b"7"),
        "message": tuple(_message(seq, text) for seq, text in enumerate(TEXTS)) + _NOT_QUITE_MESSAGES,
        "challenge": _json("c0ffee", "", "é"),
        "sender_id": _json(*IDS),
        "sender_name": _json(*NAMES, "\x1b[2J\u202e"),
        "room": _json("lobby", ""),
    }
    return Vocabulary({**_by_fields(rows), **_NOPE}, values)


def _message(seq: int, text: str, **other: object) -> bytes:
    fields = {
        "seq": seq,
        "room": "lobby",
        "sender_id": "bob-1",
        "sender_name": "Bob",
        "text": text,
        "is_system": False,
        "event": None,
        "sent_at": SENT_AT[0],
    }
    return msgspec.json.encode({**fields, **other})


_NOT_QUITE_MESSAGES: Final = (
    _message(2**53, "hi"),
    _message(2**64 - 1, "hi"),
    _message(-1, "hi"),
    _message(0, "hi").replace(b'"seq":0', b'"seq":' + b"9" * 40),
    _message(1, "hi", is_system=True, event="join"),
    _message(2, "hi", is_system=True, event="later", colour="red"),
    _message(3, "hi", sender_name="\x1b]52;c;x\x07\n"),
    _message(4, "hi", sent_at="yesterday", client_msg_id=""),
    _message(5, "hi", event=1),
    _message(6, "hi", client_msg_id=None),
    b"{}",
    b"null",
)
