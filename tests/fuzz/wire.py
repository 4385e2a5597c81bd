"""A connection by hand: bytes are sent as they are, and what comes is read as HTTP by a reader of its own."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from tests.fakes import PATIENCE_SECONDS
from tests.fuzz.judge import Wrong

HEAD_END: Final = b"\r\n\r\n"
BODILESS: Final = frozenset({100, 101, 204, 304})


@dataclass(frozen=True)
class Response:
    """One HTTP response; the names in `headers` are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it is the last one; aiohttp's answer to what is no HTTP is one of HTTP/1.0, which need not say so."""
        return self.headers.get(b"connection", b"").lower() == b"close" or self.status == 400


class Wire(asyncio.Protocol):
    """One connection to a port of this machine."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.is_over = False
        self._transport: asyncio.Transport
        self._news: asyncio.Future[None] | None = None

    @classmethod
    async def to(cls, port: int) -> "Wire":
        """Connect. Raises `Wrong`."""
        try:
            _, wire = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        except OSError as error:
            raise Wrong(f"no connection could be made: {error}") from error
        return wire

    def send(self, data: bytes) -> None:
        """Send; nothing happens on a connection that is over."""
        if not self.is_over:
            self._transport.write(data)

    def say_no_more(self) -> None:
        """Close one's own half."""
        if not self.is_over and not self._transport.is_closing():
            self._transport.write_eof()

    def hang_up(self) -> None:
        """Close at once, and read no more."""
        self._transport.abort()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when the condition holds; it is looked at when something has come. Raises `Wrong` after 10 s."""
        if condition():
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition():
                    self._news = asyncio.get_running_loop().create_future()
                    await self._news
        except TimeoutError:
            raise Wrong(f"{what} did not come within {PATIENCE_SECONDS:g} s") from None

    async def response(self) -> Response | None:
        """Read the next response, or None at the end of the connection. Raises `Wrong`."""
        found: list[Response] = []

        def is_here() -> bool:
            if (response := take_response(self.received)) is not None:
                found.append(response)
            return bool(found) or self.is_over

        await self.until(is_here, "an answer")
        return found[0] if found else None

    async def end(self) -> None:
        """Return when the other side has closed the connection. Raises `Wrong`."""
        await self.until(lambda: self.is_over, "the end of the connection")

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not made of asyncio's

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._wake()

    def eof_received(self) -> None:
        self.is_over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def take_response(received: bytearray, *, may_lack_body: bool = False) -> Response | None:
    """Take a response off the front, if it is there as a whole. Raises `Wrong` for what is none.

    `may_lack_body`: the request may have been a HEAD.
    """
    end = received.find(HEAD_END)
    if end < 0:
        return None
    first, *lines = bytes(received[:end]).split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if not version.startswith(b"HTTP/") or not rest[:3].isdigit():  # it is the one that was asked with
        raise Wrong(f"not the first line of an HTTP response: {first!r}")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    status, begin = int(rest[:3]), end + len(HEAD_END)
    length = 0 if status in BODILESS else int(headers.get(b"content-length", b"0"))
    if may_lack_body and bytes(received[begin : begin + 5]) in (b"", b"HTTP/"):
        length = 0
    if len(received) < begin + length:
        return None
    body = bytes(received[begin : begin + length])
    del received[: begin + length]
    return Response(status, headers, body)
