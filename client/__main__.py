"""`python -m client`: the command line."""

from runtime.early_stop import end_at_sigterm

if __name__ == "__main__":
    end_at_sigterm()  # before the imports below, which take most of the start

import dataclasses
import sys

from client.app import run
from client.faces.pipe.lines_out import lost
from client.settings import Face, Settings, command
from runtime.http_server import parser_problem
from runtime.job_control import ignore_stop_without_shell
from runtime.standard_streams import prepare


def choose_face(settings: Settings, stdin_is_terminal: bool) -> Settings:
    """Replace `auto` by a face: terminal if stdin is a terminal, else headless with the web page."""
    if settings.face is not Face.AUTO:
        return settings
    return dataclasses.replace(settings, face=Face.TERMINAL if stdin_is_terminal else Face.HEADLESS)


def start(settings: Settings) -> int:
    """Run the client and return the exit code: 1 if aiohttp's parser is unsafe."""
    if problem := parser_problem():
        sys.stderr.write(f"[CLIENT] [ERROR] {problem}\n")
        return 1
    return run(settings)


def main() -> None:
    """Read the settings and run."""
    prepare(lost)
    ignore_stop_without_shell()
    stdin_is_terminal = sys.stdin is not None and sys.stdin.isatty()
    command(lambda settings: start(choose_face(settings, stdin_is_terminal)))(prog_name="python -m client")


if __name__ == "__main__":
    main()
