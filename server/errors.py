"""What can keep the server from starting."""


class StartError(Exception):
    """The server cannot start; `str()` is the sentence that the operator reads."""
