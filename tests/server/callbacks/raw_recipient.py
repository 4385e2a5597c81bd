"""A recipient on a real socket that sees bytes, and does with each request what a test says."""

import asyncio
import os
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Self, cast

from tests.fakes import PATIENCE_SECONDS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Call:
    """One request: the number of its connection, and its bytes. `body` is empty until it has been read."""

    def __init__(
        self, connection: int, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connection = connection
        self.head = head
        self.body = b""
        self.transport = cast("asyncio.Transport", writer.transport)
        self._reader = reader

    async def read(self) -> None:
        """Read the body."""
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", self.head)
        assert length is not None
        self.body = await self._reader.readexactly(int(length[1]))

    def say(self, piece: bytes) -> None:
        self.transport.write(piece)

    async def rest(self) -> bytes:
        """Wait until the other side has hung up; gives what it has said until then."""
        return await self._reader.read()

    def hang_up(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        """Close with RST, as a crashed process or a firewall does."""
        self.set_option(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def set_option(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option of the socket, by a descriptor of the test's own: the transport of uvloop lets set few."""
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as connection:
            connection.setsockopt(level, option, value)


Act = Callable[[Call], Awaitable[None]]


def say(*pieces: bytes) -> Act:
    """Read the request, and say this, piece by piece."""

    async def act(call: Call) -> None:
        await call.read()
        for piece in pieces:
            call.say(piece)

    return act


def say_and_hang_up(*pieces: bytes) -> Act:
    async def act(call: Call) -> None:
        await say(*pieces)(call)
        call.hang_up()

    return act


def say_and_hang(*pieces: bytes) -> Act:
    """Say this, and nothing more until the other side has hung up, without a word."""

    async def act(call: Call) -> None:
        await say(*pieces)(call)
        assert await call.rest() == b""

    return act


answer = say(OK)
hang = say_and_hang()
hang_up = say_and_hang_up()


async def reset(call: Call) -> None:
    await call.read()
    call.reset()


class RawRecipient:
    """Does the acts it is given, one for each request, in the order of arrival; from then on it answers well.

    `calls` are the requests that have come, `connections` and `ended` the numbers of connections that were made and
    that are over. `listener` is a socket of the test's own to listen on. What goes wrong in an act fails the test.
    """

    def __init__(self, *acts: Act, tls: ssl.SSLContext | None = None, listener: socket.socket | None = None) -> None:
        self.calls: list[Call] = []
        self.port = 0
        self._acts = list(acts)
        self._tls = tls
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._changed = asyncio.Event()
        self._conversations: list[asyncio.Task[None]] = []
        self._came: set[int] = set()  # ports of those that have connected
        self._went: set[int] = set()

    @property
    def connections(self) -> int:
        return len(self._came)

    @property
    def ended(self) -> int:
        return len(self._went)

    async def __aenter__(self) -> Self:
        self.port = self._listener.getsockname()[1]
        self._server = await asyncio.start_server(self._connected, sock=self._listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        for result in await asyncio.gather(*self._conversations, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at when something has changed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def called(self, count: int) -> None:
        """Return when so many requests have come."""
        await self.until(lambda: len(self.calls) >= count)

    async def left(self, count: int) -> None:
        """Return when so many connections are over."""
        await self.until(lambda: self.ended >= count)

    async def reached(self) -> int:
        """Give how many connections have been made; that of its own, which it makes to see that, is not one of them."""
        _, writer = await asyncio.open_connection(*self._listener.getsockname())
        port = writer.get_extra_info("sockname")[1]
        await self.until(lambda: port in self._came)
        writer.transport.abort()
        await self.until(lambda: port in self._went)
        self._came.remove(port)
        self._went.remove(port)
        return self.connections

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._came.add(writer.get_extra_info("peername")[1])
        self._changed.set()
        if self._tls is not None:
            cast("asyncio.Transport", writer.transport).pause_reading()  # what comes is for the handshake
        self._conversations.append(asyncio.create_task(self._serve(self.connections, reader, writer)))

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        try:
            if self._tls is not None:
                await writer.start_tls(self._tls)
            await self._converse(number, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side has hung up
        except asyncio.CancelledError:
            writer.transport.abort()  # the test is over
            raise
        finally:
            writer.close()
            self._went.add(port)
            self._changed.set()

    async def _converse(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            call = Call(number, await reader.readuntil(b"\r\n\r\n"), reader, writer)
            self.calls.append(call)
            self._changed.set()
            await (self._acts.pop(0) if self._acts else answer)(call)
