"""A front with a test's own methods behind it on a real socket, and HTTP by hand."""

import asyncio
import re
from collections.abc import Mapping
from typing import Self

import aiohttp
import msgspec
from aiohttp import web

from server.chat.methods import Method
from server.inbound.dispatcher import JsonRpcDispatcher
from server.inbound.routes import DISPATCHER, RpcEndpoint
from tests.fakes import PATIENCE_SECONDS

# What would tell a caller how the server is made: exceptions, Python's types, its way to write values.
INTERNALS = re.compile(
    rb"[a-z]Error\b|Exception|Traceback|msgspec|jsonrpcserver|object at 0x|<class|NoneType|\bb'|None\b"
)


class ServedFront:
    """Serves `methods` at POST /rpc, with nothing else of the server behind it."""

    def __init__(self, session: aiohttp.ClientSession, methods: Mapping[str, Method], *once_per_batch: str) -> None:
        self.endpoint = RpcEndpoint(())
        self._session = session
        self._app = web.Application()
        self._app[DISPATCHER] = JsonRpcDispatcher(methods, once_per_batch)
        self.endpoint.add_to(self._app)
        self._runner = web.AppRunner(self._app)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/rpc"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def post(self, body: bytes | str) -> tuple[int, bytes]:
        """POST raw bytes as JSON; gives status and body."""
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self.url, data=body, headers=headers) as response:
            return response.status, await response.read()


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Read one HTTP response with a Content-Length; gives status, head and body."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split(b" ")[1]), head, body


def told(body: bytes | str) -> tuple[int, str]:
    """Give the code of the JSON-RPC error that an HTTP refusal carries, and what it says was wrong."""
    answer = msgspec.json.decode(body)
    error = answer["error"]
    detail = error["data"].get("problem") or error["data"]["detail"]
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", None)
    assert error["message"].endswith(f": {detail}")
    return error["code"], detail


async def exchange_raw(port: int, *pieces: bytes) -> tuple[int, bytes, bytes]:
    """Send bytes to a port of this machine, and read the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await read_response(reader)
    finally:
        writer.close()
