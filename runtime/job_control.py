"""Handles Ctrl-Z (SIGTSTP) where no shell can resume the process."""

import os
import signal
from typing import Final

INIT_PID: Final = 1


def ignore_stop_without_shell() -> None:
    """Ignore SIGTSTP if the parent is the init process, as in a container with `init: true`.

    An init process never sends SIGCONT: a process stopped by Ctrl-Z would hang and ignore all keys.
    """
    if hasattr(signal, "SIGTSTP") and os.getppid() == INIT_PID:
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
