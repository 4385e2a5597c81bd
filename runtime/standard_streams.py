"""Standard input, output and error as a process finds them: perhaps closed, full, or read by nobody."""

import errno
import os
import sys
from typing import Any, Final, TextIO

import click

from runtime.background_output import BackgroundOutput, Report

STDIN, STDOUT, STDERR = 0, 1, 2
CANNOT_WRITE: Final = "cannot write to standard output"


def prepare(report: Report) -> None:
    """Make standard error a stream that neither blocks nor raises, and keep the numbers of closed streams taken.

    Otherwise the next file or socket that is opened gets such a number, and log lines end up in it.
    """
    for fd in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # gets the lowest free number; writing to it fails as if it was closed
    sys.stderr = BackgroundOutput(STDERR, report, encoding_of(sys.stderr))


def encoding_of(stream: TextIO | None) -> str:
    """Return the encoding of a standard stream, which is None if it was closed when Python started."""
    return "utf-8" if stream is None else stream.encoding


def tell(sentence: str) -> None:
    """Write a line to standard output, past Python's buffer, which would be flushed again at exit. Raises `OSError`."""
    rest = f"{sentence}\n".encode(encoding_of(sys.stdout), "backslashreplace")
    while rest:
        rest = rest[os.write(STDOUT, rest) :]


class Command(click.Command):
    """A command whose `--help` ends in a sentence if it cannot be written; click handles only the closed pipe."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Parse the command line, and show the help if it asks for it."""
        try:
            return super().make_context(*arguments, **extra)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            sys.stdout = None  # what is in its buffer cannot be flushed at exit either
            raise click.ClickException(f"{CANNOT_WRITE}: {error.strerror}") from None


class Group(Command, click.Group):
    """The same for a command with subcommands."""
