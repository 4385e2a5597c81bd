"""SIGTERM before a program listens to it: `__main__` imports this module, which imports next to nothing, first."""

import os
import signal
import sys
from types import FrameType


def end_at_sigterm() -> None:
    """Have SIGTERM end this process if it is process 1, as it does any other.

    Process 1 of a container ignores each signal that it has no handler for (pid_namespaces(7)): `docker stop` during a
    start, or during a command such as `backup`, would wait for ten seconds and kill it.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)  # as a shell gives for a process that a signal has ended
