"""A terminal that can only be written to (TERM=dumb, as in Emacs' shell): it edits and shows the line by itself."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable

from client.lines_in import UnreadableLine, read_lines
from client.terminal.console import PROMPT
from client.terminal.lines import Line, fitted
from client.terminal.typed import NOTHING_SENT


class DumbConsole:
    """Lines out, lines in, no colours; what is being typed may be torn, which such a terminal cannot help."""

    echoes = True

    def __init__(self, fd: int = 0) -> None:
        self.status: Callable[[], str] = lambda: ""
        self._lines = read_lines(fd)
        self._is_prompting = False
        self._is_closed = False

    async def ask(self, question: str) -> str:
        """Write the question and give the next line that is not blank."""
        _write(question)
        async for line in self._lines:
            if not isinstance(line, UnreadableLine):
                return line.strip()
            _write(f"{line.problem}\n{question}")
        raise EOFError

    async def read(self, on_entered: Callable[[str], bool]) -> None:
        """Give `on_entered` each line that is not blank, until the end or `close`."""
        self._is_prompting = True
        _write(PROMPT)
        async for line in self._lines:
            self._is_prompting = False
            if isinstance(line, UnreadableLine):
                _write(f"{NOTHING_SENT} {line.problem}\n")
            else:
                on_entered(line)
            if self._is_closed:
                return
            _write(PROMPT)
            self._is_prompting = True

    def begun(self) -> str:
        """Only the terminal knows."""
        return ""

    def close(self) -> None:
        """End `read`."""
        self._is_closed = True

    def show(self, lines: list[Line]) -> None:
        """Write the lines below the prompt, broken to fit the terminal, and the prompt once more."""
        columns = _width()
        text = "".join(piece for line in lines for _, piece in (*fitted(line, columns), ("", "\n")))
        _write(f"\n{text}{PROMPT}" if self._is_prompting else text)

    def ring(self) -> None:
        """Ring the bell."""
        _write("\a")

    def refresh(self) -> None:
        """There is no place for a status."""


def _width() -> int:
    """Return the columns that the terminal has; the variable COLUMNS may be of another one, and counts only without."""
    with contextlib.suppress(OSError, ValueError):
        if columns := os.get_terminal_size(sys.stdout.fileno()).columns:
            return columns
    return shutil.get_terminal_size().columns


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
