"""`Register` with callbacks that lie, hang, drip or are not the caller's: told by stage, in time; nothing is lost."""

import asyncio
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web

from protocol.methods import MAX_REPLY_BYTES
from tests.fakes import (
    PATIENCE_SECONDS,
    Behaviour,
    FakeResolver,
    Recipient,
    RunningServer,
    Seat,
    answer_status,
    drop,
    hang,
    local_settings,
    refusal,
    take,
)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen with a conversation of the test's own; gives the port."""

    open_ones: set[asyncio.StreamWriter] = set()

    async def talk_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the server has had enough
        finally:
            open_ones.discard(writer)
            writer.close()

    listener = await asyncio.start_server(talk_and_close, host, 0, ssl=tls)
    async with listener:
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            for writer in tuple(open_ones):  # from Python 3.12 on, a listener waits for them when it is closed
                writer.transport.abort()


class Canary:
    """Counts the connections that nobody should make."""

    def __init__(self) -> None:
        self.connections = 0

    async def __call__(self, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        self.connections += 1


def say(piece: bytes) -> Talk:
    """Read a request, and say this, whatever it is."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(piece)
        await writer.drain()

    return talk


def say_for_ever(beginning: bytes, piece: bytes) -> Talk:
    """Read a request, begin an answer, and go on until the other side has gone."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(beginning)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)

    return talk


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accept, and wait until the other side has had enough."""
    while await reader.read(65_536):
        pass


async def close_at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    pass


def answer_with(**members: Any) -> Behaviour:
    """Answer 200 with a JSON-RPC answer in which these members are as given; None leaves one out."""

    async def behave(_request: web.Request, body: Any) -> web.StreamResponse:
        good = {"jsonrpc": "2.0", "result": body["params"]["challenge"], "id": body["id"]}
        answer = {name: value for name, value in (good | members).items() if value is not None}
        return web.json_response(answer)

    return behave


def answer_text(text: str, content_type: str = "application/json") -> Behaviour:
    """Answer 200 with this text."""

    async def behave(_request: web.Request, _body: Any) -> web.StreamResponse:
        return web.Response(text=text, content_type=content_type)

    return behave


async def unreachable(server: RunningServer, seat: Seat, callback: str) -> str:
    """Register this callback in the place of the one that works; gives the stage of the -32004."""
    error = await refusal(server.call("Register", seat.token, name="Bobby", callback=callback))
    assert error.code == -32004, error
    assert set(error.data) == {"url", "stage", "detail"}
    assert error.data["detail"]
    return str(error.data["stage"])


@pytest.fixture
async def hasty(session: ClientSession) -> AsyncIterator[RunningServer]:
    """A server that gives a callback 0.5 s."""
    async with RunningServer(session, exchange_seconds=0.5) as server:
        yield server


@pytest.fixture
async def bob(server: RunningServer, recipient: Recipient) -> AsyncIterator[Seat]:
    """Somebody whose first registration works, and must do so after the test as well."""
    async for seat in still_rung(server, recipient):
        yield seat


@pytest.fixture
async def hasty_bob(hasty: RunningServer, recipient: Recipient) -> AsyncIterator[Seat]:
    async for seat in still_rung(hasty, recipient):
        yield seat


async def still_rung(server: RunningServer, recipient: Recipient) -> AsyncIterator[Seat]:
    seat = await server.register("Bob", recipient, id="bob")
    yield seat
    ping = await seat.call("Ping")
    assert ping["callback"] == f"http://127.0.0.1:{recipient.port}/rpc"
    alice = await server.register("Alice")
    assert {"id": "bob", "name": "Bob"} in alice.result["members"]
    await recipient.has("Alice joined the chat")


@pytest.mark.parametrize(
    ("behaviour", "stage"),
    [
        pytest.param(answer_status(404), "http", id="404"),
        pytest.param(answer_status(500), "http", id="500"),
        pytest.param(answer_status(410), "http", id="410"),
        pytest.param(answer_status(503, {"Retry-After": "1"}), "http", id="503"),
        pytest.param(answer_status(200), "rpc", id="HTML"),
        pytest.param(answer_status(204), "rpc", id="204"),
        pytest.param(answer_text(""), "rpc", id="empty"),
        pytest.param(answer_text("null"), "rpc", id="null"),
        pytest.param(answer_text("[]"), "rpc", id="empty batch"),
        pytest.param(answer_text("[" * 10_000), "rpc", id="deep"),
        pytest.param(answer_text('{"jsonrpc":"2.0","result":"\\ud800","id":"\\ud800"}'), "rpc", id="surrogate"),
        pytest.param(answer_text('{"jsonrpc":"2.0","result":1,"id":' + "9" * 5000 + "}"), "rpc", id="huge id"),
        pytest.param(answer_text(" " * 70_000), "rpc", id="70 KB"),
        pytest.param(answer_with(id=1), "rpc", id="another id"),
        pytest.param(answer_with(id=["x"]), "rpc", id="an id that is an array"),
        pytest.param(answer_with(id=None), "rpc", id="no id"),
        pytest.param(answer_with(jsonrpc=None), "rpc", id="no version"),
        pytest.param(answer_with(result="another"), "rpc", id="another challenge"),
        pytest.param(answer_with(result=True), "rpc", id="true"),
        pytest.param(answer_with(result=None), "rpc", id="neither result nor error"),
        pytest.param(answer_with(error={"code": -32601, "message": "both"}), "rpc", id="result and error"),
        pytest.param(answer_with(result=None, error={"code": -32000, "message": "no"}), "rpc", id="another error"),
        pytest.param(answer_with(result=None, error={"code": "-32601"}), "rpc", id="a code that is a string"),
        pytest.param(answer_with(result=None, error="-32601"), "rpc", id="an error that is a string"),
        pytest.param(drop, "http", id="dropped"),
    ],
)
async def test_an_answer_that_proves_nothing_is_told_by_its_stage(
    server: RunningServer, bob: Seat, behaviour: Behaviour, stage: str
) -> None:
    async with Recipient() as bad:
        bad.behaviour = behaviour
        assert await unreachable(server, bob, bad.callback) == stage
        assert len(bad.posts) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(server: RunningServer, bob: Seat, status: int) -> None:
    canary = Canary()
    async with listening(canary) as port, Recipient() as redirecting:
        redirecting.behaviour = answer_status(status, {"Location": f"http://127.0.0.1:{port}/rpc"})
        assert await unreachable(server, bob, redirecting.callback) == "http"
    assert canary.connections == 0


@pytest.mark.parametrize(
    ("talk", "stage"),
    [
        pytest.param(say(b"SSH-2.0-OpenSSH_9.6\r\n" * 20), "http", id="SSH"),
        pytest.param(say(b"\x00\xff\x15\x03" * 200), "http", id="bytes"),
        pytest.param(say(b"HTTP/1.1 abc\r\n\r\n"), "http", id="no status"),
        pytest.param(say(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "http", id="no length"),
        pytest.param(say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "http", id="cut short"),
        pytest.param(say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "http", id="no chunk"),
        pytest.param(say(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"), "http", id="long header"),
        pytest.param(say(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n"), "http", id="many headers"),
        pytest.param(say(b""), "http", id="closed after the request"),
        pytest.param(close_at_once, "http", id="closed at once"),
        pytest.param(say_for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 8192), "rpc", id="endless body"),
        pytest.param(
            say_for_ever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2000\r\n" + b" " * 8192 + b"\r\n"),
            "rpc",
            id="endless chunks",
        ),
        pytest.param(
            say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nzzzz"), "rpc", id="not gzip"
        ),
    ],
)
async def test_what_is_not_http_or_does_not_end_is_told_by_its_stage(
    server: RunningServer, bob: Seat, talk: Talk, stage: str
) -> None:
    async with listening(talk) as port:
        assert await unreachable(server, bob, f":{port}/rpc") == stage


async def test_no_more_than_64_kib_of_an_answer_are_waited_for(server: RunningServer, bob: Seat) -> None:
    async def send_a_beginning(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b" " * (MAX_REPLY_BYTES + 1))
        await say_nothing(reader, writer)

    async with listening(send_a_beginning) as port:
        assert await unreachable(server, bob, f":{port}/rpc") == "rpc"  # had it waited, it would be "timeout"


async def test_an_answer_of_exactly_64_kib_is_read(server: RunningServer, recipient: Recipient) -> None:
    async def answer_at_length(request: web.Request, body: Any) -> web.StreamResponse:
        answer = await take(request, body)
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        return web.Response(body=answer.body.ljust(MAX_REPLY_BYTES))

    recipient.behaviour = answer_at_length
    assert (await server.register("Bob", recipient)).result["success"]


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(say_nothing, id="hangs"),
        pytest.param(say_for_ever(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b" "), id="drips"),
        pytest.param(say_for_ever(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), id="drips headers"),
        pytest.param(say_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="continues for ever"),
    ],
)
async def test_what_does_not_answer_is_given_up_in_time(hasty: RunningServer, hasty_bob: Seat, talk: Talk) -> None:
    async with listening(talk) as port:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await unreachable(hasty, hasty_bob, f":{port}/rpc") == "timeout"


async def test_a_handshake_that_hangs_is_given_up_in_time(hasty: RunningServer, hasty_bob: Seat) -> None:
    async with listening(say_nothing) as port:
        assert await unreachable(hasty, hasty_bob, f"https://127.0.0.1:{port}/rpc") == "timeout"


async def test_a_port_where_nobody_listens_is_told_at_once(server: RunningServer, bob: Seat) -> None:
    async with listening(say_nothing) as port:
        pass
    assert await unreachable(server, bob, f":{port}/rpc") == "connect"


async def test_a_hanging_callback_holds_up_no_other_registration(server: RunningServer, recipient: Recipient) -> None:
    async with Recipient() as slow:
        slow.behaviour = hang
        hanging = asyncio.create_task(server.register("Eve", slow))
        await slow.posted(1)
        await server.register("Bob", recipient)
        assert not hanging.done()
        slow.behaviour = take
        hanging.cancel()


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answer_with(result=None, error={"code": -32601, "message": "Method not found"}), id="-32601"),
        pytest.param(answer_with(extra=[1]), id="more members"),
    ],
)
async def test_a_bot_that_knows_only_receive_message_is_let_in(
    server: RunningServer, recipient: Recipient, behaviour: Behaviour
) -> None:
    recipient.behaviour = behaviour
    assert (await server.register("Bob", recipient)).result["success"]


async def test_the_content_type_of_the_proof_is_not_looked_at(server: RunningServer, recipient: Recipient) -> None:
    async def answer_as_html(request: web.Request, body: Any) -> web.StreamResponse:
        answer = await take(request, body)
        assert isinstance(answer, web.Response)
        return web.Response(body=answer.body, content_type="text/html")

    recipient.behaviour = answer_as_html
    assert (await server.register("Bob", recipient)).result["success"]


async def test_the_challenge_is_the_id_in_the_body_and_in_the_header(
    server: RunningServer, recipient: Recipient
) -> None:
    await server.register("Bob", recipient, id="bob")
    post = recipient.posts[0]
    challenge = post.body["params"]["challenge"]
    assert post.body == {
        "jsonrpc": "2.0",
        "method": "VerifyCallback",
        "params": {"challenge": challenge},
        "id": challenge,
    }
    assert post.headers["webhook-id"] == challenge
    assert post.headers["ringback-recipient"] == "bob"
    assert len(challenge) == 32


# TLS.


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """What serves a certificate that nobody trusts."""
    directory: Path = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-days", "2",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_certificate_that_nobody_trusts_is_told(
    server: RunningServer, bob: Seat, self_signed: ssl.SSLContext, host: str
) -> None:
    server.resolver.names["localhost"] = ["127.0.0.1"]
    canary = Canary()
    async with listening(canary, tls=self_signed) as port:
        assert await unreachable(server, bob, f"https://{host}:{port}/rpc") == "tls"
    assert canary.connections == 0


async def test_https_where_there_is_only_http_is_told(server: RunningServer, bob: Seat) -> None:
    async with Recipient() as plain:
        assert await unreachable(server, bob, f"https://127.0.0.1:{plain.port}/rpc") == "tls"


async def test_http_where_there_is_only_https_is_told(
    server: RunningServer, bob: Seat, self_signed: ssl.SSLContext
) -> None:
    async with listening(say_nothing, tls=self_signed) as port:
        assert await unreachable(server, bob, f":{port}/rpc") == "http"


# Names.


async def test_a_name_without_an_address_is_told(server: RunningServer, bob: Seat) -> None:
    assert await unreachable(server, bob, "http://nobody.example:8080/rpc") == "dns"


async def test_a_name_of_the_callers_own_address_is_rung_under_its_name(
    server: RunningServer, recipient: Recipient
) -> None:
    server.resolver.names["bob.example"] = ["127.0.0.1"]
    seat = await server.register("Bob", recipient, callback=f"http://Bob.example:{recipient.port}/rpc")
    assert seat.result["callback"] == f"http://Bob.example:{recipient.port}/rpc"
    assert recipient.posts[0].headers["host"] == f"bob.example:{recipient.port}"


@pytest.mark.parametrize(
    "addresses", [["127.0.0.2"], ["127.0.0.2", "127.0.0.3"], ["::ffff:127.0.0.2"], ["0.0.0.0"], []]
)
async def test_a_name_of_somebody_elses_address_is_not_rung(
    server: RunningServer, bob: Seat, addresses: list[str]
) -> None:
    canary = Canary()
    server.resolver.names["elsewhere.example"] = addresses
    async with listening(canary, "0.0.0.0") as port:
        callback = f"http://elsewhere.example:{port}/rpc"
        error = await refusal(server.call("Register", bob.token, name="Bob", callback=callback))
    assert (error.code, set(error.data)) == (-32005, {"url", "detail"})
    assert not any(address in str(error) for address in addresses)
    assert canary.connections == 0


async def test_of_a_name_with_a_good_and_a_bad_address_only_the_good_one_is_rung(server: RunningServer) -> None:
    server.resolver.names["both.example"] = ["127.0.0.2", "127.0.0.1", "169.254.169.254"]
    canary, good = Canary(), Recipient()
    async with listening(canary, "127.0.0.2") as good.port, good:
        await server.register("Bob", good, callback=f"http://both.example:{good.port}/rpc")
        await server.register("Alice")
        await good.has("Alice joined the chat")
    assert canary.connections == 0


async def test_of_two_good_addresses_the_one_that_listens_is_rung(session: ClientSession) -> None:
    settings = local_settings(callback_allow=(ip_network("127.0.0.0/8"),))
    resolver = FakeResolver({"both.example": ["127.0.0.2", "127.0.0.1"]})
    async with RunningServer(session, settings, resolver=resolver) as server, Recipient() as recipient:
        await server.register("Bob", recipient, callback=f"http://both.example:{recipient.port}/rpc")
        await server.register("Alice")
        await recipient.has("Alice joined the chat")


async def test_the_address_is_looked_up_again_when_it_has_failed(server: RunningServer, recipient: Recipient) -> None:
    server.resolver.names["bob.example"] = ["127.0.0.1"]
    await server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    assert server.resolver.asked.count("bob.example") == 1
    recipient.behaviour = drop
    server.resolver.names["bob.example"] = ["127.0.0.2"]
    await alice.say("hi")
    await server.clock.someone_waits(0.2, 0.3)
    recipient.behaviour = take
    posts = len(recipient.posts)
    server.clock.advance(0.3)
    await server.clock.someone_waits(0.4, 0.6)
    assert server.resolver.asked.count("bob.example") == 3, "when the connection ended, and for the next try"
    assert len(recipient.posts) == posts


# Connections that are kept.


async def test_a_kept_connection_that_is_reset_is_replaced_without_a_failure(
    server: RunningServer,
) -> None:
    connections = 0
    texts: asyncio.Queue[str] = asyncio.Queue()

    async def reset_at_the_second_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answer_once(reader, writer, texts)
        if connections == 1:
            await reader.readexactly(1)
            reset(writer)
        else:
            await answer_once(reader, writer, texts)

    async with listening(reset_at_the_second_request) as port:
        await server.register("Bob", callback=f":{port}/rpc")
        await server.register("Alice")
        assert await asyncio.wait_for(texts.get(), PATIENCE_SECONDS) == "Alice joined the chat"
    assert connections == 2


async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, texts: "asyncio.Queue[str]") -> None:
    """Read one request and answer it well."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    call = msgspec.json.decode(await reader.readexactly(int(length.partition(b":")[2])))
    if call["method"] == "ReceiveMessage":
        texts.put_nowait(call["params"]["message"]["text"])
    result = call["params"].get("challenge", {"success": True})
    answer = msgspec.json.encode({"jsonrpc": "2.0", "result": result, "id": call["id"]})
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a crashed process or a firewall does."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
