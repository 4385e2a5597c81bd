"""The result of an exchange with a callback: its HTTP response, or the stage at which it failed."""

from msgspec import Struct


class HttpResponse(Struct, frozen=True):
    """An HTTP response. `truncated`: the body is larger than 64 KiB, and `body` is not all of it.

    `retry_after` and `date` are the headers of those names.
    """

    status: int
    body: bytes
    retry_after: str | None = None
    truncated: bool = False
    date: str | None = None


class Failed(Struct, frozen=True):
    """The request failed at `stage`: dns, address, connect, tls, timeout, http or rpc.

    `retry_after` is the wait in seconds that a 429 or 503 asked for.
    """

    stage: str
    detail: str
    retry_after: float | None = None
