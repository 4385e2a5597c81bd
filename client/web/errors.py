"""What the page is answered when a call of its own does not fit; the server's refusals pass through as they are."""

from collections.abc import Mapping
from typing import Any, Final

from client.errors import CallRefused, ClientError, ServerUnreachable
from protocol.errors import ErrorCode

SERVER_UNREACHABLE: Final = -32000  # the page's own code: the container answers, the chat server does not


class PageError(ClientError):
    """A call that this container answers with an error by itself."""

    def __init__(self, code: ErrorCode, words: str, data: Mapping[str, Any] | None = None) -> None:
        """Take the code of the error, and what a person reads."""
        super().__init__(words)
        self.code = code
        self.data = data


class TooMany(ClientError):
    """No more sessions, or tabs of one session, than this process is made for."""


def code_and_data(error: ClientError) -> tuple[int, Mapping[str, Any] | None]:
    """Give what stands beside the words in the JSON-RPC error object."""
    if isinstance(error, PageError | CallRefused):
        return int(error.code), error.data
    if isinstance(error, ServerUnreachable):
        return SERVER_UNREACHABLE, None
    return int(ErrorCode.INTERNAL_ERROR), None
