"""Stopping by Ctrl-Z, where a shell could let the process go on."""

import os
import signal
from typing import Final

INIT_PID: Final = 1


def ignore_stop_without_shell() -> None:
    """Ignore SIGTSTP if the parent is the init process, as in a container with `init: true`.

    An init process never sends SIGCONT: a process that Ctrl-Z stops there hangs, and takes no further key.
    """
    if hasattr(signal, "SIGTSTP") and os.getppid() == INIT_PID:
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
