"""The HTTP edge: what is refused before JSON-RPC is looked at, who calls with which token, and how it drains."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import ClientSession, web

from protocol.methods import MAX_BODY_BYTES
from server.chat.methods import CallContext, Params
from tests.fakes import PATIENCE_SECONDS, Recipient, RunningServer, Seat, hang, take
from tests.server.served import INTERNALS, ServedFront, exchange_raw, read_response, told

CALL = b'{"jsonrpc":"2.0","method":"NoSuchMethod","id":1}'
ANSWER = b'{"jsonrpc":"2.0","error":{"code":-32601'
HEAD = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def server(server: RunningServer) -> AsyncIterator[RunningServer]:
    """The server, which after each test answers the next good request."""
    yield server
    assert (await server.register("The next one")).result["success"]


@pytest.fixture
async def hasty(session: ClientSession) -> AsyncIterator[RunningServer]:
    """A server that gives a body hardly any time to come."""
    async with RunningServer(session, read_seconds=0.25) as server:
        yield server
        assert (await server.register("The next one")).result["success"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json-rpc",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
    ],
)
async def test_json_by_its_name_is_taken(server: RunningServer, content_type: str) -> None:
    status, body = await server.post(CALL, headers={"Content-Type": content_type})
    assert (status, body[: len(ANSWER)]) == (200, ANSWER)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp", "application/*", "json", ""],
)
async def test_another_content_type_is_told_how_to_call(server: RunningServer, content_type: str) -> None:
    status, body = await server.post(CALL, headers={"Content-Type": content_type})
    code, problem = told(body)
    assert (status, code) == (415, -32600)
    assert """curl --json '{"jsonrpc":"2.0","method":"Register",""" in problem


async def test_a_body_without_a_content_type_is_told_how_to_call(server: RunningServer) -> None:
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(CALL)
    status, _, body = await exchange_raw(server.server.port, head + CALL)
    assert status == 415
    assert b"curl --json" in body


@pytest.mark.parametrize("coding", ["gzip", "GZip", "deflate"])
async def test_a_compressed_body_is_refused(server: RunningServer, coding: str) -> None:
    body = gzip.compress(CALL) if coding.lower() == "gzip" else CALL
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    async with server.session.post(server.url, data=body, headers=headers, compress=False) as response:
        assert response.status == 415
        assert told(await response.read()) == (-32600, "the body has a Content-Encoding; send it without compression")


async def test_no_content_encoding_may_be_said(server: RunningServer) -> None:
    assert (await server.post(CALL, headers={"Content-Encoding": "identity"}))[0] == 200


async def test_a_callback_is_refused(server: RunningServer) -> None:
    status, body = await server.post(CALL, headers={"webhook-id": "epoch-1-1"})
    assert (status, told(body)) == (421, (-32600, "this is the URL of a server, not of a callback"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_allowed(server: RunningServer, method: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with server.session.request(method, server.url, headers=headers) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert response.content_type == "application/json"
        if method != "HEAD":
            code, problem = told(await response.read())
            assert (code, problem[:22]) == (-32600, "the method is not POST")


async def test_post_elsewhere_is_told_where_to_go_in_json_rpc(server: RunningServer) -> None:
    for path in ("/", "/healthz", "/rpc/", "/RPC", "/rpc/x", "//rpc", "/metrics/../rpc%00"):
        async with server.session.post(server.url.removesuffix("/rpc") + path, data=CALL) as response:
            assert (response.status, response.content_type) == (404, "application/json")
            code, problem = told(await response.read())
            assert (code, problem[:13]) == (-32600, "unknown path;")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
async def test_another_method_elsewhere_is_not_found(server: RunningServer, method: str) -> None:
    async with server.session.request(method, server.url.removesuffix("/rpc") + "/x") as response:
        assert response.status == 404


async def test_health_and_readiness_are_told(server: RunningServer) -> None:
    for path in ("/healthz", "/readyz"):
        async with server.session.get(server.url.removesuffix("/rpc") + path) as response:
            assert response.status == 200


async def in_chunks(length: int) -> AsyncIterator[bytes]:
    """Give a call with white space behind it, so that it is so many bytes long, in pieces without a Content-Length."""
    body = CALL.ljust(length)
    for start in range(0, length, 65_536):
        yield body[start : start + 65_536]


async def test_a_body_of_a_mebibyte_is_taken(server: RunningServer) -> None:
    status, body = await server.post(CALL.ljust(MAX_BODY_BYTES))
    assert (status, body[: len(ANSWER)]) == (200, ANSWER)


async def test_a_chunked_body_of_a_mebibyte_is_taken(server: RunningServer) -> None:
    headers = {"Content-Type": "application/json"}
    async with server.session.post(server.url, data=in_chunks(MAX_BODY_BYTES), headers=headers) as response:
        assert (response.status, (await response.read())[: len(ANSWER)]) == (200, ANSWER)


async def test_a_body_of_one_byte_more_is_too_large(server: RunningServer) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1)
    status, _, body = await exchange_raw(server.server.port, head, CALL.ljust(MAX_BODY_BYTES + 1))
    assert (status, told(body)) == (413, (-32600, "a request may have at most 1048576 bytes"))


@pytest.mark.parametrize("length", [MAX_BODY_BYTES + 1, 4 * MAX_BODY_BYTES])
async def test_a_chunked_body_of_one_byte_more_is_too_large(server: RunningServer, length: int) -> None:
    headers = {"Content-Type": "application/json"}
    async with server.session.post(server.url, data=in_chunks(length), headers=headers) as response:
        assert response.status == 413


async def test_a_body_too_large_is_refused_by_its_head(server: RunningServer) -> None:
    status, head, _ = await exchange_raw(server.server.port, HEAD + b"Content-Length: 1048577\r\n\r\n")
    assert status == 413
    assert b"\r\nConnection: close\r\n" in head


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"])
async def test_a_body_that_does_not_come_is_given_up(hasty: RunningServer, framing: bytes) -> None:
    status, head, body = await exchange_raw(hasty.server.port, HEAD + framing)
    assert (status, told(body)) == (408, (-32700, "the request did not arrive within 0.25 s"))
    assert b"\r\nConnection: close\r\n" in head


async def test_a_body_that_drips_is_given_up(hasty: RunningServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.server.port)
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")

    async def drip() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.005)

    dripping = asyncio.create_task(drip())
    status, _, _ = await read_response(reader)
    dripping.cancel()
    writer.close()
    assert status == 408


@pytest.mark.parametrize(
    ("sent", "rule"),
    [
        (b"hello\r\n\r\n", "Invalid method encountered"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), "Received HTTPS traffic on an HTTP port"),
        (b"POST /rpc HTTP/9.9\r\n\r\n", "Invalid HTTP version"),
        (b"GET / HTTP/1.1\r\n\r\n", "Missing 'Host' header in request"),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", "Invalid char in url path"),
        (b"POST http://[::1/rpc HTTP/1.1\r\nHost: localhost\r\n\r\n", None),
        (HEAD + b"Content-Length: two\r\n\r\n{}", "Invalid character in Content-Length"),
        (HEAD + b"Content-Length: -2\r\n\r\n{}", "Invalid character in Content-Length"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "Duplicate Content-Length"),
        (
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            "Transfer-Encoding can't be present with Content-Length",
        ),
        (HEAD + b"X\x00Y: z\r\n\r\n", "Invalid header token"),
        (HEAD + b"Authorization: Bearer a\x00b\r\n\r\n", "Invalid header value char"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", "Invalid character in chunk size"),
    ],
    ids=lambda sent: repr(sent[-30:]) if isinstance(sent, bytes) else "",
)
async def test_request_that_is_not_http_is_refused_with_the_rule_that_it_breaks(
    server: RunningServer, sent: bytes, rule: str | None
) -> None:
    status, head, body = await exchange_raw(server.server.port, sent)
    words = f" ({rule})" if rule else ""
    assert (status, body.decode()) == (400, f"malformed HTTP/1.1 request{words}\n")
    assert b"aiohttp" not in head


@pytest.mark.parametrize(
    "sent",
    [HEAD + b"X-Long: %b\r\n\r\n" % (b"a" * 20_000), b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 20_000)],
    ids=["header", "address"],
)
async def test_head_with_a_line_that_is_too_long_is_refused_in_these_words(server: RunningServer, sent: bytes) -> None:
    status, _, body = await exchange_raw(server.server.port, sent)
    told = b"the request line or a header is longer than 8,190 bytes\n"
    assert (status, body) == (400, told)


async def test_a_chunk_that_is_none_in_the_middle_of_a_body_ends_like_one_that_does_not_come(
    hasty: RunningServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.server.port)
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    await hasty.post(CALL)  # by now the server has begun to read the body
    writer.write(b"zz\r\n")
    status, _, _ = await read_response(reader)
    writer.close()
    assert status == 408


async def test_a_caller_that_hangs_up_in_the_middle_leaves_no_trace(server: RunningServer) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.server.port)
    writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()
    # Whoever asks later is answered later: by then the server has seen that the other one is gone.
    for _ in range(3):
        assert (await server.post(CALL))[0] == 200


async def test_a_caller_that_hangs_up_before_the_answer_is_still_heard(session: ClientSession) -> None:
    called, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(_context: CallContext, _params: Params) -> msgspec.Struct:
        called.set()
        await go_on.wait()
        done.set()
        return msgspec.Struct()

    async with ServedFront(session, {"Work": work}) as front:
        body = b'{"jsonrpc":"2.0","method":"Work","id":1}'
        port = int(front.url.rpartition(":")[2].partition("/")[0])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await called.wait()
        writer.transport.abort()
        assert (await front.post(CALL))[0] == 200
        go_on.set()
        await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)


async def test_calls_one_after_the_other_on_one_connection_are_answered_in_order(server: RunningServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.server.port)
    for number in range(3):
        body = b'{"jsonrpc":"2.0","method":"NoSuchMethod","id":%d}' % number
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    answers = [msgspec.json.decode((await read_response(reader))[2]) for _ in range(3)]
    writer.close()
    assert [answer["id"] for answer in answers] == [0, 1, 2]


async def test_an_answer_is_json_and_nothing_else(server: RunningServer) -> None:
    headers = {"Content-Type": "application/json-rpc"}
    async with server.session.post(server.url, data=CALL, headers=headers) as response:
        assert response.headers["Content-Type"] == "application/json"
        assert not INTERNALS.search(await response.read())


# Who calls.


@pytest.fixture
async def alice(server: RunningServer) -> Seat:
    return await server.register("Alice")


async def ping(server: RunningServer, *headers: tuple[str, str]) -> int:
    """Give the error code of a ping, 0 when it succeeded."""
    body = b'{"jsonrpc":"2.0","method":"Ping","id":1}'
    every = [("Content-Type", "application/json"), *headers]
    async with server.session.post(server.url, data=body, headers=every) as response:
        answer = msgspec.json.decode(await response.read())
    return int(answer.get("error", {}).get("code", 0))


async def test_the_token_travels_as_bearer(server: RunningServer, alice: Seat) -> None:
    for header in (f"Bearer {alice.token}", f"bearer {alice.token}", f"BEARER {alice.token}"):
        assert await ping(server, ("Authorization", header)) == 0


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "Basic {}",
        "Bearer",
        "Bearer ",
        "Bearer  {}",
        "Bearer {} x",
        "Bearer,{}",
        "Bearer={}",
        'Bearer "{}"',
        "Bearer\t{}",
    ],
)
async def test_any_other_form_counts_as_no_token(server: RunningServer, alice: Seat, form: str) -> None:
    assert await ping(server, ("Authorization", form.format(alice.token))) == -32001


async def test_another_form_counts_as_no_token_in_register_too(server: RunningServer, alice: Seat) -> None:
    body = b'{"jsonrpc":"2.0","method":"Register","params":{"name":"Bob"},"id":1}'
    _, raw = await server.post(body, headers={"Authorization": f"Token {alice.token}"})
    assert msgspec.json.decode(raw)["result"]["resumed"] is False


async def test_two_authorizations_count_as_none(server: RunningServer, alice: Seat) -> None:
    header = ("Authorization", f"Bearer {alice.token}")
    assert await ping(server, header, header) == -32001


async def test_a_token_elsewhere_is_not_looked_at(server: RunningServer, alice: Seat) -> None:
    async with server.session.post(f"{server.url}?access_token={alice.token}", json={}) as response:
        assert b"-32600" in await response.read()
    assert await ping(server, ("X-Authorization", f"Bearer {alice.token}")) == -32001


async def test_bytes_in_headers_that_are_not_text_are_no_token_and_no_address(server: RunningServer) -> None:
    body = b'{"jsonrpc":"2.0","method":"Ping","id":1}'
    odd = b"Authorization: Bearer \xff\xfe\r\nX-Forwarded-For: \xff, [::, 1.2.3.4:x\r\nForwarded: for=;for\r\n"
    head = HEAD + odd + b"Content-Length: %d\r\n\r\n" % len(body)
    status, _, answer = await exchange_raw(server.server.port, head + body)
    assert (status, msgspec.json.decode(answer)["error"]["code"]) == (200, -32001)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "x-forwarded-for", "Forwarded", "X-Real-IP"])
async def test_each_forwarding_header_makes_a_call_proxied(
    server: RunningServer, recipient: Recipient, header: str
) -> None:
    params = {"name": "Bob", "callback": recipient.callback}
    body = msgspec.json.encode({"jsonrpc": "2.0", "method": "Register", "params": params, "id": 1})
    _, raw = await server.post(body, headers={header: "for=127.0.0.1"})
    assert msgspec.json.decode(raw)["error"]["code"] == -32005
    assert recipient.posts == []


# Draining.


async def test_while_draining_new_calls_are_turned_away(session: ClientSession) -> None:
    async with RunningServer(session) as server, Recipient() as slow:
        answer_now = asyncio.Event()

        async def answer_late(request: web.Request, body: object) -> web.StreamResponse:
            await answer_now.wait()
            return await take(request, body)

        slow.behaviour = answer_late
        registering = asyncio.create_task(server.register("Bob", slow))
        await slow.posted(1)
        stopping = asyncio.create_task(server.server.stop())
        await asyncio.sleep(0)
        status: dict[str, int] = {}
        for method, path in (("POST", "/rpc"), ("GET", "/readyz"), ("GET", "/healthz")):
            async with session.request(method, server.url.removesuffix("/rpc") + path, data=CALL) as response:
                status[path] = response.status
                retry_after = response.headers.get("Retry-After")
                assert (retry_after is not None and retry_after.isdigit()) == (response.status == 503)
                if path == "/rpc":
                    assert told(await response.read()) == (-32006, "the server is stopping")
        answer_now.set()
        seat = await registering
        await stopping
    assert status == {"/rpc": 503, "/readyz": 503, "/healthz": 200}
    assert seat.result["success"]


async def test_a_drain_does_not_wait_for_ever(session: ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    async with RunningServer(session, drain_seconds=0.05, exchange_seconds=3600) as server, Recipient() as slow:
        slow.behaviour = hang
        registering = asyncio.create_task(server.register("Bob", slow))
        await slow.posted(1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.server.stop()
        registering.cancel()
        await asyncio.wait([registering])
    assert "Some requests or deliveries did not finish within 0.05 s" in caplog.text


async def test_a_person_who_comes_with_a_browser_is_told_where_to_go(server: RunningServer) -> None:
    async with server.session.get(server.url.removesuffix("/rpc")) as response:
        assert response.status == 200
        assert "open the page of a client" in await response.text()


async def test_large_requests_have_so_much_room_and_small_ones_go_on(server: RunningServer) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n{" % MAX_BODY_BYTES
    wires = [await asyncio.open_connection("127.0.0.1", server.server.port) for _ in range(17)]
    for _, writer in wires:
        writer.write(head)
    answered, waiting = await asyncio.wait(
        [asyncio.create_task(read_response(reader)) for reader, _ in wires], return_when=asyncio.FIRST_COMPLETED
    )
    [(status, refusal, body)] = [task.result() for task in answered]
    assert (status, told(body)) == (503, (-32006, "too many large requests are open"))
    assert b"\r\nRetry-After: 1\r\n" in refusal
    assert (await server.post(CALL))[0] == 200
    for _, writer in wires:
        writer.close()
    await asyncio.wait(waiting)
    for task in waiting:
        assert task.exception() is not None


async def test_a_large_request_that_waits_for_its_turn_is_turned_away_by_a_drain(session: ClientSession) -> None:
    async with RunningServer(session) as server:
        body = CALL + b" " * (MAX_BODY_BYTES - len(CALL))
        large = [asyncio.create_task(server.post(body)) for _ in range(16)]  # the last one's turn is in four seconds
        done, waiting = await asyncio.wait(large, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 8:
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        await server.server.stop()
        assert {task.result()[0] for task in done} == {200}
        turned_away = [status for status, _ in await asyncio.gather(*waiting) if status == 503]
        assert turned_away


async def test_chunked_small_requests_take_no_room_of_large_ones(server: RunningServer) -> None:
    """A body without a length counts by what has come of it, and not as the most that it could be."""
    wires = [await asyncio.open_connection("127.0.0.1", server.server.port) for _ in range(40)]
    for _, writer in wires:
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    assert (await server.post(CALL))[0] == 200  # by now the server reads all of these bodies
    headers = {"Content-Type": "application/json"}
    async with server.session.post(server.url, data=in_chunks(MAX_BODY_BYTES), headers=headers) as response:
        assert response.status == 200
    for reader, writer in wires:
        rest = CALL[1:]
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest))
        assert (await read_response(reader))[0] == 200
        writer.close()


async def test_chunked_requests_that_grow_large_take_room(server: RunningServer) -> None:
    piece = MAX_BODY_BYTES - 100
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % piece + b" " * piece
    wires = [await asyncio.open_connection("127.0.0.1", server.server.port) for _ in range(17)]
    for _, writer in wires:
        writer.write(head)
    answered, waiting = await asyncio.wait(
        [asyncio.create_task(read_response(reader)) for reader, _ in wires], return_when=asyncio.FIRST_COMPLETED
    )
    assert [task.result()[0] for task in answered] == [503]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    for _, writer in wires:
        writer.transport.abort()
