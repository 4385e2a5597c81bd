import pytest
from prompt_toolkit.document import Document

from client.faces.terminal.completion import Completion, candidates

NAMES = ["Bob", "Mary Jane", "Bea", "Ørsted"]
COMMANDS = ["/help", "/history", "/who"]


def completed(text: str) -> list[str]:
    found = candidates(text, NAMES, COMMANDS)
    return [text[: found.begin] + candidate for candidate in found.texts]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("B", ["Bob: ", "Bea: "]),
        ("bo", ["Bob: "]),
        ("", ["Bob: ", "Mary Jane: ", "Bea: ", "Ørsted: "]),
        ("hi b", ["hi Bob ", "hi Bea "]),
        ("hi\nb", ["hi\nBob ", "hi\nBea "]),
        ("@b", ["@Bob: ", "@Bea: "]),
        ("hi @be", ["hi @Bea "]),
        ("Mary J", ["Mary Jane: "]),
        ("and mary j", ["and Mary Jane "]),
        ("ør", ["Ørsted: "]),
        ("xyz", []),
        ("/h", ["/help ", "/history "]),
        ("/HE", ["/help "]),
        ("/x", []),
        ("/me hugs b", ["/me hugs Bob ", "/me hugs Bea "]),
        ("//h", []),
    ],
)
def test_names_and_commands_are_completed(text: str, lines: list[str]) -> None:
    assert completed(text) == lines


def tabs(line: Document, *steps: int) -> list[str]:
    completion = Completion(lambda text: candidates(text, NAMES, COMMANDS))
    shown = []
    for step in steps:
        line = completion.next(line, step)
        shown.append(f"{line.text_before_cursor}|{line.text_after_cursor}")
    return shown


def test_tab_again_gives_the_next_one_and_then_the_first() -> None:
    assert tabs(Document("b"), 1, 1, 1) == ["Bob: |", "Bea: |", "Bob: |"]


def test_shift_tab_goes_back() -> None:
    assert tabs(Document("b"), 1, 1, -1, -1) == ["Bob: |", "Bea: |", "Bob: |", "Bea: |"]
    assert tabs(Document("b"), -1) == ["Bea: |"]


def test_what_stands_behind_the_cursor_stays() -> None:
    assert tabs(Document("tell b about it", 6), 1, 1) == ["tell Bob |about it", "tell Bea |about it"]
    assert tabs(Document("tell bit", 6), 1) == ["tell Bob |it"]


def test_with_nothing_to_complete_the_line_stays_as_it_is() -> None:
    assert tabs(Document("xyz"), 1, 1) == ["xyz|", "xyz|"]


def test_what_was_completed_and_then_changed_is_completed_anew() -> None:
    completion = Completion(lambda text: candidates(text, NAMES, COMMANDS))
    line = completion.next(Document("b"))
    line = completion.next(Document(line.text + "ma", len(line.text) + 2))
    assert line.text == "Bob: Mary Jane "
