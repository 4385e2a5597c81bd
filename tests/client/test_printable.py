import unicodedata

import pytest

from client.printable import line_of, printable
from tests.client.fake_server import message


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2Jhi", "\\u{1b}[2Jhi"),
        ("\x9b31mred", "\\u{9b}31mred"),
        ("a\x00b\x7f", "a\\u{0}b\\u{7f}"),
        ("over\rwritten", "over\\u{d}written"),
        ("\u202egnp.exe", "\\u{202e}gnp.exe"),
        ("\u2066x\u2069", "\\u{2066}x\\u{2069}"),
        ("zero\u200bwidth", "zero\\u{200b}width"),
        ("next\u2028line\u0085x", "next\\u{2028}line\\u{85}x"),
        ("tag\U000e0041", "tag\\u{e0041}"),
        ("half\ud800", "half\\u{d800}"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_escaped(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


def test_letters_of_every_script_and_emoji_stay_as_they_are() -> None:
    text = "Grüße, 你好, שלום, e\u0301, 🎉"
    assert printable(text) == text


def test_no_control_or_format_character_at_all_gets_through() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert not {unicodedata.category(char) for char in printable(everything)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_a_message_is_its_senders_name_and_its_text() -> None:
    assert line_of(message(1, "hi")) == "Bob: hi"


def test_a_notice_is_marked_as_the_systems() -> None:
    assert line_of(message(1, "Bob joined the chat", event="join")) == "[SYSTEM] Bob joined the chat"


def test_a_line_break_in_a_message_cannot_pose_as_another_line() -> None:
    assert (
        line_of(message(1, "hi\n[SYSTEM] Eve left\r\nEve: bye")) == "Bob: hi\n    | [SYSTEM] Eve left\n    | Eve: bye"
    )


def test_a_line_break_in_a_name_is_escaped() -> None:
    assert line_of(message(1, "hi", sender="Bob: x\nEve")) == "Bob: x\\u{a}Eve: hi"


def test_a_tab_becomes_spaces() -> None:
    assert line_of(message(1, "if x:\n\treturn")) == "Bob: if x:\n    |     return"
