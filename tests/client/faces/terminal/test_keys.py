"""The line at the prompt, key by key."""

import pytest

from tests.client.faces.terminal.conftest import Opens
from tests.client.processes import ServerProcess
from tests.client.window import Window

UP, DOWN, LEFT, RIGHT, HOME, END = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C", "\x1b[H", "\x1b[F"
CTRL_A, CTRL_E, CTRL_K, CTRL_U, CTRL_W, CTRL_Y, CTRL_C = "\x01", "\x05", "\x0b", "\x15", "\x17", "\x19", "\x03"
TAB, SHIFT_TAB = "\t", "\x1b[Z"


def pasted(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


def test_up_and_down_go_through_what_was_entered_and_what_was_begun_is_not_lost(ann: Window) -> None:
    ann.enters("first")
    ann.enters("second")
    ann.sees_last("HH:MM You: second", "You:")
    ann.types("third")
    ann.sees_last("You: third")
    for key, line in ((UP, "second"), (UP, "first"), (DOWN, "second"), (DOWN, "third")):
        ann.types(key)
        ann.sees_last(f"You: {line}")
    ann.types(UP + UP + "\r")
    ann.sees_last("HH:MM You: second", "HH:MM You: first", "You:")


def test_the_answer_to_the_question_for_the_name_is_not_among_it(opens: Opens) -> None:
    window = opens()
    window.gets("Enter your name: ")
    window.enters("Asked")
    window.sees("You:")
    window.types(UP + "x")
    window.sees_last("You: x")


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (CTRL_A + "0 ", "0 one two"),
        (HOME + "0 " + END + "!", "0 one two!"),
        (LEFT + LEFT + LEFT + CTRL_K, "one"),
        (CTRL_W, "one"),
        (CTRL_W + CTRL_Y + "!", "one two!"),
        (CTRL_U + "x", "x"),
        ("\x1bb-", "one -two"),
        (CTRL_A + RIGHT + "\x7f" + CTRL_E + ".", "ne two."),
    ],
    ids=["Ctrl-A", "Home", "Ctrl-K", "Ctrl-W", "Ctrl-Y", "Ctrl-U", "Alt-B", "Backspace"],
)
def test_the_keys_of_readline_work(ann: Window, keys: str, line: str) -> None:
    ann.types("one two" + keys)
    ann.sees_last(f"You: {line}")


def test_tab_completes_names_the_last_speaker_first_with_a_colon_at_the_begin_only(ann: Window, opens: Opens) -> None:
    ben, bea = opens("--name", "Ben"), opens("--name", "Bea")
    for window in (ben, bea):
        window.sees("You:")
    ann.sees("HH:MM [SYSTEM] Bea joined the chat")
    ann.sees("HH:MM [SYSTEM] Ben joined the chat")
    ben.enters("I speak")
    ann.sees_last("HH:MM Ben: I speak", "You:")
    for keys, line in (
        ("b" + TAB, "You: Ben:"),
        (TAB, "You: Bea:"),
        (TAB, "You: Ben:"),
        (SHIFT_TAB, "You: Bea:"),
        ("thanks @be" + TAB, "You: Bea: thanks @Ben"),
        ("x", "You: Bea: thanks @Ben x"),
        (CTRL_U + TAB, "You: Ben:"),
    ):
        ann.types(keys)
        ann.sees_last(line)


@pytest.mark.parametrize("keys", ["\x1b\r", "\x0f", "\n"], ids=["Alt-Enter", "Ctrl-O", "Ctrl-J"])
def test_the_other_keys_that_enter_a_line_do_just_that(ann: Window, keys: str) -> None:
    for text in ("one", "two"):
        ann.types(text)
        ann.sees_last(f"You: {text}")
        ann.types(keys)
        ann.sees_last(f"HH:MM You: {text}", "You:")


def test_tab_completes_commands(ann: Window) -> None:
    ann.types("/hi" + TAB + "5")
    ann.sees_last("You: /history 5")
    ann.types(CTRL_U + "/h" + TAB + TAB)
    ann.sees_last("You: /history")


def test_who_has_left_or_is_called_otherwise_is_not_completed_any_more(ann: Window, ben: Window) -> None:
    ben.enters("/nick Benjamin")
    ann.sees("HH:MM [SYSTEM] Ben is now Benjamin")
    ann.types("be" + TAB)
    ann.sees_last("You: Benjamin:")
    ben.enters("exit")
    ann.sees("HH:MM [SYSTEM] Benjamin left the chat")
    ann.types(CTRL_U + "be" + TAB + "x")
    ann.sees_last("You: bex")


def test_several_pasted_lines_are_one_message_after_asking(ann: Window, ben: Window) -> None:
    ann.types("see: " + pasted("one\r\n  two\rthree\r"))
    ann.sees_last("Send 3 lines as one message? [y/N]")
    ben.enters("meanwhile")
    ann.sees_last("HH:MM Ben: meanwhile", "Send 3 lines as one message? [y/N]")
    ann.types("y")
    ann.sees_last("HH:MM You: see: one", "    |   two", "    | three", "You:")
    ben.sees_last("HH:MM Ann: see: one", "    |   two", "    | three", "You:")


@pytest.mark.parametrize("key", ["n", "\r", CTRL_C, UP, "\x1b", " ", "\x04"])
def test_at_any_other_key_nothing_is_sent_and_the_lines_can_be_edited(
    ann: Window, server: ServerProcess, key: str
) -> None:
    ann.types(pasted("here\nthere"))
    ann.sees_last("Send 2 lines as one message? [y/N]")
    ann.types(key)
    ann.sees_last("You: here", "   | there")
    ann.types("!\r")
    ann.sees_last("Send 2 lines as one message? [y/N]")
    ann.types("Y")
    ann.sees_last("HH:MM You: here", "    | there!", "You:")
    assert server.wait_for("[BROADCAST] Ann: here").count("there!") == 1


def test_one_pasted_line_just_goes_into_the_line(ann: Window) -> None:
    ann.types("a " + pasted("pasted line\n"))
    ann.sees_last("You: a pasted line")
    ann.types(" and more\r")
    ann.sees_last("HH:MM You: a pasted line and more", "You:")


def test_one_pasted_line_behind_a_line_break_is_not_asked_about(ann: Window) -> None:
    ann.types(pasted("\nhello") + "!\r")
    ann.sees_last("HH:MM You: hello!", "You:")
    assert "Send 1" not in ann.written


def test_what_is_too_long_is_told_and_stays(ann: Window) -> None:
    ann.types(pasted("x" * 4097) + "\r")
    ann.reads("Too long by 1: at most 4,096 characters. Nothing was sent.")
    ann.types("\x7f\x7f\r")
    ann.sees_last("You:")


def test_a_line_however_long_leaves_half_of_the_screen_to_what_is_said(ann: Window, ben: Window) -> None:
    ann.types(pasted("\n".join(f"row {number}" for number in range(60))) + "n")
    rows = [f"   | row {number}" for number in range(50, 60)]
    ann.sees_last("HH:MM [SYSTEM] Ben joined the chat", *rows)
    ben.enters("interrupting")
    ann.sees_last("HH:MM Ben: interrupting", *rows)


def test_ctrl_c_clears_the_line_and_a_second_one_leaves(ann: Window) -> None:
    ann.types("never mind")
    ann.sees_last("You: never mind")
    ann.types(CTRL_C)
    ann.sees_last("You:")
    ann.types(CTRL_C)
    assert ann.ends() == 0


def test_ctrl_c_in_a_search_through_what_was_entered_ends_the_search(ann: Window) -> None:
    ann.enters("findable")
    ann.sees_last("HH:MM You: findable", "You:")
    ann.types("\x12find")
    ann.reads("find")
    ann.types(CTRL_C)
    ann.types("still here")
    ann.sees_last("You: still here")


def test_what_is_being_typed_is_not_torn_by_a_flood(ann: Window, ben: Window) -> None:
    ann.types("half a thought")
    ann.sees_last("You: half a thought")
    for number in range(30):
        ben.enters(f"flood {number}")
    ann.sees_last("HH:MM Ben: flood 28", "HH:MM Ben: flood 29", "You: half a thought")
    assert [line for line in ann.lines() if "half" in line] == ["You: half a thought"]
