"""Standard input, output and error, which may be closed, full, or unread when a process starts."""

import errno
import os
import sys
from typing import Any, Final, TextIO

import click

from runtime.background_output import BackgroundOutput, Report

STDIN, STDOUT, STDERR = 0, 1, 2
CANNOT_WRITE: Final = "cannot write to standard output"


def prepare(report: Report) -> None:
    """Replace standard error with a stream that neither blocks nor raises, and occupy the numbers of closed streams.

    Otherwise the next file or socket that is opened gets a number of a standard stream, and log lines end up in it.
    """
    for fd in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # gets the lowest free number; writing to it fails as on a closed stream
    sys.stderr = BackgroundOutput(STDERR, report, encoding_of(sys.stderr))


def encoding_of(stream: TextIO | None) -> str:
    """Return the encoding of a standard stream, which is None if it was closed when Python started."""
    return "utf-8" if stream is None else stream.encoding


def tell(sentence: str) -> None:
    """Write a line to standard output without Python's buffer, which is flushed again at exit. Raise `OSError`."""
    rest = f"{sentence}\n".encode(encoding_of(sys.stdout), "backslashreplace")
    while rest:
        rest = rest[os.write(STDOUT, rest) :]


class Command(click.Command):
    """A command that reports an error if its `--help` cannot be written; click handles only a closed pipe."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Parse the command line; show the help if it contains `--help`."""
        try:
            return super().make_context(*arguments, **extra)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            sys.stdout = None  # its buffer cannot be flushed at exit either
            raise click.ClickException(f"{CANNOT_WRITE}: {error.strerror}") from None


class Group(Command, click.Group):
    """A `Command` with subcommands."""
