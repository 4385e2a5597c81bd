"""A text stream that neither blocks nor raises: a thread writes to the file descriptor."""

import atexit
import contextlib
import io
import os
import threading
import time
from collections.abc import Callable
from typing import Final

MAX_WAITING_BYTES: Final = 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024
DRAIN_SECONDS: Final = 1.0
GATHER_SECONDS: Final = 0.01  # between two writes: under load, fewer and larger writes cost less time
TOO_SLOW: Final = "the output is not read fast enough"

Report = Callable[[int, str], str]  # (number of lost lines, reason) -> the line that reports them


def lost_lines(lines: int, why: str) -> str:
    """Return the text that reports lost lines."""
    return f"{lines:,} log line{'' if lines == 1 else 's'} could not be written: {why}"


class BackgroundOutput(io.TextIOBase):
    """A stream to a file descriptor that may be an unread pipe, a stopped terminal, a full disk, or closed.

    `write` only appends to a queue. Lines that exceed `max_waiting` queued bytes, and lines that the system refuses to
    write, are dropped and counted; `report` returns the line with this count, written with the next possible batch.
    """

    def __init__(self, fd: int, report: Report, encoding: str = "utf-8", max_waiting: int = MAX_WAITING_BYTES) -> None:
        """Store the parameters. The first write starts the thread."""
        self._fd = fd
        self._report = report
        self._encoding = encoding
        self._max_waiting = max_waiting
        # Re-entrant: the garbage collector may run a finalizer that logs while the lock is held.
        self._changed = threading.Condition(threading.RLock())
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0  # includes the bytes being written
        self._dropped = 0  # lines, since the thread last emptied the queue
        self._is_idle = True
        self._thread: threading.Thread | None = None
        # Only the thread uses these.
        self._refused = 0  # lines that the system refused to write and that are not reported yet
        self._reason = ""
        self._is_at_line_start = True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a variable
        """The encoding; characters it lacks are written as escapes."""
        return self._encoding

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Return whether the file descriptor is a terminal."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Queue `text` for the thread; return its length."""
        data = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._waiting_bytes + len(data) > self._max_waiting:
                self._dropped += data.count(b"\n")
            else:
                self._waiting.append(data)
                self._waiting_bytes += len(data)
                if self._is_idle:
                    self._wake()
        return len(text)

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Wait up to `seconds` until the queue is written, refused or reported; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_idle, seconds)

    def _wake(self) -> None:
        if self._thread is not None:
            self._is_idle = False
            self._changed.notify_all()
            return
        # A daemon thread, so that the process can end while a write is blocked.
        thread = threading.Thread(target=self._run, name=f"output {self._fd}", daemon=True)
        with contextlib.suppress(RuntimeError):  # thread limit, or interpreter shutdown: the next line retries
            thread.start()
            self._thread, self._is_idle = thread, False
            atexit.register(self.drain)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._dropped):
                    self._is_idle = True
                    self._changed.notify_all()
                    self._changed.wait()
                batch, self._waiting = self._waiting, []
                dropped, self._dropped = self._dropped, 0
            data = b"".join(batch)
            self._write_batch(data, dropped)
            with self._changed:
                self._waiting_bytes -= len(data)
            time.sleep(GATHER_SECONDS)

    def _write_batch(self, data: bytes, dropped: int) -> None:
        """Write the report of refused lines, then `data`, then the report of `dropped` lines after it."""
        if self._refused and not self._is_reported(self._refused, self._reason):
            self._refused += data.count(b"\n") + dropped
            return
        self._refused = self._write_all(data).count(b"\n")
        if dropped and (self._refused or not self._is_reported(dropped, TOO_SLOW)):
            self._refused += dropped

    def _is_reported(self, lines: int, reason: str) -> bool:
        line = f"{self._report(lines, reason)}\n".encode(self._encoding, "backslashreplace")
        return not self._write_all(line if self._is_at_line_start else b"\n" + line)

    def _write_all(self, data: bytes) -> bytes:
        """Write `data`; return the rest that the system refused, and store the reason."""
        begin = 0
        while begin < len(data):
            try:
                begin += os.write(self._fd, data[begin : begin + CHUNK_BYTES])
            except BlockingIOError:  # another process with the same pipe or terminal has set O_NONBLOCK
                time.sleep(GATHER_SECONDS)
            except OSError as error:
                self._reason = (error.strerror or str(error)).lower()
                break
            else:
                self._is_at_line_start = data.endswith(b"\n", 0, begin)
        return data[begin:]
