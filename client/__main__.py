"""`python -m client`: the command line."""

import dataclasses
import sys

from client.app import run
from client.settings import Face, Settings, command


def choose_face(settings: Settings, stdin_is_terminal: bool) -> Settings:
    """Settle what `auto` means here: a terminal when stdin is one, else headless with the web page."""
    if settings.face is not Face.AUTO:
        return settings
    return dataclasses.replace(settings, face=Face.TERMINAL if stdin_is_terminal else Face.HEADLESS)


def main() -> None:
    """Read the settings and run."""
    stdin_is_terminal = sys.stdin is not None and sys.stdin.isatty()
    command(lambda settings: run(choose_face(settings, stdin_is_terminal)))(prog_name="python -m client")


if __name__ == "__main__":
    main()
