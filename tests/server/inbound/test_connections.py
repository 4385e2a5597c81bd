"""Connections to the server: how many there may be, and how slow."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from aiohttp import ClientSession, web

from server.inbound.connections import ConnectionGuard
from tests.fakes import PATIENCE_SECONDS, Recipient, RunningServer, hang, local_settings, take
from tests.server.served import read_response, told

HEAD = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CALL = b'{"jsonrpc":"2.0","method":"NoSuchMethod","id":1}'
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(CALL) + CALL
HALF = 5  # of ten connections

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[..., "asyncio.Future[Wire]"]


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
async def hasty(session: ClientSession) -> AsyncIterator[RunningServer]:
    """A server that gives a request hardly any time to come in."""
    async with RunningServer(session, read_seconds=0.25) as server:
        yield server


@pytest.fixture
async def small(session: ClientSession) -> AsyncIterator[RunningServer]:
    """A server with ten connections."""
    async with RunningServer(session, local_settings(max_connections=2 * HALF)) as server:
        yield server


@pytest.fixture
async def dial() -> AsyncIterator[Callable[..., object]]:
    """Connect to a server, from 127.0.0.1 or another address of this machine; all is closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(server: RunningServer, host: str = "127.0.0.1") -> Wire:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.server.port, local_addr=(host, 0))
            stack.callback(writer.close)
            return reader, writer

        yield connect


async def ask(wire: Wire) -> int:
    """Send a request; gives the status of its answer."""
    wire[1].write(REQUEST)
    return (await read_response(wire[0]))[0]


async def ends(wire: Wire) -> bool:
    """Return when the other side has hung up."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with contextlib.suppress(ConnectionError):
            while await wire[0].read(4096):
                pass
        return True


# How slow


@pytest.mark.parametrize("sent", [b"P", b"POST /rpc HTTP/1.1\r\nHost: loc", HEAD])
async def test_a_head_that_does_not_come_is_given_up(hasty: RunningServer, dial: Dial, sent: bytes) -> None:
    reader, writer = await dial(hasty)
    writer.write(sent)
    status, _, body = await read_response(reader)
    assert (status, told(body)) == (408, (-32700, "the request headers timed out"))
    assert await ends((reader, writer))


async def test_a_head_that_drips_is_given_up(hasty: RunningServer, dial: Dial) -> None:
    reader, writer = await dial(hasty)
    writer.write(HEAD)

    async def drip() -> None:
        while True:
            writer.write(b"X-A: b\r\n")
            await asyncio.sleep(0.005)

    dripping = asyncio.create_task(drip())
    status, _, _ = await read_response(reader)
    dripping.cancel()
    assert status == 408


async def test_a_second_head_has_its_own_time(hasty: RunningServer, dial: Dial) -> None:
    wire = await dial(hasty)
    assert await ask(wire) == 200
    wire[1].write(HEAD)
    assert (await read_response(wire[0]))[0] == 408


async def test_head_and_body_have_one_time_together(hasty: RunningServer, dial: Dial) -> None:
    """A body that has all of that time to itself would come too late here, and be waited for."""
    begin = asyncio.get_running_loop().time()
    reader, writer = await dial(hasty)
    writer.write(HEAD[:10])
    await hasty.post(CALL)  # a turn of the server's
    writer.write(HEAD[10:] + b"Content-Length: 100\r\n\r\n{")
    status, _, body = await read_response(reader)
    assert (status, told(body)) == (408, (-32700, "the request did not arrive within 0.25 s"))
    assert asyncio.get_running_loop().time() - begin < PATIENCE_SECONDS


async def test_a_connection_on_which_nothing_is_asked_is_kept(hasty: RunningServer, dial: Dial) -> None:
    kept, slow = await dial(hasty), await dial(hasty)
    assert await ask(kept) == 200
    slow[1].write(HEAD)
    assert (await read_response(slow[0]))[0] == 408  # so much time has passed for the others too
    assert await ask(kept) == 200


async def test_a_connection_on_which_nothing_was_ever_asked_is_given_up(hasty: RunningServer, dial: Dial) -> None:
    assert await ends(await dial(hasty))


async def test_a_call_may_take_longer_than_its_request(hasty: RunningServer, dial: Dial) -> None:
    async with Recipient() as recipient:
        recipient.behaviour = hang
        registering = asyncio.create_task(hasty.register("Alice", recipient))
        await recipient.posted(1)
        slow = await dial(hasty)
        slow[1].write(HEAD)
        assert (await read_response(slow[0]))[0] == 408
        assert not registering.done()
        recipient.behaviour = take
        registering.cancel()


async def test_a_thousand_idle_and_a_hundred_slow_connections_change_nothing_for_the_others(
    session: ClientSession, dial: Dial
) -> None:
    async with RunningServer(session) as server:
        for _ in range(1000):
            await dial(server)
        for _ in range(100):
            _, slow = await dial(server)
            slow.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        async with Recipient() as recipient:
            await server.register("Bob", recipient)
            alice = await server.register("Alice")
            for number in range(10):
                await alice.say(f"message {number}")
            await recipient.has(*(f"message {number}" for number in range(10)))


# How much may wait to be taken


class Talker(asyncio.Protocol):
    """Answers each line with so many bytes."""

    size = 8 * 1024 * 1024

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def data_received(self, _data: bytes) -> None:
        self.transport.write(bytes(self.size))


class Silent(asyncio.Protocol):
    """Answers nothing."""


@contextlib.asynccontextmanager
async def talking(connections: ConnectionGuard) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def asked(port: int) -> socket.socket:
    """Ask for an answer that is too large to be on its way, and do not take it."""
    loop = asyncio.get_running_loop()
    taker = socket.socket()
    taker.setblocking(False)
    taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await loop.sock_connect(taker, ("127.0.0.1", port))
    await loop.sock_sendall(taker, b"go\n")
    return taker


async def until(connections: ConnectionGuard, words: str) -> None:
    """Return when the connections stand so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while words not in repr(connections):  # noqa: ASYNC110 (it tells nobody when it changes)
            await asyncio.sleep(0.001)


async def is_cut(taker: socket.socket) -> bool:
    """Read on; tell whether the answer ends before its time."""
    read = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            while read < Talker.size and (piece := await asyncio.get_running_loop().sock_recv(taker, 65536)):
                read += len(piece)
        except ConnectionError:
            pass
    taker.close()
    return read < Talker.size


async def test_an_answer_that_is_not_taken_is_given_up() -> None:
    connections = ConnectionGuard(Talker, 10, 10.0, take_seconds=0.05)
    async with talking(connections) as port:
        slow = await asked(port)
        await until(connections, "untaken=1")
        await until(connections, "untaken=0")
        assert await is_cut(slow)


async def test_an_answer_that_is_taken_in_time_is_complete() -> None:
    connections = ConnectionGuard(Talker, 10, 10.0, take_seconds=PATIENCE_SECONDS)
    async with talking(connections) as port:
        assert not await is_cut(await asked(port))
        assert "untaken=0" in repr(connections)


async def test_what_waits_to_be_taken_is_bounded_and_the_slowest_goes_first() -> None:
    connections = ConnectionGuard(Talker, 10, 10.0, max_untaken=2 * Talker.size + 1)
    async with talking(connections) as port:
        takers = []
        for waiting in ("untaken=1", "untaken=2"):
            takers.append(await asked(port))
            await until(connections, waiting)
        last = await asked(port)
        assert await is_cut(takers[0])
        assert [await is_cut(taker) for taker in (takers[1], last)] == [False, False]


async def test_requests_that_are_not_answered_are_bounded_and_the_largest_goes_first() -> None:
    connections = ConnectionGuard(Silent, 10, 10.0, max_pending=3000)
    async with talking(connections) as port:
        wires = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for (_, writer), size in zip(wires, (500, 2000, 1000), strict=True):
            writer.write(bytes(size))
        assert await ends(wires[1])
        wires[2][1].write(bytes(1501))
        assert await ends(wires[2])
        assert "<Admission 1 of 10>" in repr(connections)  # the smallest is still there
        assert not wires[0][0].at_eof()
        for _, writer in wires:
            writer.close()


# How many


async def test_when_all_are_taken_the_next_one_is_turned_away_in_words(small: RunningServer, dial: Dial) -> None:
    for _ in range(2 * HALF):
        await ask(await dial(small))
    wire = await dial(small)
    status, head, body = await read_response(wire[0])
    assert (status, told(body)) == (503, (-32006, "too many connections are open"))
    assert b"\r\nRetry-After: 5\r\n" in head


async def test_whoever_has_more_than_half_gives_one_up_for_another(small: RunningServer, dial: Dial) -> None:
    many = [await dial(small) for _ in range(2 * HALF)]
    assert [await ask(wire) for wire in many] == [200] * len(many)
    assert [await ask(await dial(small, "127.0.0.2")) for _ in range(HALF)] == [200] * HALF
    assert all([await ends(wire) for wire in many[:HALF]])
    assert [await ask(wire) for wire in many[HALF:]] == [200] * HALF


async def test_two_who_have_taken_all_keep_nobody_out(small: RunningServer, dial: Dial) -> None:
    for number in range(2 * HALF):
        await ask(await dial(small, f"127.0.0.{2 + number % 2}"))
    for host in ("127.0.0.4", "127.0.0.5", "127.0.0.6"):
        assert await ask(await dial(small, host)) == 200


async def test_of_many_the_idle_go_first(small: RunningServer, dial: Dial) -> None:
    busy = [await dial(small) for _ in range(2 * HALF - 1)]
    for _, writer in busy:
        writer.write(HEAD)
    idle = await dial(small)
    assert await ask(idle) == 200
    assert await ask(await dial(small, "127.0.0.2")) == 200
    assert await ends(idle)


async def test_a_connection_that_ends_makes_room(small: RunningServer, dial: Dial) -> None:
    wires = [await dial(small) for _ in range(2 * HALF)]
    assert [await ask(wire) for wire in wires] == [200] * len(wires)
    wires[0][1].write(b"GET / HTTP/1.0\r\n\r\n")
    assert await ends(wires[0])
    assert await ask(await dial(small)) == 200


async def test_that_all_are_taken_is_told_once(
    small: RunningServer, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2 * HALF):
        await ask(await dial(small))
    for _ in range(3):
        await read_response((await dial(small))[0])
    assert caplog.text.count("CHAT_MAX_CONNECTIONS") == 1


async def test_a_batch_of_64_kib_of_nothing_is_answered_and_the_next_call_too(session: ClientSession) -> None:
    async with RunningServer(session) as server:
        body = b"[" + b",".join([b"{}"] * 21_845) + b"]"
        status, raw = await server.post(body)
        assert (status, msgspec.json.decode(raw)["error"]["code"]) == (200, -32600)
        assert (await server.register("Alice")).result["success"]


# Callers that shut down their sending side behind a request


async def send_and_shut(wire: Wire, sent: bytes) -> bytes:
    """Send this and nothing more; gives all that comes until the other side closes."""
    wire[1].write(sent)
    wire[1].write_eof()
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await wire[0].read()


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(CALL), CALL)


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (REQUEST, 1),
        (CHUNKED, 1),
        (REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"), 1),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 1),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        (REQUEST + CHUNKED + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 3),
        (REQUEST + b"\r\n", 1),
    ],
    ids=["length", "chunked", "HTTP/1.0", "GET HTTP/1.0", "GET", "pipelined", "empty line behind"],
)
async def test_half_closed_connection_gets_every_response(
    server: RunningServer, dial: Dial, sent: bytes, answers: int
) -> None:
    got = await send_and_shut(await dial(server), sent)
    assert got.count(b" 200 OK\r\n") == got.count(b"HTTP/1.") == answers


async def test_half_closed_connection_gets_a_response_that_takes_long(server: RunningServer, dial: Dial) -> None:
    async with Recipient() as recipient:
        answer_now = asyncio.Event()

        async def answer_late(request: web.Request, body: object) -> web.StreamResponse:
            await answer_now.wait()
            return await take(request, body)

        recipient.behaviour = answer_late
        params = {"name": "Alice", "callback": recipient.callback, "secret": recipient.secret}
        body = msgspec.json.encode({"jsonrpc": "2.0", "method": "Register", "params": params, "id": 1})
        sent = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
        registering = asyncio.create_task(send_and_shut(await dial(server), sent))
        await recipient.posted(1)
        await server.post(CALL)  # by now the server has seen the end of what comes
        answer_now.set()
        assert b'"Successfully registered' in await registering


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (HEAD, b"the request headers are incomplete: an empty line must end them"),
        (HEAD + b"Content-Length: 100\r\n\r\n{", b"the body could not be read"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"the body could not be read"),
    ],
    ids=["head", "length", "chunked"],
)
async def test_half_closed_incomplete_request_is_told_what_is_missing(
    server: RunningServer, dial: Dial, sent: bytes, words: bytes
) -> None:
    got = await send_and_shut(await dial(server), sent)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert words in got


async def test_half_closed_connection_ends_when_an_unread_body_does_not_come(server: RunningServer, dial: Dial) -> None:
    """aiohttp alone waits 10 s for what is missing of a body that no handler has read."""
    reader, writer = await dial(server)
    writer.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert (await read_response(reader))[0] == 404
    begin = asyncio.get_running_loop().time()
    writer.write_eof()
    assert await reader.read() == b""
    assert asyncio.get_running_loop().time() - begin < PATIENCE_SECONDS / 2


async def test_half_closed_connection_without_a_request_is_closed(server: RunningServer, dial: Dial) -> None:
    asked = await dial(server)
    assert await ask(asked) == 200
    assert await send_and_shut(asked, b"") == b""
    assert await send_and_shut(await dial(server), b"") == b""
