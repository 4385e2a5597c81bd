"""The rival *raw*: a bare protocol that posts the same prepared bytes on a kept connection, in a closed loop.

    python -m bench.raw '{"port": 40000, "recipients": 100}'

Its rate is the maximum of asyncio on this machine. It posts from its start to its end.
"""

import asyncio
from functools import partial
from typing import cast

import httptools
import msgspec

from bench.control import answer_commands, arguments, run
from bench.sample import sample_body, sample_headers


class Parameters(msgspec.Struct):
    """The recipients: paths `/0`, `/1`, … of a port on 127.0.0.1."""

    port: int
    recipients: int


class Ring(asyncio.Protocol):
    """A connection with a single POST in flight."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first POST."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has the same methods, but not the type
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Send the next POST."""
        self._transport.write(self._request)


def prepare(port: int, number: int) -> bytes:
    """Return the bytes of the POST to the recipient `number`."""
    body = sample_body()
    headers = {"Host": f"127.0.0.1:{port}", **sample_headers(body), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /{number} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def main() -> None:
    """Post until the harness ends the process."""
    parameters = arguments(Parameters)
    for number in range(parameters.recipients):
        request = prepare(parameters.port, number)
        await asyncio.get_running_loop().create_connection(partial(Ring, request), "127.0.0.1", parameters.port)
    await answer_commands({})


if __name__ == "__main__":
    run(main())
