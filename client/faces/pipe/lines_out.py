"""Lines to a pipe or a file: complete, each once, and without waiting for a reader."""

import os
import select
import stat
from typing import Final, TextIO

from client.session.inbox import NotNow
from runtime.background_output import TOO_SLOW, lost_lines

MAX_TOLD_BYTES: Final = 64 * 1024


def lost(lines: int, why: str) -> str:
    """Return the line that reports lines which could not be written."""
    return f"[CLIENT] [WARN] {lost_lines(lines, why)}"


class LinesOut:
    """Writes to the descriptor: Python's buffers repeat or drop the data of a failed write."""

    def __init__(self, stdout: TextIO | None) -> None:
        """Write to the descriptor of `stdout`. None, a closed standard output: discard all lines."""
        self._fd = os.open(os.devnull, os.O_WRONLY) if stdout is None else _without_waiting(stdout.fileno())
        self._encoding = ("utf-8", "strict") if stdout is None else (stdout.encoding, stdout.errors or "strict")
        self._owed = b""  # the line refused with `NotNow`; `write` gets it again
        self._rest = b""  # unwritten bytes, of this line and of lines from `tell`
        self._dropped = 0  # count of lines from `tell` that did not fit

    def write(self, text: str) -> None:
        """Write a complete line. Raise `OSError`, or `NotNow` if the reader is too slow: then call again with the line.

        A partly written line continues where it stopped.
        """
        line = self._encoded(text)
        if line != self._owed:
            self._owed = line
            self._rest += line
        self.write_rest()
        self._owed = b""

    def tell(self, text: str) -> None:
        """Write a line that the caller does not repeat: after `NotNow`, it waits for `write_rest`. Raise like `write`.

        Lines beyond 64 KiB of waiting data are dropped; a later line reports their count.
        """
        line = self._encoded(text)
        if len(self._rest) + len(line) > MAX_TOLD_BYTES:
            self._dropped += 1
        else:
            self._rest += line
        self.write_rest()

    def write_rest(self) -> None:
        """Write the waiting data. Raise `OSError` and `NotNow`."""
        self._empty()
        if self._dropped:
            self._rest, self._dropped = self._encoded(lost(self._dropped, TOO_SLOW)), 0
            self._empty()

    def _empty(self) -> None:
        while self._rest:
            if not select.select([], [self._fd], [], 0)[1]:
                raise NotNow
            try:
                # A ready pipe has room for PIPE_BUF bytes; a larger write might block the whole client.
                written = os.write(self._fd, self._rest[: select.PIPE_BUF])
            except BlockingIOError:  # another process has filled the pipe
                raise NotNow from None
            self._rest = self._rest[written:]

    def _encoded(self, text: str) -> bytes:
        return f"{text}\n".encode(*self._encoding)


def _without_waiting(fd: int) -> int:
    """Return a descriptor of the same pipe or terminal with O_NONBLOCK if the system allows it, else `fd`.

    The flag belongs to the open file, not to the descriptor: on `fd`, it would also affect other processes that share
    it. O_NONBLOCK is needed since a terminal may be ready for less than PIPE_BUF, and since another process may write
    to the same pipe.
    """
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return fd
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # the pipe belongs to another user, has no reader, or this is not Linux
        return fd
