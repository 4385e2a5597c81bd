"""The rival *raw*: a bare protocol that posts the same prepared bytes on a kept connection, again when it is answered.

    python -m bench.raw '{"port": 40000, "recipients": 100}'

What it reaches is what asyncio can do on this machine. It posts from its start to its end.
"""

import asyncio
from functools import partial
from typing import cast

import httptools
import msgspec

from bench.control import answer_commands, arguments, run
from bench.sample import sample_body, sample_headers


class Parameters(msgspec.Struct):
    """Whom to post to: paths `/0`, `/1`, … of a port on this machine."""

    port: int
    recipients: int


class Ring(asyncio.Protocol):
    """One connection with one POST in flight."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Post for the first time."""
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is one in all but name
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Parse it."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Post again."""
        self._transport.write(self._request)


def prepare(port: int, number: int) -> bytes:
    """Give the bytes of a POST."""
    body = sample_body()
    headers = {"Host": f"127.0.0.1:{port}", **sample_headers(body), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /{number} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def main() -> None:
    """Post until the harness ends this."""
    parameters = arguments(Parameters)
    for number in range(parameters.recipients):
        request = prepare(parameters.port, number)
        await asyncio.get_running_loop().create_connection(partial(Ring, request), "127.0.0.1", parameters.port)
    await answer_commands({})


if __name__ == "__main__":
    run(main())
