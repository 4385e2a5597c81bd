"""A bare asyncio protocol that posts prepared bytes and parses the responses."""

import asyncio
from typing import cast

import httptools


class Poster(asyncio.Protocol):
    """A kept connection. `answered` is called for each response, in the order of the requests."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has the same methods, but not the type

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """Pass the response to `answered`."""
        body, self._body = self._body, b""
        self.answered(self._parser.get_status_code(), body)

    def answered(self, status: int, body: bytes) -> None:
        """Handle a response."""
        raise NotImplementedError


def head(port: int, path: str, body_size: int, token: str = "") -> bytes:
    """Return the head of a POST of JSON to a server on 127.0.0.1."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines += ["Content-Type: application/json", f"Content-Length: {body_size}", "", ""]
    return "\r\n".join(lines).encode()
