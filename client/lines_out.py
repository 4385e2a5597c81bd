"""Lines to a pipe or a file: whole ones, each once, and without ever waiting for a reader."""

import os
import select
from typing import TextIO

from client.seat import NotNow


class LinesOut:
    """Writes past the buffers of Python, which repeat or drop what could not be written."""

    def __init__(self, stdout: TextIO | None) -> None:
        """Lines go where those of `stdout` would; None is one that was closed before: nobody wants them."""
        self._fd = os.open(os.devnull, os.O_WRONLY) if stdout is None else stdout.fileno()
        self._encoding = ("utf-8", "strict") if stdout is None else (stdout.encoding, stdout.errors or "strict")
        self._line = b""  # the one that was begun
        self._rest = b""  # what is still to be written of it

    def write(self, text: str) -> None:
        """Write a line to its end. Raises `OSError`, and `NotNow` when nobody reads fast enough: then try again.

        A line that was begun by then goes on where it stopped.
        """
        line = f"{text}\n".encode(*self._encoding)
        if not self._rest:
            self._line = self._rest = line
        elif line != self._line:
            self._line, self._rest = line, self._rest + line
        while self._rest:
            if not select.select([], [self._fd], [], 0)[1]:
                raise NotNow
            # So much a pipe has room for that is ready; more might wait, and all of the client with it.
            written = os.write(self._fd, self._rest[: select.PIPE_BUF])
            self._rest = self._rest[written:]
