import pytest

from client.faces.terminal.typed import Help, History, Leave, Mistake, Nick, Say, Typed, Who, read_typed


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("hello", Say("hello")),
        ("  hello ", Say("hello")),
        ("", Say("")),
        ("exit", Leave()),
        (" exit ", Leave()),
        ("exit now", Say("exit now")),
        ("/help", Help()),
        ("/HELP", Help()),
        ("/who", Who()),
        ("/me waves", Say("/me waves")),
        ("/me   waves", Say("/me waves")),
        ("/history", History(50)),
        ("/history 7", History(7)),
        ("/history 300", History(300)),
        ("/nick Mary Jane", Nick("Mary Jane")),
        ("/quit", Leave()),
        ("/quit good night", Leave("good night")),
        ("//usr/bin is full", Say("/usr/bin is full")),
        ("//", Say("/")),
        ("//me is no action", Say(" /me is no action")),
        ("1/2", Say("1/2")),
        ("one\n  two", Say("one\n  two")),
        ("\n  if x:\n    y\n\n", Say("  if x:\n    y")),
    ],
)
def test_a_line_is_said_or_it_is_a_command(line: str, meant: Typed) -> None:
    assert read_typed(line) == meant


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/hlep", "There is no command /hlep. Did you mean /help?"),
        ("/usr/bin is full", "There is no command /usr/bin. /help lists them; to send a text that starts with /,"),
        ("/", "There is no command /."),
        ("/\x1b[2J", r"There is no command /\u{1b}[2J."),
        ("/history ten", "/history takes a number of lines from 1 to 300, such as /history 100."),
        ("/history 0", "from 1 to 300"),
        ("/history 301", "from 1 to 300"),
        ("/history -1", "from 1 to 300"),
        ("/history ٣", "from 1 to 300"),
        ("/history 99999999999999999999", "from 1 to 300"),
        ("/nick", "/nick needs a name, such as /nick Alicia."),
        ("/me", "/me needs a text, such as /me waves."),
        ("/who Bob", "/who takes no arguments."),
        ("/help me", "/help takes no arguments."),
    ],
)
def test_what_is_no_command_is_told_in_one_sentence_and_not_sent(line: str, words: str) -> None:
    mistake = read_typed(line)
    assert isinstance(mistake, Mistake)
    assert mistake.sentence.startswith(words) or words in mistake.sentence
    assert mistake.sentence.endswith("Nothing was sent.")
    assert not mistake.worth_keeping


@pytest.mark.parametrize("line", ["x" * 4097, "/me " + "x" * 4093, "/quit " + "x" * 4097, "//" + "x" * 4096])
def test_what_is_too_long_is_told_and_stays(line: str) -> None:
    mistake = read_typed(line)
    assert isinstance(mistake, Mistake)
    assert mistake.sentence == "Too long by 1: at most 4,096 characters. Nothing was sent."
    assert mistake.worth_keeping


def test_what_fits_is_said() -> None:
    assert read_typed("x" * 4096) == Say("x" * 4096)


def test_several_lines_that_are_no_command_stay() -> None:
    mistake = read_typed("/usr/bin\n/usr/lib")
    assert isinstance(mistake, Mistake)
    assert mistake.worth_keeping
    assert "/usr/bin." in mistake.sentence
