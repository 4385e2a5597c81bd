"""The client in a pseudo-terminal, and what a person would see on its screen."""

import re
import signal
import sys
import time
from collections.abc import Callable

import pexpect
import pyte

from tests.client.processes import ENVIRONMENT, ROOT

COLUMNS, ROWS = 70, 20
PATIENCE_SECONDS = 60.0


class Window:
    """One terminal window with the client in it."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "client", *arguments],
            cwd=str(ROOT),
            env=ENVIRONMENT | environment,
            dimensions=(ROWS, COLUMNS),
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
        )
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self.screen)
        self.child.logfile_read = self  # all that is read is shown on the screen
        self.written = ""

    def write(self, text: str) -> None:
        self.written += text
        self._stream.feed(text)

    def flush(self) -> None:
        """Be a file, as pexpect wants it."""

    def gets(self, text: str) -> None:
        """Wait until the program has written `text` in one go, as a program that waits for a prompt would."""
        self._waits(lambda: text in self.written, text)

    def sees(self, line: str) -> None:
        """Wait until one line of the screen is `line`."""
        self._waits(lambda: line in self.lines(), line)

    def reads(self, text: str) -> None:
        """Wait until `text` is on the screen, in one line or broken behind its blanks."""
        self._waits(lambda: text in self.text(), text)

    def text(self) -> str:
        """Give the screen as one line."""
        return " ".join(line.removeprefix("    | ") for line in self.lines())

    def sees_last(self, *lines: str) -> None:
        """Wait until the screen ends with `lines`."""
        self._waits(lambda: self.lines()[-len(lines) :] == list(lines), *lines)

    def _waits(self, is_so: Callable[[], bool], *wanted: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            is_late = self.child.expect([r"(?s).+", pexpect.TIMEOUT]) or time.monotonic() > deadline
            assert not is_late, "\n".join(["waited in vain for", *wanted, "on", *self.lines()])

    def lines(self) -> list[str]:
        """Give what is not blank; the time before a line, which no test can know, reads `HH:MM`."""
        return [re.sub(r"^\d\d:\d\d ", "HH:MM ", line.rstrip()) for line in self.screen.display if line.strip()]

    def styles(self, text: str) -> set[tuple[str, bool, bool]]:
        """Give colour, bold and reverse of the letters of `text` where it stands last on the screen."""
        row = max(row for row, line in enumerate(self.screen.display) if text in line)
        column = self.screen.display[row].index(text)
        letters = [self.screen.buffer[row][column + place] for place in range(len(text))]
        return {(letter.fg, letter.bold, letter.reverse) for letter in letters}

    def has_no_more_to_say(self, text: str) -> None:
        """Wait until the prompt is drawn, with the cursor shown again, below what ends with `text`."""
        self._waits(lambda: self.written.endswith("\x1b[?25h") and self.lines()[-2:-1] == [text], text)

    def types(self, text: str) -> None:
        self.child.send(text)

    def enters(self, text: str) -> None:
        self.child.send(text + "\r")

    def close(self) -> None:
        """Close the window: the program is told by SIGHUP, and ended if it does not end by itself."""
        if self.child.isalive():
            self.child.kill(signal.SIGHUP)
            try:
                self.child.expect(pexpect.EOF)
            except pexpect.TIMEOUT:
                self.child.kill(signal.SIGKILL)
        self.child.wait()
        self.child.close()

    def ends(self) -> int | None:
        """Wait for the end of the program and give its exit code."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        code: int | None = self.child.exitstatus
        return code
