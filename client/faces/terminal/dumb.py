"""A terminal without cursor control (TERM=dumb, as in Emacs' shell): the terminal itself edits and echoes the line."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable

from client.faces.pipe.lines_in import UnreadableLine, read_lines
from client.faces.terminal.console import PROMPT
from client.faces.terminal.lines import Line, fitted
from client.faces.terminal.typed import NOTHING_SENT


class DumbConsole:
    """Reads and writes plain lines, without colours. Chat lines may interrupt the line being typed."""

    echoes = True

    def __init__(self, fd: int = 0) -> None:
        self.status: Callable[[], str] = lambda: ""
        self._lines = read_lines(fd)
        self._is_prompting = False
        self._is_closed = False

    async def ask(self, question: str) -> str:
        """Write `question` and return the next line that is not blank. Raise `EOFError` at the end of the input."""
        _write(question)
        async for line in self._lines:
            if not isinstance(line, UnreadableLine):
                return line.strip()
            _write(f"{line.problem}\n{question}")
        raise EOFError

    async def read(self, on_entered: Callable[[str], bool]) -> None:
        """Call `on_entered` with each line that is not blank, until the end of the input or `close`."""
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
        """Return an empty string: only the terminal knows the line being typed."""
        return ""

    def close(self) -> None:
        """End `read`."""
        self._is_closed = True

    def show(self, lines: list[Line]) -> None:
        """Write the lines below the prompt, wrapped to the terminal's width, then the prompt again."""
        columns = _width()
        text = "".join(piece for line in lines for _, piece in (*fitted(line, columns), ("", "\n")))
        _write(f"\n{text}{PROMPT}" if self._is_prompting else text)

    def ring(self) -> None:
        """Sound the terminal's bell."""
        _write("\a")

    def refresh(self) -> None:
        """Do nothing: a dumb terminal has no place for a status."""


def _width() -> int:
    """Return the terminal's width in columns. COLUMNS is only the fallback: it may describe another terminal."""
    with contextlib.suppress(OSError, ValueError):
        if columns := os.get_terminal_size(sys.stdout.fileno()).columns:
            return columns
    return shutil.get_terminal_size().columns


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
