"""Colours, the bell, and terminals that have neither."""

import re

import pytest

from client.faces.terminal.palette import GREY, NAMES, style_of_name
from tests.client.faces.terminal.conftest import Opens
from tests.client.window import COLUMNS, Window

COLOR = re.compile(r"\x1b\[[0-9;]*[34]8;|\x1b\[(?:[0-9;]*;)?(?:3[0-7]|4[0-7]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


def color_of(name: str) -> str:
    return NAMES[int(style_of_name(name).removeprefix("class:name"))].removeprefix("#")


@pytest.fixture
def ben(opens: Opens) -> Window:
    window = opens("--name", "Ben")
    window.sees("You:")
    return window


def heard(opens: Opens, ben: Window, *arguments: str, **environment: str) -> Window:
    """Ann, of whom Ben has spoken."""
    ann = opens("--name", "Ann", *arguments, **environment)
    ann.sees("You:")
    ben.sees("HH:MM [SYSTEM] Ann joined the chat")
    ben.enters("hello @ann, how are you?")
    ann.has_no_more_to_say("HH:MM Ben: hello @ann, how are you?")
    return ann


def test_a_name_has_its_colour_ones_own_is_highlighted_and_notices_are_quiet(opens: Opens, ben: Window) -> None:
    ann = heard(opens, ben)
    assert ann.styles("Ben") == {(color_of("Ben"), False, False)}
    assert ann.styles(": hello") == {("default", False, False)}
    ((_, bold, reverse),) = ann.styles("@ann")
    assert (bold, reverse) == (True, True)
    assert ben.styles("[SYSTEM] Ann joined the chat") == {(GREY.removeprefix("#"), False, False)}


@pytest.mark.parametrize(
    ("arguments", "environment"), [(("--no-color",), {}), ((), {"NO_COLOR": "1"})], ids=["flag", "variable"]
)
def test_without_colours_there_are_none_and_ones_own_name_is_seen_all_the_same(
    opens: Opens, ben: Window, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    ann = heard(opens, ben, *arguments, **environment)
    assert COLOR.findall(ann.written) == []
    assert ann.styles("Ben") == {("default", False, False)}
    assert ann.styles("@ann") == {("default", True, True)}


def test_an_empty_no_color_counts_as_not_set(opens: Opens, ben: Window) -> None:
    assert heard(opens, ben, NO_COLOR="").styles("Ben") == {(color_of("Ben"), False, False)}


def test_the_bell_rings_at_ones_own_name_if_it_was_asked_for(opens: Opens, ben: Window) -> None:
    ann = heard(opens, ben, "--bell")
    assert ann.written.count("\a") == 1
    ben.enters("not for you")
    ann.has_no_more_to_say("HH:MM Ben: not for you")
    assert ann.written.count("\a") == 1


def test_the_bell_is_asked_for_by_a_variable_as_well(opens: Opens, ben: Window) -> None:
    assert "\a" in heard(opens, ben, CHAT_BELL="1").written


def test_without_asking_there_is_no_bell(opens: Opens, ben: Window) -> None:
    assert "\a" not in heard(opens, ben).written


def test_a_terminal_that_can_only_be_written_to_is_only_written_to(opens: Opens, ben: Window) -> None:
    ann = opens(TERM="dumb")
    ann.gets("Enter your name: ")
    ann.enters("Ann")
    ann.gets("You: ")
    ben.sees("HH:MM [SYSTEM] Ann joined the chat")
    ben.enters("hi")
    ann.gets("Ben: hi\r\nYou: ")
    ann.enters("/who")
    ann.gets("2 are here: Ann (you), Ben")
    ann.enters("hi Ben")
    ben.sees_last("HH:MM Ann: hi Ben", "You:")
    ann.enters("exit")
    assert ann.ends() == 0
    assert "\x1b" not in ann.written


def test_a_terminal_that_can_only_be_written_to_has_no_line_that_blanks_pushed_below(opens: Opens, ben: Window) -> None:
    ann = opens("--name", "Ann", TERM="dumb", COLUMNS="80")  # as of another terminal
    ann.gets("You: ")
    ben.sees("HH:MM [SYSTEM] Ann joined the chat")
    ben.enters("hi".ljust(COLUMNS - len("HH:MM Ben: ")) + "12:34 [SYSTEM] Ann left")
    ann.sees("    |  12:34 [SYSTEM] Ann left")


def test_a_terminal_that_can_only_be_written_to_is_left_by_ctrl_c(opens: Opens) -> None:
    window = opens("--name", "Dumb", TERM="dumb")
    window.gets("You: ")
    window.types("\x03")
    assert window.ends() == 0


def test_a_terminal_without_the_letters_gets_plain_lines(opens: Opens, ben: Window) -> None:
    ben.enters("Grüße")
    ben.sees_last("HH:MM You: Grüße", "You:")
    ann = opens("--name", "Ann", PYTHONIOENCODING="ascii")
    ann.sees("-- end of history --")
    ann.sees(r"HH:MM Ben: Gr\xfc\xdfe")
