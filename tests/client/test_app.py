import asyncio
import logging
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from client.app import listen, listening_host, new_runner, page_address
from client.session.callback_endpoint import CallbackEndpoint
from client.settings import Settings
from protocol.messages import ChatMessage, ReceiveTypingParams
from runtime.listening import ListenError
from tests.client.fake_server import free_port


@pytest.mark.parametrize(
    ("server", "host"),
    [
        ("http://localhost:9999", "localhost"),
        ("http://127.0.0.1:9999", "127.0.0.1"),
        ("http://127.8.9.1:9999", "127.0.0.1"),
        ("http://[::1]:9999", "::1"),
        ("http://10.0.0.7:9999", "::"),
        ("http://server:9999", "::"),
        ("https://chat.example", "::"),
        ("http://[2001:db8::1]:9999", "::"),
    ],
)
def test_it_listens_on_loopback_only_where_the_server_is_there(server: str, host: str) -> None:
    assert listening_host(server) == host


def test_the_host_and_port_of_the_settings_win() -> None:
    port = free_port()
    with listen(Settings(client_host="127.0.0.1", client_port=port, server="http://server"), 8080) as listening:
        assert (listening.host, listening.port) == ("127.0.0.1", port)


def test_a_port_in_use_is_told_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=rf"localhost:{port}: .*in use"):
            listen(Settings(client_port=port), 8080)


def test_the_page_is_at_localhost_when_it_listens_everywhere() -> None:
    assert page_address("0.0.0.0", 8081) == "http://localhost:8081"
    assert page_address("10.0.0.7", 8081) == "http://10.0.0.7:8081"


def test_in_a_container_it_is_told_how_to_find_the_published_port() -> None:
    assert "docker compose port --index N client 8080" in page_address("0.0.0.0", 8080, "--index N client")
    assert "docker compose port page 8080" in page_address("0.0.0.0", 8080, "page")


class Nobody:
    async def wait_until_open(self, epoch: str) -> None:
        raise AssertionError(epoch)

    def keep(self) -> None:
        pass

    def receive(self, message: ChatMessage) -> None:
        raise AssertionError(message)

    def typing(self, who: ReceiveTypingParams) -> None:
        raise AssertionError(who)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A port at which the seat "alice" is rung, served as the client serves it."""
    endpoint = CallbackEndpoint()
    endpoint.open("alice", b"k" * 32, Nobody())
    app = web.Application()
    endpoint.add_to(app)
    runner = new_runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def request(path: str, body: bytes, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode() + body


async def test_large_cookies_of_other_programs_are_read(port: int) -> None:
    cookies = "; ".join(f"ringback-{number:012x}-8080={'x' * 43}" for number in range(200))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/rpc/alice", b"{}", "Content-Length: 2", f"Cookie: {cookies}"))
    assert (await reader.readline()).split()[1] == b"401"  # it is the signature that lacks
    writer.close()
    await writer.wait_closed()


async def test_a_head_too_large_is_refused_with_what_to_do_about_cookies(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/rpc/alice", b"", f"Cookie: {'x' * 100_000}"))
    told = (await reader.read()).decode()
    assert told.split()[1] == "400"
    assert "delete the cookies of this host" in told
    writer.close()
    await writer.wait_closed()


async def test_what_is_not_http_is_refused_without_the_name_of_a_library(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/rpc/alice", b"zz\r\n", "Content-Length: 4", "Transfer-Encoding: chunked"))
    head, _, told = (await reader.read()).decode().partition("\r\n\r\n")
    assert told == "malformed HTTP/1.1 request (Transfer-Encoding can't be present with Content-Length)\n"
    assert "\r\nServer: Ringback" in head
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/rpc/alice", b"{}", "Content-Length: 2"), b"401"),
        (request("/rpc/alice", b"no gzip", "Content-Length: 7", "Content-Encoding: gzip"), b"401"),
        (request("/rpc/alice", b"zz\r\n", "Transfer-Encoding: chunked"), b"400"),
        (request("/rpc/bob", b"zz\r\n", "Transfer-Encoding: chunked"), b"40"),
        (request("/rpc/bob", b"no gzip", "Content-Length: 7", "Content-Encoding: gzip"), b"404"),
        (request("/rpc/%ff", b"", "Content-Length: 0"), b"404"),
        (request("/rpc/alice/more", b"", "Content-Length: 0"), b"404"),
        (request("/rpc/alice", b"", "Content-Length: -1"), b"400"),
        (request("/rpc/alice", b"", f"X: {'x' * 100_000}"), b"400"),
        (b"GET /rpc/alice HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    ],
)
async def test_no_junk_gets_a_server_error_or_leaves_a_traceback(
    port: int, sent: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with caplog.at_level(logging.WARNING):
        writer.write(sent)
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert answer.split()[1].startswith(status)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/rpc/alice", b"{}", "Content-Length: 2"), b"401"),
        (request("/rpc/alice", b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), b"401"),
        (request("/rpc/alice", b"{", "Content-Length: 2"), b"400"),
        (request("/nowhere", b"", "Content-Length: 0") + request("/rpc/alice", b"{}", "Content-Length: 2"), b"401"),
    ],
    ids=["length", "chunked", "incomplete", "pipelined"],
)
async def test_half_closed_connection_gets_the_response(port: int, sent: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    got = await reader.read()
    writer.close()
    assert got.count(b"HTTP/1.1 ") == sent.count(b"HTTP/1.1")
    assert got[got.rindex(b"HTTP/1.1 ") :].split()[1] == status
