"""The way to one callback over real sockets: one kept connection, made anew when it must be, and no word lost."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network

import pytest

from protocol.signing import Signer, verify
from server.callbacks.address_policy import AddressPolicy
from server.callbacks.callback import Callback, Callbacks
from server.callbacks.callback_url import CallbackUrl, parse_callback
from server.callbacks.connection import ENDED, Connection, Owner
from server.callbacks.connector import AddressNotAllowed, CallbackError, Connected, Connector
from server.callbacks.exchange import Failed, HttpResponse
from server.callbacks.io_batcher import IoBatcher
from server.callbacks.resolver import ResolveError
from server.delivery.webhook import Webhook
from server.net.addresses import IPAddress
from tests.fakes import PATIENCE_SECONDS, START, WORLD, FakeResolver
from tests.server.callbacks.conftest import Authority
from tests.server.callbacks.raw_recipient import (
    OK,
    Act,
    Call,
    RawRecipient,
    answer,
    hang,
    hang_up,
    reset,
    say,
    say_and_hang,
    say_and_hang_up,
)
from tests.server.net.frozen_loop import frozen_loop, let_happen

HOME = ip_address("127.0.0.1")
KEY = bytes(range(32))
HAPPY = HttpResponse(200, b"{}")
BY_NAME = "http://bob.example:PORT/"
OVER_TLS = "https://bob.example:PORT/"


async def exchange(callback: Callback, body: bytes = b"{}") -> HttpResponse:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await callback.exchange(b"Content-Length: %d\r\n\r\n" % len(body), body)


async def failure(callback: Callback, body: bytes = b"{}") -> Failed:
    """Exchange something that comes to nothing; gives why."""
    with pytest.raises(CallbackError) as failed:
        await exchange(callback, body)
    return failed.value.failure


@asynccontextmanager
async def ringing(
    recipient: RawRecipient,
    url: str = "http://127.0.0.1:PORT/rpc",
    *,
    resolver: FakeResolver | None = None,
    caller: IPAddress = HOME,
    seconds: float = PATIENCE_SECONDS,
    policy: AddressPolicy | None = None,
    tls: ssl.SSLContext = WORLD,
) -> AsyncIterator[Callback]:
    """Give the way to a URL with the port of this recipient; hang up in the end."""
    url = url.replace("PORT", str(recipient.port))
    connector = Connector(resolver or FakeResolver({"bob.example": ["127.0.0.1"]}), policy or AddressPolicy(), tls)
    callback = Callbacks(connector, seconds).to(parse_callback(url), caller, "bob")
    try:
        yield callback
    finally:
        callback.close()


@pytest.fixture
def results() -> list[HttpResponse | CallbackError]:
    """What `done` has been called with."""
    return []


# What is sent.


async def test_a_connection_is_made_for_the_first_post_and_kept_for_all_others() -> None:
    async with RawRecipient() as recipient, ringing(recipient) as callback:
        assert await recipient.reached() == 0
        for number in range(100):
            assert await exchange(callback, b"%d" % number) == HAPPY
    assert recipient.connections == 1
    assert [call.body for call in recipient.calls] == [b"%d" % number for number in range(100)]


async def test_the_head_is_just_that_and_in_that_order() -> None:
    webhook = Webhook("id-1", b'{"a":1}')
    async with RawRecipient() as recipient, ringing(recipient, "http://127.0.0.1:PORT/a%20b/?x=%2F") as callback:
        await callback.exchange(webhook.headers(Signer(KEY), int(START)), webhook.body)
    [call] = recipient.calls
    head, signature = call.head.rstrip(b"\r\n").split(b"webhook-signature: ")
    assert head.split(b"\r\n") == [
        b"POST /a%20b/?x=%2F HTTP/1.1",
        b"Host: 127.0.0.1:%d" % recipient.port,
        b"User-Agent: ringback",
        b"Accept-Encoding: identity",
        b"Content-Type: application/json",
        b"ringback-recipient: bob",
        b"Content-Length: 7",
        b"webhook-id: id-1",
        b"webhook-timestamp: %d" % START,
        b"",
    ]
    assert call.head.count(b"\r\n\r\n") == 1
    assert call.body == b'{"a":1}'
    headers = {"webhook-id": "id-1", "webhook-timestamp": str(int(START)), "webhook-signature": signature.decode()}
    assert verify(KEY, headers, call.body, START) == "id-1"


async def test_the_host_is_the_name_of_the_url_and_the_target_has_a_path() -> None:
    async with RawRecipient() as recipient, ringing(recipient, "http://Bob.example:PORT?x") as callback:
        await exchange(callback)
    lines = recipient.calls[0].head.split(b"\r\n")
    assert lines[:2] == [b"POST /?x HTTP/1.1", b"Host: bob.example:%d" % recipient.port]


@pytest.mark.parametrize("size", [0, 1, 512 * 1024])
async def test_a_body_arrives_as_it_is(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
    async with RawRecipient() as recipient, ringing(recipient) as callback:
        assert await exchange(callback, body) == HAPPY
        assert await exchange(callback, body) == HAPPY
    assert [call.body == body for call in recipient.calls] == [True, True]
    assert recipient.connections == 1


# What is answered.


@pytest.mark.parametrize(
    ("said", "response"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", HttpResponse(204, b""), id="204"),
        pytest.param(
            b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            HttpResponse(503, b"", "7"),
            id="Retry-After",
        ),
        pytest.param(
            b"HTTP/1.1 307 Elsewhere\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            HttpResponse(307, b""),
            id="a redirect",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", HAPPY, id="chunks"),
    ],
)
async def test_an_answer_is_handed_over_as_it_is(said: bytes, response: HttpResponse) -> None:
    async with RawRecipient(say(said)) as recipient, ringing(recipient) as callback:
        assert await exchange(callback) == response
        assert await exchange(callback) == HAPPY
    assert recipient.connections == 1
    assert len(recipient.calls) == 2


async def test_done_is_called_once_and_never_before_post_returns(results: list[HttpResponse | CallbackError]) -> None:
    called = asyncio.Event()

    def done(result: HttpResponse | CallbackError) -> None:
        results.append(result)
        called.set()

    async with RawRecipient() as recipient, ringing(recipient) as callback:
        for times in range(1, 4):
            called.clear()
            callback.post(b"Content-Length: 2\r\n\r\n", b"{}", done)
            assert len(results) == times - 1
            await asyncio.wait_for(called.wait(), PATIENCE_SECONDS)
            assert results == [HAPPY] * times


async def test_the_next_post_may_be_made_when_done_is_called(results: list[HttpResponse | CallbackError]) -> None:
    finished = asyncio.Event()

    def post() -> None:
        callback.post(b"Content-Length: 2\r\n\r\n", b"{}", done)

    def done(result: HttpResponse | CallbackError) -> None:
        results.append(result)
        if len(results) < 10:
            post()
        else:
            finished.set()

    acts = [answer, say_and_hang_up(b"HTTP/1.1 200 OK\r\n\r\n{}"), say_and_hang_up(OK), answer, hang_up, answer]
    async with RawRecipient(*acts, say(b"rubbish")) as recipient, ringing(recipient) as callback:
        post()
        await asyncio.wait_for(finished.wait(), PATIENCE_SECONDS)
    assert [result == HAPPY for result in results] == [True] * 5 + [False] + [True] * 4


# A kept connection that ends.


@pytest.mark.parametrize("end", [Call.hang_up, Call.reset])
async def test_a_connection_that_was_closed_while_idle_is_made_anew(end: Callable[[Call], None]) -> None:
    ending = asyncio.Event()

    async def end_later(call: Call) -> None:
        await answer(call)
        await ending.wait()
        end(call)

    async with RawRecipient(end_later) as recipient, ringing(recipient) as callback:
        assert await exchange(callback) == HAPPY
        ending.set()
        await recipient.left(1)
        await let_happen()
        assert await exchange(callback) == HAPPY
    assert [call.connection for call in recipient.calls] == [1, 2]


@pytest.mark.parametrize("end", [Call.hang_up, Call.reset])
async def test_a_connection_that_is_closed_as_a_post_sets_out_is_made_anew(end: Callable[[Call], None]) -> None:
    """The end is on its way, and this side does not know yet: nothing is awaited between it and the post."""
    calls: list[Call] = []

    async def keep(call: Call) -> None:
        calls.append(call)
        await answer(call)

    async with RawRecipient(keep) as recipient, ringing(recipient) as callback:
        assert await exchange(callback) == HAPPY
        end(calls[0])
        assert await exchange(callback, b"again") == HAPPY
    assert [(call.connection, call.body) for call in recipient.calls] == [(1, b"{}"), (2, b"again")]


@pytest.mark.parametrize("end", [hang_up, reset])
async def test_a_kept_connection_that_ends_before_an_answer_has_the_same_sent_again_on_a_new_one(end: Act) -> None:
    async with RawRecipient(answer, end) as recipient, ringing(recipient) as callback:
        await exchange(callback)
        assert await exchange(callback, b"twice") == HAPPY
    [_, first, again] = recipient.calls
    assert (first.head, first.body) == (again.head, again.body)
    assert (first.connection, again.connection) == (1, 2)


@pytest.mark.parametrize("end", [hang_up, reset])
async def test_what_was_sent_again_is_not_sent_a_third_time(end: Act) -> None:
    async with RawRecipient(answer, end, end) as recipient, ringing(recipient) as callback:
        await exchange(callback)
        assert await failure(callback) == Failed("http", ENDED)
        assert len(recipient.calls) == 3
        assert await exchange(callback) == HAPPY


@pytest.mark.parametrize("end", [hang_up, reset])
async def test_a_new_connection_that_ends_before_an_answer_is_a_failure(end: Act) -> None:
    async with RawRecipient(end) as recipient, ringing(recipient) as callback:
        assert await failure(callback) == Failed("http", ENDED)
        assert len(recipient.calls) == 1


@pytest.mark.parametrize("end", [hang_up, reset])
async def test_each_kept_connection_that_ends_is_replaced(end: Act) -> None:
    async with RawRecipient(answer, end, answer, end, answer, end) as recipient, ringing(recipient) as callback:
        for _ in range(4):
            assert await exchange(callback) == HAPPY
    assert [call.connection for call in recipient.calls] == [1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(say_and_hang_up(b"H"), id="the first byte"),
        pytest.param(say_and_hang_up(OK[:-1]), id="all but the last byte"),
        pytest.param(say_and_hang_up(b"HTTP/1.1 100 Continue\r\n\r\n"), id="an interim answer"),
        pytest.param(say(b"SSH-2.0-OpenSSH_9.6\r\n"), id="no HTTP"),
    ],
)
@pytest.mark.parametrize("before", [[], [answer]], ids=["new", "kept"])
async def test_what_ends_in_the_midst_of_an_answer_is_a_failure_and_not_sent_again(before: list[Act], act: Act) -> None:
    async with RawRecipient(*before, act) as recipient, ringing(recipient) as callback:
        for _ in before:
            await exchange(callback)
        assert (await failure(callback)).stage == "http"
        assert len(recipient.calls) == len(before) + 1
        assert await exchange(callback) == HAPPY


async def test_bytes_that_nobody_asked_for_end_the_connection_and_are_no_failure() -> None:
    speaking = asyncio.Event()

    async def speak_up(call: Call) -> None:
        await answer(call)
        await speaking.wait()
        call.say(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        assert await call.rest() == b""

    async with RawRecipient(speak_up) as recipient, ringing(recipient) as callback:
        await exchange(callback)
        speaking.set()
        await recipient.left(1)
        assert await exchange(callback) == HAPPY
    assert [call.connection for call in recipient.calls] == [1, 2]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"), id="close"),
        pytest.param(say_and_hang_up(b"HTTP/1.1 200 OK\r\n\r\n{}"), id="the end of the connection"),
        pytest.param(say(OK + OK), id="two answers"),
    ],
)
async def test_after_an_answer_that_ends_the_connection_there_is_a_new_one(act: Act) -> None:
    async with RawRecipient(act) as recipient, ringing(recipient) as callback:
        assert await exchange(callback) == HAPPY
        assert await exchange(callback) == HAPPY
    assert [call.connection for call in recipient.calls] == [1, 2]


async def test_the_end_of_a_connection_that_is_not_kept_is_no_matter() -> None:
    async with RawRecipient() as recipient, ringing(recipient) as callback:
        await exchange(callback)
        callback.lost(Connection(callback, IoBatcher()), "another", unanswered=True)
        await exchange(callback)
    assert recipient.connections == 1


class DawdlingDialler(Connector):
    """Hands a connection over when it has ended."""

    async def connect(
        self, url: CallbackUrl, caller: IPAddress | None, known: IPAddress | None, owner: Owner, connected: Connected
    ) -> tuple[IPAddress, Connection]:
        address, connection = await super().connect(url, caller, known, owner, connected)
        while not connection.is_closed:
            await let_happen()
        return address, connection


async def test_a_connection_that_ends_before_it_is_handed_over_is_a_failure() -> None:
    async def hang_up_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up_at_once, "127.0.0.1", 0) as server:
        url = parse_callback(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        callback = Callbacks(DawdlingDialler(FakeResolver(), AddressPolicy(), WORLD)).to(url, HOME, "bob")
        assert await failure(callback) == Failed("http", ENDED)


# How long.


@pytest.mark.asyncio(loop_factories=["frozen"])
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(hang, id="no answer"),
        pytest.param(say_and_hang(OK[:-1]), id="half an answer"),
        pytest.param(say_and_hang(b"HTTP/1.1 100 Continue\r\n\r\n"), id="an interim answer"),
        pytest.param(say_and_hang(b"HTTP/1.1 200 OK\r\n\r\n{}"), id="an answer that does not end"),
    ],
)
@pytest.mark.parametrize("before", [[], [answer]], ids=["new", "kept"])
async def test_what_takes_too_long_is_given_up_and_hung_up(before: list[Act], act: Act) -> None:
    async with RawRecipient(*before, act) as recipient, ringing(recipient, seconds=5) as callback:
        for _ in before:
            await exchange(callback)
        failing = asyncio.create_task(failure(callback))
        await recipient.called(len(before) + 1)
        await frozen_loop().pass_time(4.99)
        assert not failing.done()
        await frozen_loop().pass_time(0.01)
        assert await failing == Failed("timeout", "no complete response within 5 s")
        await recipient.left(1)
        assert await exchange(callback) == HAPPY
    assert recipient.connections == 2


class HangingResolver(FakeResolver):
    """Finds nothing until `found` is set; `asking` is set when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asking = asyncio.Event()
        self.found = asyncio.Event()

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        self.asking.set()
        await self.found.wait()
        return [HOME]


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_a_look_up_that_takes_too_long_is_given_up() -> None:
    resolver = HangingResolver()
    async with RawRecipient() as recipient, ringing(recipient, BY_NAME, resolver=resolver, seconds=5) as callback:
        failing = asyncio.create_task(failure(callback))
        await resolver.asking.wait()
        await frozen_loop().pass_time(5)
        assert (await failing).stage == "timeout"
        resolver.found.set()
        await let_happen()
        assert await recipient.reached() == 0


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_a_handshake_that_takes_too_long_is_given_up_and_hung_up() -> None:
    async with RawRecipient() as recipient, ringing(recipient, OVER_TLS, seconds=5) as callback:
        failing = asyncio.create_task(failure(callback))
        await recipient.until(lambda: recipient.connections == 1)
        await frozen_loop().pass_time(5)
        assert (await failing).stage == "timeout"
        await recipient.left(1)


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_a_request_that_is_sent_again_has_no_more_time() -> None:
    ending = asyncio.Event()

    async def hang_up_later(call: Call) -> None:
        await ending.wait()
        await hang_up(call)

    async with RawRecipient(answer, hang_up_later, hang) as recipient, ringing(recipient, seconds=5) as callback:
        await exchange(callback)
        failing = asyncio.create_task(failure(callback))
        await recipient.called(2)
        await frozen_loop().pass_time(4)
        ending.set()
        await recipient.called(3)
        assert not failing.done()
        await frozen_loop().pass_time(1)
        assert (await failing).stage == "timeout"


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_each_exchange_has_all_the_time() -> None:
    going_on = asyncio.Event()

    async def answer_later(call: Call) -> None:
        await going_on.wait()
        await answer(call)

    async with RawRecipient(*[answer_later] * 5) as recipient, ringing(recipient, seconds=5) as callback:
        for number in range(1, 6):
            going_on.clear()
            answering = asyncio.create_task(exchange(callback))
            await recipient.called(number)
            await frozen_loop().pass_time(4)
            going_on.set()
            assert await answering == HAPPY
            await frozen_loop().pass_time(4)
    assert recipient.connections == 1


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_who_has_closed_and_posts_anew_holds_up_nobody_elses_deadline() -> None:
    callbacks = Callbacks(Connector(FakeResolver(), AddressPolicy(), WORLD), 5)
    async with RawRecipient(hang, hang, hang) as recipient:
        url = parse_callback(f"http://127.0.0.1:{recipient.port}/")
        one, other = (callbacks.to(url, HOME, name) for name in ("bob", "eve"))
        one.post(b"Content-Length: 2\r\n\r\n", b"{}", lambda _: None)
        await frozen_loop().pass_time(1)
        failing = asyncio.create_task(failure(other))
        await recipient.called(2)
        await frozen_loop().pass_time(1)
        one.close()
        one.post(b"Content-Length: 2\r\n\r\n", b"{}", lambda _: None)
        await recipient.called(3)
        await frozen_loop().pass_time(3)
        assert not failing.done()
        await frozen_loop().pass_time(1)
        assert failing.done()
        one.close()
    assert (await failing).stage == "timeout"


# Who gives up.


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(hang, id="no answer"),
        pytest.param(say_and_hang(OK[:-1]), id="half an answer"),
        pytest.param(answer, id="an answer that is on its way"),
    ],
)
@pytest.mark.parametrize("before", [[], [answer]], ids=["new", "kept"])
async def test_who_closes_hears_nothing_of_what_is_under_way(
    results: list[HttpResponse | CallbackError], before: list[Act], act: Act
) -> None:
    closing = asyncio.Event()

    async def note_and_act(call: Call) -> None:
        closing.set()
        await act(call)

    async with RawRecipient(*before, note_and_act) as recipient, ringing(recipient) as callback:
        for _ in before:
            await exchange(callback)
        callback.post(b"Content-Length: 2\r\n\r\n", b"{}", results.append)
        await closing.wait()
        callback.close()
        await recipient.left(1)
    assert results == []
    collect_garbage()


async def test_who_closes_while_nothing_is_under_way_hangs_up() -> None:
    async with RawRecipient() as recipient, ringing(recipient) as callback:
        await exchange(callback)
        callback.close()
        await recipient.left(1)
    collect_garbage()


async def test_who_closes_before_it_has_connected_connects_to_nobody(
    results: list[HttpResponse | CallbackError],
) -> None:
    resolver = HangingResolver()
    async with RawRecipient() as recipient, ringing(recipient, BY_NAME, resolver=resolver) as callback:
        callback.post(b"Content-Length: 2\r\n\r\n", b"{}", results.append)
        await resolver.asking.wait()
        callback.close()
        resolver.found.set()
        await let_happen()
        assert await recipient.reached() == 0
    assert results == []


async def test_who_closes_as_it_connects_hangs_up(results: list[HttpResponse | CallbackError]) -> None:
    async with RawRecipient() as recipient, ringing(recipient) as callback:
        callback.post(b"Content-Length: 2\r\n\r\n", b"{}", results.append)
        await asyncio.sleep(0)  # it has begun to dial
        callback.close()
        await recipient.reached()
        await recipient.until(lambda: recipient.ended == recipient.connections)
        assert recipient.calls == []
    assert results == []
    collect_garbage()


async def test_who_closes_during_the_handshake_hangs_up(results: list[HttpResponse | CallbackError]) -> None:
    async with RawRecipient() as recipient, ringing(recipient, OVER_TLS) as callback:
        callback.post(b"Content-Length: 2\r\n\r\n", b"{}", results.append)
        await recipient.until(lambda: recipient.connections == 1)
        callback.close()
        await recipient.left(1)
    assert results == []
    collect_garbage()


async def test_who_closes_may_close_again_and_post_again() -> None:
    async with RawRecipient(hang) as recipient, ringing(recipient) as callback:
        callback.close()
        callback.post(b"Content-Length: 2\r\n\r\n", b"{}", lambda _: None)
        await recipient.called(1)
        callback.close()
        callback.close()
        assert await exchange(callback) == HAPPY


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_what_was_closed_does_not_expire(results: list[HttpResponse | CallbackError]) -> None:
    async with RawRecipient(hang) as recipient, ringing(recipient, seconds=5) as callback:
        callback.post(b"Content-Length: 2\r\n\r\n", b"{}", results.append)
        await recipient.called(1)
        callback.close()
        await frozen_loop().pass_time(10)
    assert results == []


async def test_an_exchange_that_is_cancelled_is_hung_up() -> None:
    async with RawRecipient(hang) as recipient, ringing(recipient) as callback:
        exchanging = asyncio.create_task(exchange(callback))
        await recipient.called(1)
        exchanging.cancel()
        await recipient.left(1)
        assert exchanging.cancelled()
        assert await exchange(callback) == HAPPY


async def test_an_exchange_may_be_cancelled_as_its_answer_comes() -> None:
    async with RawRecipient(hang) as recipient, ringing(recipient) as callback:
        exchanging = asyncio.create_task(exchange(callback))
        await recipient.called(1)
        exchanging.cancel()
        callback.responded(HAPPY, reusable=True)  # before the task has had its turn
        with pytest.raises(asyncio.CancelledError):
            await exchanging


async def test_an_exchange_may_be_cancelled_as_its_time_ends() -> None:
    async with RawRecipient(hang) as recipient, ringing(recipient) as callback:
        exchanging = asyncio.create_task(exchange(callback))
        await recipient.called(1)
        exchanging.cancel()
        callback.expire()  # before the task has had its turn
        with pytest.raises(asyncio.CancelledError):
            await exchanging


def collect_garbage() -> None:
    """A socket or transport that is still open when it is collected is a warning, and that an error."""
    gc.collect(1)  # those of this test; the rest of the heap takes long


# The address.


async def test_the_address_is_looked_up_once_while_it_works() -> None:
    resolver = FakeResolver({"bob.example": ["127.0.0.1"]})
    acts = [answer, say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), answer]
    async with RawRecipient(*acts) as recipient, ringing(recipient, BY_NAME, resolver=resolver) as callback:
        for _ in range(4):
            await exchange(callback)
    assert recipient.connections == 2
    assert resolver.asked == ["bob.example"]


async def test_callback_after_a_hang_up_looks_the_name_up() -> None:
    """Who had the address may be gone, and another have it."""
    resolver = FakeResolver({"bob.example": ["127.0.0.1"]})
    async with RawRecipient(answer, hang_up) as recipient, ringing(recipient, BY_NAME, resolver=resolver) as callback:
        await exchange(callback)
        await exchange(callback)
    assert resolver.asked == ["bob.example"] * 2


async def test_callback_that_is_dropped_looks_the_name_up() -> None:
    resolver = FakeResolver({"bob.example": ["127.0.0.1"]})
    async with RawRecipient() as recipient, ringing(recipient, BY_NAME, resolver=resolver) as callback:
        await exchange(callback)
        callback.drop()
        await exchange(callback)
    assert recipient.connections == 2
    assert resolver.asked == ["bob.example"] * 2


MINUTE = 60.0
LOOPBACK = AddressPolicy(allow=(ip_network("127.0.0.0/8"),))


class FailingResolver(FakeResolver):
    """Knows no address any more once `failing`."""

    failing = False

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        found = await super().resolve(host, network)
        if self.failing:
            raise ResolveError("no answer")
        return found


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_name_after_a_minute_is_looked_up_and_the_connection_kept() -> None:
    resolver = FakeResolver({"bob.example": ["127.0.0.1"]})
    async with RawRecipient() as recipient, ringing(recipient, BY_NAME, resolver=resolver) as callback:
        for seconds in (0.0, MINUTE - 0.01, 0.01, MINUTE - 0.01):
            await frozen_loop().pass_time(seconds)
            await exchange(callback)
    assert resolver.asked == ["bob.example"] * 2
    assert recipient.connections == 1


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_name_that_has_moved_is_left_after_a_minute() -> None:
    resolver = FakeResolver({"bob.example": ["127.0.0.1"]})
    async with RawRecipient() as old, ringing(old, BY_NAME, resolver=resolver, policy=LOOPBACK) as callback:
        async with RawRecipient(listener=socket.create_server(("127.0.0.2", old.port))) as new:
            await exchange(callback, b"1")
            resolver.names["bob.example"] = ["127.0.0.2"]
            await exchange(callback, b"2")
            await frozen_loop().pass_time(MINUTE)
            await exchange(callback, b"3")
        assert [call.body for call in old.calls] == [b"1", b"2"]
        assert [call.body for call in new.calls] == [b"3"]


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_look_up_that_fails_after_a_minute_changes_nothing() -> None:
    resolver = FailingResolver({"bob.example": ["127.0.0.1"]})
    async with RawRecipient() as recipient, ringing(recipient, BY_NAME, resolver=resolver) as callback:
        await exchange(callback)
        resolver.failing = True
        await frozen_loop().pass_time(MINUTE)
        assert await exchange(callback) == HAPPY
    assert recipient.connections == 1


@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_address_in_the_url_is_never_looked_up_again() -> None:
    resolver = FakeResolver()
    async with RawRecipient() as recipient, ringing(recipient, resolver=resolver) as callback:
        await exchange(callback)
        await frozen_loop().pass_time(10 * MINUTE)
        await exchange(callback)
    assert resolver.asked == ["127.0.0.1"]


@pytest.mark.parametrize("act", [hang_up, say(b"rubbish"), say_and_hang_up(b"H")])
async def test_the_address_is_looked_up_again_after_a_failure(act: Act) -> None:
    resolver = FakeResolver({"bob.example": ["127.0.0.1"]})
    async with RawRecipient(act) as recipient, ringing(recipient, BY_NAME, resolver=resolver) as callback:
        assert (await failure(callback)).stage == "http"
        assert await exchange(callback) == HAPPY
    assert resolver.asked == ["bob.example"] * 2


async def test_a_recipient_that_has_moved_is_found_again() -> None:
    resolver = FakeResolver({"bob.example": ["127.0.0.1"]})
    policy = AddressPolicy(allow=(ip_network("127.0.0.0/8"),))
    async with RawRecipient() as old, ringing(old, BY_NAME, resolver=resolver, policy=policy) as callback:
        await exchange(callback)
        await old.__aexit__()
        resolver.names["bob.example"] = ["127.0.0.2"]
        async with RawRecipient(listener=socket.create_server(("127.0.0.2", old.port))):
            assert await exchange(callback) == HAPPY


async def test_a_name_whose_new_address_may_not_be_called_is_refused() -> None:
    resolver = FakeResolver({"bob.example": ["127.0.0.1"]})
    async with RawRecipient(hang_up) as recipient, ringing(recipient, BY_NAME, resolver=resolver) as callback:
        await failure(callback)
        resolver.names["bob.example"] = ["127.0.0.2"]
        with pytest.raises(AddressNotAllowed):
            await exchange(callback)
        assert recipient.connections == 1


async def test_an_address_that_may_not_be_called_for_this_caller_is_refused() -> None:
    async with RawRecipient() as recipient, ringing(recipient, caller=ip_address("10.0.0.1")) as callback:
        with pytest.raises(AddressNotAllowed):
            await exchange(callback)
        assert await recipient.reached() == 0


# TLS.


async def test_a_kept_connection_over_tls_carries_one_exchange_after_the_other(
    authority: Authority, for_bob: ssl.SSLContext
) -> None:
    recipient = RawRecipient(tls=for_bob)
    async with recipient, ringing(recipient, OVER_TLS, tls=authority.trusting) as callback:
        for number in range(20):
            assert await exchange(callback, b"%d" % number * 1000) == HAPPY
    assert recipient.connections == 1
    assert [call.body for call in recipient.calls] == [b"%d" % number * 1000 for number in range(20)]


@pytest.mark.parametrize("end", [hang_up, reset])
async def test_a_kept_connection_over_tls_that_ends_is_made_anew(
    authority: Authority, for_bob: ssl.SSLContext, end: Act
) -> None:
    recipient = RawRecipient(answer, end, answer, say_and_hang_up(OK), tls=for_bob)
    async with recipient, ringing(recipient, OVER_TLS, tls=authority.trusting) as callback:
        for _ in range(4):
            assert await exchange(callback) == HAPPY
    assert [call.connection for call in recipient.calls] == [1, 1, 2, 2, 3]


async def test_an_answer_over_tls_may_end_with_the_connection(authority: Authority, for_bob: ssl.SSLContext) -> None:
    act = say_and_hang_up(b"HTTP/1.1 200 OK\r\n\r\n{}")
    recipient = RawRecipient(act, tls=for_bob)
    async with recipient, ringing(recipient, OVER_TLS, tls=authority.trusting) as callback:
        assert await exchange(callback) == HAPPY


@pytest.mark.parametrize("act", [answer, hang, say_and_hang(OK[:-1])])
async def test_who_closes_over_tls_hangs_up(
    results: list[HttpResponse | CallbackError], authority: Authority, for_bob: ssl.SSLContext, act: Act
) -> None:
    recipient = RawRecipient(act, tls=for_bob)
    async with recipient, ringing(recipient, OVER_TLS, tls=authority.trusting) as callback:
        callback.post(b"Content-Length: 2\r\n\r\n", b"{}", results.append)
        await recipient.called(1)
        callback.close()
        await recipient.left(1)
    assert results == []
    collect_garbage()
