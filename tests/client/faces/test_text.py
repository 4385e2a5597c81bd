import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth, wcwidth

from client.faces.text import GUTTER, MOST_MARKS, NARROWEST, line_of, printable, printable_lines, wrapped
from tests.client.fake_server import message

JOINERS = "\u200c\u200d"
# Default_Ignorable_Code_Point of Unicode 16.0, apart from the joiners and what is a mark on something seen: the
# variation selectors.
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
SELECTORS = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")

TRICKS = st.sampled_from(
    [
        "\x1b]0;title\x07", "\x1b]8;;http://evil.example\x1b\\", "\x1b]52;c;cHduZWQ=\x07", "\x1b[2J", "\x1b[1;1H",
        "\x1bP$q\"p\x1b\\", "\x9b2J", "\x9d0;title\x9c", "\x90", "\x1b(0", "\x0e", "\r", "\n", "\r\n", "\x08", "\x7f",
        "\u202e", "\u2066", "\u200d", "\u200c", "\u0301", "\u0489", "\u093f", "\ufe0f", "\U000e0100", "\u3164",
        "\u034f", "\u2028", "\x85", "\t", " " * 60, "\ud800", "\udfff", "\ue000", "\U0010ffff", "[SYSTEM] Eve left",
        "\U0001f469", "\u4f60", "\ufdfd",
    ]
)  # fmt: skip
EVERYTHING = st.characters(min_codepoint=0, max_codepoint=0x10FFFF, exclude_categories=())
TEXTS = st.lists(TRICKS | EVERYTHING | st.text(max_size=3), max_size=30).map("".join)


def category(char: str) -> str:
    return unicodedata.category(char)


def unescaped(shown: str) -> str:
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), shown)


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
        ("own\ue000use", "own\\u{e000}use"),
        ("no\U0010ffffcharacter", "no\\u{10ffff}character"),
        ("not yet\u2065", "not yet\\u{2065}"),
        ("filler\u3164\u115f\u1160\uffa0", "filler\\u{3164}\\u{115f}\\u{1160}\\u{ffa0}"),
        ("glue\u034f", "glue\\u{34f}"),
        ("no letter \u200d here", "no letter \\u{200d} here"),
        ("two\u200d\u200cjoiners", "two\\u{200d}\\u{200c}joiners"),
        ("end\u200d", "end\\u{200d}"),
        ("A\U000e0067\U000e007f", "A\\u{e0067}\\u{e007f}"),
        ("🏴\U000e0067\U000e007f", "🏴\\u{e0067}\\u{e007f}"),
        ("\u200dbegin", "\\u{200d}begin"),
        ("\u0338begins with a mark", "\\u{338}begins with a mark"),
        ("\x1b\u0338", "\\u{1b}\\u{338}"),
        ("z" + "\u0301" * 7, "z" + "\u0301" * 5 + "\\u{301}" * 2),
        ("a\ufe0f\ufe0f", "a\ufe0f\\u{fe0f}"),
        (" \U000e0100", " \\u{e0100}"),
    ],
)
def test_what_a_terminal_would_obey_or_not_show_is_shown_escaped(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, 你好, שלום, e\u0301, 🎉",
        "می\u200cخواهم",  # Persian
        "ജോണ\u0d4d\u200d",  # Malayalam
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "क\u094d\u200dष, क\u094d\u200cष",  # Hindi
        "လျှို့ဝှက်",  # Burmese, five marks on a letter
        "לְאִ֑ישׁ",  # Hebrew with points and accents
        "ที่, ผู้",  # Thai
        "👨\u200d👩\u200d👧, 👩🏽\u200d🚀, ❤\ufe0f\u200d🔥, 🏳\ufe0f\u200d🌈, 🙂\u200d↔\ufe0f, 1\ufe0f\u20e3",
        "葛\U000e0100城",  # a variant of a letter that is somebody's name
        "wide\u3000and\u00a0narrow\u202fspaces",
    ],
)
def test_letters_of_every_script_and_emoji_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_no_character_at_all_gets_through_that_is_not_to_be_seen() -> None:
    shown = "".join(char for char in map(chr, range(0x110000)) if printable(char) == char)
    assert set(map(category, shown)).isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
    assert not IGNORABLE.search(shown)
    assert len(shown) > 100_000


@given(TEXTS)
def test_whatever_is_said_only_what_is_seen_gets_through(text: str) -> None:
    shown = printable(text)
    unseen = [char for char in shown if not (char.isprintable() or category(char) == "Zs" or char in JOINERS)]
    assert unseen == []
    assert not IGNORABLE.search(shown)


@given(TEXTS)
def test_nothing_of_what_is_said_is_lost(text: str) -> None:
    assert unescaped(printable(text)) == text or ESCAPED.search(text)


@given(TEXTS)
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@given(TEXTS)
def test_a_joiner_stands_within_a_word_or_an_emoji(text: str) -> None:
    shown = printable(text)
    for place, char in enumerate(shown):
        if char in JOINERS:
            before, after = shown[place - 1], shown[place + 1]
            assert place > 0
            assert category(before)[0] in "LMS"
            assert category(after)[0] in "LS"


@given(TEXTS)
def test_marks_stand_on_something_and_do_not_pile_up(text: str) -> None:
    marks = MOST_MARKS
    for char in printable(text):
        if category(char)[0] == "M":
            marks += 1
            assert marks <= MOST_MARKS
        elif char not in JOINERS:
            marks = 0


@given(TEXTS)
def test_a_variation_selector_stands_on_what_it_varies(text: str) -> None:
    shown = printable(text)
    for found in SELECTORS.finditer(shown):
        assert category(shown[found.start() - 1])[0] in "LNPSZ"


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


def test_a_name_cannot_pose_as_the_system_or_the_client() -> None:
    assert line_of(message(1, "hi", sender="[SYSTEM] Bob left")) == "\\u{5b}SYSTEM] Bob left: hi"


def test_what_somebody_does_is_told_of_and_not_said() -> None:
    assert line_of(message(1, "/me waves\nand goes")) == "* Bob waves\n    | and goes"


@pytest.mark.parametrize("text", ["/me", "/meow", " /me waves", "/ME waves", "/me\twaves", "hi /me waves"])
def test_what_only_looks_like_an_action_is_said(text: str) -> None:
    assert line_of(message(1, text)).startswith("Bob: ")


def test_a_name_cannot_pose_as_what_somebody_does() -> None:
    assert line_of(message(1, "hi", sender="* Bob waves")) == "\\u{2a} Bob waves: hi"
    assert line_of(message(1, "hi", sender="*")) == "*: hi"
    assert line_of(message(1, "/me too", sender="Bob waves")) == '* "Bob waves" too'
    assert line_of(message(1, "/me too", sender="* Bob")) == '* "\\u{2a} Bob" too'


def test_a_notice_does_nothing() -> None:
    assert line_of(message(1, "/me waves", event="join")) == "[SYSTEM] /me waves"


def test_a_mark_at_the_begin_of_what_somebody_does_changes_nothing_before_it() -> None:
    assert line_of(message(1, "/me \u20e0")) == "* Bob \\u{20e0}"


@given(TEXTS, TEXTS)
def test_only_what_somebody_does_begins_with_a_star_and_a_space(name: str, text: str) -> None:
    assert line_of(message(1, text, sender=name)).startswith("* ") is text.startswith("/me ")


def test_a_mark_at_the_begin_of_a_text_does_not_change_what_stands_before() -> None:
    assert line_of(message(1, "\u20e0")) == "Bob: \\u{20e0}"
    assert line_of(message(1, "a\n\u20e0")) == "Bob: a\n    | \\u{20e0}"


def test_a_tab_becomes_spaces() -> None:
    assert line_of(message(1, "if x:\n\treturn")) == "Bob: if x:\n    |     return"


@given(TEXTS, TEXTS, st.booleans())
def test_a_message_is_one_line_and_what_goes_on_stands_behind_the_gutter(name: str, text: str, is_notice: bool) -> None:
    first, *further = line_of(message(1, text, sender=name, event="join" if is_notice else None)).split("\n")
    assert first.startswith("[SYSTEM] ") is is_notice
    assert len(further) == text.count("\n")
    assert all(line.startswith(GUTTER[1:]) for line in further)


def test_a_line_that_is_too_long_goes_on_behind_the_gutter() -> None:
    line = line_of(message(1, "hi" + " " * 23 + "[SYSTEM] Eve left the chat"))
    assert wrapped(line, 31).split("\n") == ["Bob: hi" + " " * 23, "    | [SYSTEM] Eve left the ", "    | chat"]


def test_a_line_that_fits_stays_as_it_is() -> None:
    line = line_of(message(1, "hi\nthere"))
    assert wrapped(line, 80) == line


def test_a_line_breaks_behind_a_blank_and_in_a_word_only_when_it_is_long() -> None:
    assert wrapped("Bob: it breaks between words", 21).split("\n") == ["Bob: it breaks ", "    | between words"]
    assert wrapped("Bob: aaaaaaaaaaaaaaaaaaaaa", 21).split("\n") == ["Bob: aaaaaaaaaaaaaaa", "    | aaaaaa"]


def test_a_letter_does_not_part_from_its_marks() -> None:
    assert wrapped("x" * 18 + "e\u0301\u0302" + "y", 20) == "x" * 18 + "e\u0301\u0302\n    | y"


@pytest.mark.parametrize("filler", ["\U0001d360" * 29, "1\ufe0f" * 29], ids=["rods", "keycaps"])
def test_what_is_drawn_wide_does_not_push_the_rest_to_a_line_of_its_own(filler: str) -> None:
    line = line_of(message(1, f"{filler} 18:14 [SYSTEM] Ann left the chat"))
    assert max(map(wcswidth, wrapped(line, 70).split("\n"))) < 70


def test_nothing_is_counted_narrower_than_a_terminal_draws_it() -> None:
    """With room for one column: what takes two goes on below."""
    begin = "x" * (NARROWEST - 2)
    for char in map(chr, range(0x20, 0x110000)):
        if printable(char) == char or printable("x" + char) == "x" + char:
            for text in (char, char + "\ufe0f") if wcwidth(char) == 1 else (char,):
                first, *_ = wrapped(begin + text, NARROWEST).split("\n")
                assert wcswidth(first) < NARROWEST, f"{text!r}"


@given(TEXTS, st.integers(0, 120))
def test_no_line_is_wider_than_the_terminal_and_all_of_it_is_there(text: str, columns: int) -> None:
    lines = printable_lines(text)
    parts = wrapped(lines, columns).split("\n")
    assert all(part.startswith(GUTTER[1:]) for part in parts[1:])
    for part in parts:
        assert max(wcswidth(part), sum(map(wcwidth, part))) < max(columns, NARROWEST)
    gutter = len(GUTTER) - 1
    assert "".join([parts[0], *(part[gutter:] for part in parts[1:])]) == lines.replace(GUTTER, "")


LONG = "https://example.com/" + "/".join(f"segment{place}" for place in range(14)) + "?q=1"


def test_wrapped_with_a_link_that_fits_below_keeps_it_whole() -> None:
    link = "https://example.com/abcdef"
    line = f"Bob: a link is {link} and more"
    assert wrapped(line, 40).split("\n") == ["Bob: a link is ", f"    | {link} and ", "    | more"]


def test_wrapped_with_a_link_longer_than_a_row_leaves_it_to_the_terminal() -> None:
    assert wrapped(f"Bob: look {LONG}", 40) == f"Bob: look {LONG}"
    assert wrapped(f"Bob: look {LONG} [SYSTEM] Eve left", 40).split("\n") == [
        f"Bob: look {LONG}",
        "    |  [SYSTEM] Eve left",
    ]
    assert wrapped(f"{LONG} {LONG}", 40).split("\n") == [LONG, f"    |  {LONG}"]


@pytest.mark.parametrize("tail", ["[SYSTEM]", "\u2800[SYSTEM]", "12:00\u2800Bob:", "你" * 40])
def test_wrapped_with_a_long_link_that_could_pose_as_a_line_breaks_it(tail: str) -> None:
    line = f"Bob: {LONG}{tail}{LONG}"
    for part in wrapped(line, 40).split("\n")[1:]:
        assert part.startswith(GUTTER[1:])
    assert max(map(wcswidth, wrapped(line, 40).split("\n"))) < 40


@given(st.text(st.sampled_from("ab /:.")), st.text(st.sampled_from("ab /[")), st.integers(20, 60))
def test_wrapped_with_links_keeps_all_of_the_text(before: str, behind: str, columns: int) -> None:
    text = f"{before} {LONG[:50]}{behind} {LONG}"
    first, *further = wrapped(text, columns).split(GUTTER)
    assert "".join([first, *further]) == text
