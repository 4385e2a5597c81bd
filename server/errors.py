"""What can keep the server, or an operator, from doing what was asked; `str()` is the sentence that is read."""


class StartError(Exception):
    """The server cannot start."""


class ControlError(Exception):
    """A running server cannot be asked, or has refused."""


class OutputError(Exception):
    """The result of a command could not be written."""
