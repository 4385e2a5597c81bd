from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.faces.terminal.lines import Line, chat_line, fitted, mentions, own_line, without_colors
from client.faces.terminal.palette import MENTION, QUIET, link_style, style_of_name
from client.faces.text import GUTTER, wrapped
from tests.client.fake_server import message


@dataclass
class Me:
    id: str = "alice-1"
    name: str = "Alice"


def text_of(line: Line) -> str:
    return "".join(text for _, text in line)


def highlighted(text: str, name: str = "Alice") -> list[str]:
    return [piece for style, piece in chat_line(message(1, text), "12:34", Me(name=name)) if style == MENTION]


def test_a_message_has_the_time_before_it_and_its_name_in_colour() -> None:
    line = chat_line(message(1, "hi"), "12:34", Me())
    assert [piece for piece in line if piece[1]] == [(QUIET, "12:34 "), (style_of_name("Bob"), "Bob"), ("", ": hi")]


def test_a_notice_is_quiet() -> None:
    notice = message(1, "Alice joined the chat", event="join")
    assert chat_line(notice, "12:34", Me()) == [(QUIET, "12:34 [SYSTEM] Alice joined the chat")]


def test_what_one_said_oneself_reads_as_it_was_typed() -> None:
    mine = message(1, "hi Alice", sender="Alice")
    assert text_of(chat_line(mine, "12:34", Me())) == text_of(own_line("hi Alice", "12:34", "Alice"))
    assert text_of(own_line("hi", "12:34", "Alice")) == "12:34 You: hi"
    assert text_of(own_line("/me waves", "12:34", "Alice")) == "12:34 * Alice waves"


def test_what_somebody_does_has_the_name_in_colour() -> None:
    line = chat_line(message(1, "/me hugs Alice"), "12:34", Me())
    assert text_of(line) == "12:34 * Bob hugs Alice"
    assert (style_of_name("Bob"), "Bob") in line
    assert (MENTION, "Alice") in line


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Alice: hi", ["Alice"]),
        ("thanks, ALICE!", ["ALICE"]),
        ("ask @alice, or alice herself", ["@alice", "alice"]),
        ("Alice's", ["Alice"]),
        ("Malice and Alices, alice_2", []),
        ("first\nalice", ["alice"]),
    ],
)
def test_ones_own_name_is_highlighted_as_a_word_of_its_own(text: str, found: list[str]) -> None:
    assert highlighted(text) == found
    assert mentions(message(1, text), Me()) is bool(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@Ann-Marie hi", []),
        ("@Ann Smith hi", []),
        ("Ann.B and MARY ANN", []),
        ("@Ann, hi", ["@Ann"]),
        ("Ann-Marie told Ann", ["Ann"]),
        ("@Ann Smithson", ["@Ann"]),
        ("Anna, Ann\u0303a", []),
    ],
)
def test_mention_of_a_longer_known_name_is_not_ones_own(text: str, found: list[str]) -> None:
    me, others = Me(name="Ann"), ["Ann-Marie", "Ann Smith", "Ann.B", "Mary Ann"]
    line = chat_line(message(1, text), "12:34", me, others)
    assert [piece for style, piece in line if style == MENTION] == found
    assert mentions(message(1, text), me, others) is bool(found)


def test_chat_line_with_links_has_their_targets() -> None:
    line = chat_line(message(1, "Alice: see http://a.example/ä."), "12:34", Me())
    link = "http://a.example/ä"
    assert line[3:] == [
        ("", ": "),
        (MENTION, "Alice"),
        ("", ": see "),
        (link_style("http://a.example/%C3%A4"), link),
        ("", "."),
    ]
    assert (link_style("http://a.example"), "http://a.example") in own_line("http://a.example", "12:34", "Alice")


def test_chat_line_with_an_escape_has_no_link() -> None:
    line = chat_line(message(1, "\u202ehttp://a.example/"), "12:34", Me())
    assert not [style for style, _ in line if "http" in style]


def test_a_name_is_no_pattern() -> None:
    assert highlighted("what about c++, c+x", "C++") == ["c++"]
    assert highlighted("a.b axb", "a.b") == ["a.b"]


def test_neither_notices_nor_oneself_mention_anybody() -> None:
    assert not mentions(message(1, "Alice joined the chat", event="join"), Me())
    assert not mentions(message(1, "Alice", sender="Alice"), Me())


def test_colours_are_left_out_and_what_is_more_than_colour_is_not() -> None:
    line = without_colors(chat_line(message(1, "hi Alice"), "12:34", Me()))
    assert line == [("", "12:34 Bob: hi "), (MENTION, "Alice")]


def test_the_gutter_is_quiet_where_a_line_breaks_and_where_it_did_before() -> None:
    line = fitted(chat_line(message(1, "one two three four\nfive"), "12:34", Me()), 26)
    assert text_of(line) == "12:34 Bob: one two three \n    | four\n    | five"
    assert line.count((QUIET, GUTTER)) == 2


@given(st.text(max_size=80), st.text(max_size=20), st.integers(0, 60))
def test_a_line_is_broken_as_its_text_is(text: str, name: str, columns: int) -> None:
    line = chat_line(message(1, text, sender=name), "12:34", Me())
    assert text_of(fitted(line, columns)) == wrapped(text_of(line), columns)
