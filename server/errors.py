"""Errors of the server's commands; `str()` is the text that the operator reads."""


class StartError(Exception):
    """The server cannot start."""


class ControlError(Exception):
    """A running server cannot be reached, or has refused the command."""


class OutputError(Exception):
    """The result of a command could not be written."""
