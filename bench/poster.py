"""A connection that posts prepared bytes and reads the answers, with nothing in between."""

import asyncio
from typing import cast

import httptools


class Poster(asyncio.Protocol):
    """One kept connection. Answers come in the order of what was written; `answered` is called for each."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # that of uvloop is one in all but name

    def data_received(self, data: bytes) -> None:
        """Parse it."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Note a piece of the body."""
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """Hand on the answer."""
        body, self._body = self._body, b""
        self.answered(self._parser.get_status_code(), body)

    def answered(self, status: int, body: bytes) -> None:
        """Take one answer."""
        raise NotImplementedError


def head(port: int, path: str, body_size: int, token: str = "") -> bytes:
    """Make the head of a POST of JSON to a server on this machine."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines += ["Content-Type: application/json", f"Content-Length: {body_size}", "", ""]
    return "\r\n".join(lines).encode()
