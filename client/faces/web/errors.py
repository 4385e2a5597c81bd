"""The errors that this client itself returns to the page; errors from the server are passed on unchanged."""

from collections.abc import Mapping
from typing import Any, Final

from client.errors import CallRefused, ClientError, ServerUnreachable
from protocol.errors import ErrorCode

SERVER_UNREACHABLE: Final = -32000  # a code between page and client only: this client could not reach the chat server


class PageError(ClientError):
    """An error that this client itself returns to the page."""

    def __init__(self, code: ErrorCode, words: str, data: Mapping[str, Any] | None = None) -> None:
        """`words` is the `message` of the JSON-RPC error, written for a person."""
        super().__init__(words)
        self.code = code
        self.data = data


class TooMany(ClientError):
    """The limit of sessions, or of tabs in a session, is reached."""


def code_and_data(error: ClientError) -> tuple[int, Mapping[str, Any] | None]:
    """Return `code` and `data` of the JSON-RPC error object for `error`."""
    if isinstance(error, PageError | CallRefused):
        return int(error.code), error.data
    if isinstance(error, ServerUnreachable):
        return SERVER_UNREACHABLE, None
    return int(ErrorCode.INTERNAL_ERROR), None
