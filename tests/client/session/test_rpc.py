import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from client.errors import CallRefused, ServerUnreachable
from client.session.rpc import ServerRpc
from protocol.messages import NoParams, PingResult, RegisterParams, SendMessageParams
from tests.client.fake_server import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[ServerRpc]]

PING = {"epoch": "e", "seq": 3, "cursor": 2, "callback": None}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def serve(session: aiohttp.ClientSession) -> AsyncIterator[Serve]:
    servers: list[TestServer] = []

    async def start(handler: Handler) -> ServerRpc:
        app = web.Application()
        app.router.add_post("/rpc", handler)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return ServerRpc(session, f"http://127.0.0.1:{server.port}/")

    yield start
    for server in servers:
        await server.close()


def answering(**reply: object) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": (await request.json())["id"], **reply})

    return handle


async def test_a_result_comes_back_as_its_type(serve: Serve) -> None:
    rpc = await serve(answering(result=PING))
    assert await rpc.call("Ping", NoParams(), PingResult) == PingResult(epoch="e", seq=3, cursor=2, callback=None)


async def test_what_is_not_given_is_left_out_and_the_token_travels_in_its_header(serve: Serve) -> None:
    seen = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers.get("Authorization"), request.content_type, await request.json()))
        return await answering(result=PING)(request)

    rpc = await serve(handle)
    await rpc.call("Register", RegisterParams(name="Alice"), PingResult, "secret")
    ((authorization, content_type, call),) = seen
    assert (authorization, content_type) == ("Bearer secret", "application/json")
    assert (call["jsonrpc"], call["method"], call["params"]) == ("2.0", "Register", {"name": "Alice"})


async def test_an_error_of_the_server_is_a_refusal_in_words(serve: Serve) -> None:
    rpc = await serve(answering(error={"code": -32003, "message": "Taken", "data": {"field": "name"}}))
    with pytest.raises(CallRefused, match="name is in use") as caught:
        await rpc.call("Register", RegisterParams(name="Alice"), PingResult)
    assert (caught.value.code, caught.value.data) == (-32003, {"field": "name"})


async def test_text_that_is_no_unicode_is_refused_before_it_is_sent(session: aiohttp.ClientSession) -> None:
    rpc = ServerRpc(session, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CallRefused, match="not valid Unicode"):
        await rpc.call("SendMessage", SendMessageParams(user_id="a", text="\udcff"), PingResult)


async def test_a_port_where_nobody_listens_is_unreachable(session: aiohttp.ClientSession) -> None:
    rpc = ServerRpc(session, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ServerUnreachable, match=r"http://127.0.0.1:\d+ cannot be reached: .*refused"):
        await rpc.call("Ping", NoParams(), PingResult)


@pytest.mark.parametrize("status", [301, 404, 421, 500, 502])
async def test_another_status_than_200_is_told(serve: Serve, status: int) -> None:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"})

    rpc = await serve(handle)
    with pytest.raises(ServerUnreachable, match=str(status)):
        await rpc.call("Ping", NoParams(), PingResult)


async def test_a_server_that_drains_says_when_to_come_back(serve: Serve) -> None:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "7"})

    rpc = await serve(handle)
    with pytest.raises(ServerUnreachable) as caught:
        await rpc.call("Ping", NoParams(), PingResult)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"1",
        b"\xff",
        b"[" * 10_000,
        b'{"jsonrpc":"2.0","result":{}}',
        b'{"jsonrpc":"2.0","result":{},"id":-1}',
        b'{"jsonrpc":"2.0","error":1,"id":1}',
        b'{"jsonrpc":"2.0","error":{"code":"x","message":""},"id":1}',
        b'{"jsonrpc":"2.0","error":{"code":1,"message":"","data":[]},"id":1}',
    ],
)
async def test_an_answer_that_is_none_is_unreachable(serve: Serve, body: bytes) -> None:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    rpc = await serve(handle)
    with pytest.raises(ServerUnreachable, match="does not speak as a chat server"):
        await rpc.call("Ping", NoParams(), PingResult)


async def test_a_result_of_another_shape_is_unreachable(serve: Serve) -> None:
    rpc = await serve(answering(result={"epoch": 1}))
    with pytest.raises(ServerUnreachable, match="does not speak as a chat server"):
        await rpc.call("Ping", NoParams(), PingResult)


async def test_a_connection_that_ends_without_an_answer_is_unreachable(session: aiohttp.ClientSession) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        rpc = ServerRpc(session, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(ServerUnreachable, match="cannot be reached"):
            await rpc.call("Ping", NoParams(), PingResult)
