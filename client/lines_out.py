"""Lines to a pipe or a file: whole ones, each once, and without ever waiting for a reader."""

import os
import select
import stat
from typing import Final, TextIO

from client.seat import NotNow
from runtime.background_output import TOO_SLOW, lost_lines

MAX_TOLD_BYTES: Final = 64 * 1024


def lost(lines: int, why: str) -> str:
    """Return the line that reports lines which could not be written."""
    return f"[CLIENT] [WARN] {lost_lines(lines, why)}"


class LinesOut:
    """Writes past the buffers of Python, which repeat or drop what could not be written."""

    def __init__(self, stdout: TextIO | None) -> None:
        """Lines go where those of `stdout` would; None is one that was closed before: nobody wants them."""
        self._fd = os.open(os.devnull, os.O_WRONLY) if stdout is None else _without_waiting(stdout.fileno())
        self._encoding = ("utf-8", "strict") if stdout is None else (stdout.encoding, stdout.errors or "strict")
        self._owed = b""  # the line that was refused with `NotNow`, and is expected again
        self._rest = b""  # what is still to be written of it, and of others
        self._dropped = 0  # lines that were told

    def write(self, text: str) -> None:
        """Write a line to its end. Raises `OSError`, and `NotNow` when nobody reads fast enough: then try again.

        A line that was begun by then goes on where it stopped.
        """
        line = self._encoded(text)
        if line != self._owed:
            self._owed = line
            self._rest += line
        self.write_rest()
        self._owed = b""

    def tell(self, text: str) -> None:
        """Write a line that does not come again: after `NotNow` it is kept for `write_rest`. Raises as `write` does.

        While 64 KiB are kept, further ones are dropped, and counted in a line when there is room again.
        """
        line = self._encoded(text)
        if len(self._rest) + len(line) > MAX_TOLD_BYTES:
            self._dropped += 1
        else:
            self._rest += line
        self.write_rest()

    def write_rest(self) -> None:
        """Write what is kept. Raises `OSError` and `NotNow`."""
        self._empty()
        if self._dropped:
            self._rest, self._dropped = self._encoded(lost(self._dropped, TOO_SLOW)), 0
            self._empty()

    def _empty(self) -> None:
        while self._rest:
            if not select.select([], [self._fd], [], 0)[1]:
                raise NotNow
            try:
                # So much a pipe has room for that is ready; more might wait, and all of the client with it.
                written = os.write(self._fd, self._rest[: select.PIPE_BUF])
            except BlockingIOError:  # another process that writes there was faster
                raise NotNow from None
            self._rest = self._rest[written:]

    def _encoded(self, text: str) -> bytes:
        return f"{text}\n".encode(*self._encoding)


def _without_waiting(fd: int) -> int:
    """Return a descriptor of the same pipe or terminal with O_NONBLOCK, where the system gives one, else `fd`.

    The flag belongs to the open file and not to the descriptor: set on `fd`, it would also hold for the other processes
    that have it. A terminal is ready for less than PIPE_BUF, and two processes may write into the same pipe.
    """
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return fd
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # the pipe belongs to another user, nobody reads it any more, or this is not Linux
        return fd
