"""Tab completion: commands at the start of a line, names everywhere. Each further Tab inserts the next candidate."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prompt_toolkit.document import Document

from protocol.methods import MAX_NAME_CHARS


@dataclass(frozen=True)
class Candidates:
    """The texts that can replace the text from `begin` to the cursor."""

    begin: int
    texts: list[str]


def candidates(text: str, names: Iterable[str], commands: Iterable[str]) -> Candidates:
    """Return the completions of `text`, the text before the cursor; `texts` is empty if nothing matches."""
    if text.startswith("/") and not any(map(str.isspace, text)):
        return Candidates(0, [f"{command} " for command in commands if command.startswith(text.casefold())])
    names = list(names)
    for begin in _word_begins(text):
        mark = "@" if text.startswith("@", begin) else ""
        begun = text[begin + len(mark) :].casefold()
        behind = ": " if begin == 0 else " "
        if found := [f"{mark}{name}{behind}" for name in names if name.casefold().startswith(begun)]:
            return Candidates(begin, found)
    return Candidates(len(text), [])


def _word_begins(text: str) -> Sequence[int]:
    """Return where a name that ends at the cursor can begin, leftmost position first: names may contain spaces."""
    first = max(0, len(text) - MAX_NAME_CHARS)
    return [place for place in range(first, len(text) + 1) if place == 0 or text[place - 1].isspace()]


class Completion:
    """Cycles through the candidates with each Tab."""

    def __init__(self, find: Callable[[str], Candidates]) -> None:
        """`find` returns the candidates for the text before the cursor."""
        self._find = find
        self._given: Document | None = None  # the result of the last Tab: if the line still equals it, Tab cycles
        self._rest = ""  # the text behind the cursor
        self._begun = ""  # the text before the candidate
        self._texts: list[str] = []
        self._place = 0

    def next(self, document: Document, step: int = 1) -> Document:
        """Return the line with the next candidate (`step` -1: the previous), or `document` if there is no candidate."""
        if document == self._given:
            self._place = (self._place + step) % len(self._texts)
        else:
            found = self._find(document.text_before_cursor)
            if not found.texts:
                return document
            self._begun = document.text[: found.begin]
            self._rest = document.text_after_cursor
            if self._rest.startswith(" "):  # each candidate ends with a space already
                self._rest = self._rest[1:]
            self._texts, self._place = found.texts, 0 if step > 0 else len(found.texts) - 1
        before = self._begun + self._texts[self._place]
        self._given = Document(before + self._rest, len(before))
        return self._given
