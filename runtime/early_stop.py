"""Handles SIGTERM during startup. `__main__` imports this module first, so its own imports are few."""

import os
import signal
import sys
from types import FrameType


def end_at_sigterm() -> None:
    """Install a SIGTERM handler that ends this process, if it is process 1.

    Process 1 of a container ignores each signal without a handler (pid_namespaces(7)): during startup, or a command
    like `backup`, `docker stop` would wait for ten seconds and then kill it.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)  # the exit status that a shell reports for a process ended by a signal
