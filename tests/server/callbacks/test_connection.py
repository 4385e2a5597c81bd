"""One connection over real sockets: what its owner hears of answers, of ends, and of what nobody asked for."""

import asyncio
import socket
import ssl
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from protocol.methods import MAX_PUSH_BYTES, MAX_REPLY_BYTES
from server.callbacks.connection import ENDED, Connection
from server.callbacks.exchange import HttpResponse
from server.callbacks.io_batcher import IoBatcher, IoHandler
from tests.fakes import PATIENCE_SECONDS
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

HEAD = b"POST /rpc HTTP/1.1\r\nContent-Length: 2\r\n\r\n"


class Ear:
    """An owner that writes down what it hears: answers with whether the connection is still there, and ends."""

    def __init__(self) -> None:
        self.replies: list[tuple[HttpResponse, bool]] = []
        self.losses: list[tuple[str, bool]] = []
        self._changed = asyncio.Event()

    def responded(self, response: HttpResponse, *, reusable: bool) -> None:
        self.replies.append((response, reusable))
        self._changed.set()

    def lost(self, connection: Connection, problem: str, *, unanswered: bool) -> None:
        assert connection.is_closed
        self.losses.append((problem, unanswered))
        self._changed.set()

    async def hears(self, *, replies: int = 0, losses: int = 0) -> None:
        """Return when it has heard so much, and no more than that."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (len(self.replies), len(self.losses)) != (replies, losses):
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@asynccontextmanager
async def connected(
    recipient: RawRecipient, ear: Ear, tls: ssl.SSLContext | None = None, batcher: IoBatcher | None = None
) -> AsyncIterator[Connection]:
    loop, batcher = asyncio.get_running_loop(), batcher or IoBatcher()
    _, connection = await loop.create_connection(lambda: Connection(ear, batcher), "127.0.0.1", recipient.port)
    if tls is not None:
        await connection.start_tls(tls, "bob.example")
    try:
        yield connection
    finally:
        connection.close()


def small_window() -> socket.socket:
    """Give a listener with so little room that its clients have to wait before all of a large request is on its way."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    listener.bind(("127.0.0.1", 0))
    return listener


async def test_one_exchange_goes_after_the_other(ear: Ear) -> None:
    async with RawRecipient() as recipient, connected(recipient, ear) as connection:
        for number in range(1, 11):
            connection.send((HEAD, b"%2d" % number))
            await ear.hears(replies=number)
    assert ear.replies == [(HttpResponse(200, b"{}"), True)] * 10
    assert [(call.head, call.body) for call in recipient.calls] == [(HEAD, b"%2d" % n) for n in range(1, 11)]
    assert recipient.connections == 1


@pytest.mark.parametrize("cut", [1, 20, len(OK) - 1])
async def test_an_answer_may_come_in_pieces(ear: Ear, cut: int) -> None:
    going_on = asyncio.Event()

    async def say_half(call: Call) -> None:
        await say(OK[:cut])(call)
        await going_on.wait()
        call.say(OK[cut:])

    async with RawRecipient(say_half) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await recipient.called(1)
        assert ear.replies == []
        going_on.set()
        await ear.hears(replies=1)
    assert ear.replies == [(HttpResponse(200, b"{}"), True)]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(say_and_hang(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"), id="close"),
        pytest.param(say_and_hang(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"), id="HTTP/1.0"),
        pytest.param(say_and_hang(OK + OK), id="two answers"),
        pytest.param(say_and_hang(OK + b"rubbish"), id="rubbish"),
        pytest.param(say_and_hang_up(b"HTTP/1.1 200 OK\r\n\r\n{}"), id="an answer that ends with the connection"),
    ],
)
async def test_after_an_answer_that_ends_the_connection_it_is_hung_up(ear: Ear, act: Act) -> None:
    async with RawRecipient(act) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(replies=1)
        await recipient.left(1)
        assert connection.is_closed
    assert (ear.replies, ear.losses) == ([(HttpResponse(200, b"{}"), False)], [])


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(ear: Ear) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    act = say_and_hang(head, b"a" * (MAX_REPLY_BYTES + 1))
    async with RawRecipient(act) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(replies=1)
        await recipient.left(1)
    [(response, reusable)] = ear.replies
    assert (response.truncated, reusable, ear.losses) == (True, False, [])


@pytest.mark.parametrize("act", [hang_up, reset])
async def test_an_end_before_the_first_byte_is_told(ear: Ear, act: Act) -> None:
    async with RawRecipient(act) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(losses=1)
    assert ear.losses == [(ENDED, True)]


@pytest.mark.parametrize(
    "beginning",
    [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", OK[:-1], b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n"],
)
async def test_an_end_in_the_midst_of_an_answer_is_told(ear: Ear, beginning: bytes) -> None:
    async with RawRecipient(say_and_hang_up(beginning)) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(losses=1)
    assert ear.losses == [(ENDED, False)]


@pytest.mark.parametrize("end", [Call.hang_up, Call.reset])
async def test_an_end_while_nothing_is_asked_is_told(ear: Ear, end: Callable[[Call], None]) -> None:
    answered = asyncio.Event()

    async def end_later(call: Call) -> None:
        await answer(call)
        await answered.wait()
        end(call)

    async with RawRecipient(end_later) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(replies=1)
        answered.set()
        await ear.hears(replies=1, losses=1)
        assert connection.is_closed
    assert [unanswered for _, unanswered in ear.losses] == [True]


@pytest.mark.parametrize("said", [OK, b"H", b"\r\n", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"])
async def test_what_is_said_while_nothing_is_asked_ends_the_connection(ear: Ear, said: bytes) -> None:
    answered = asyncio.Event()

    async def speak_up(call: Call) -> None:
        await answer(call)
        await answered.wait()
        call.say(said)
        assert await call.rest() == b""

    async with RawRecipient(speak_up) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(replies=1)
        answered.set()
        await ear.hears(replies=1, losses=1)
        await recipient.left(1)
    assert ear.losses == [("the other side sent data without a request", True)]


async def test_what_is_not_http_ends_the_connection(ear: Ear) -> None:
    act = say_and_hang(b"SSH-2.0-OpenSSH_9.6\r\n")
    async with RawRecipient(act) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(losses=1)
        await recipient.left(1)
    assert ear.losses == [("the response is not HTTP", False)]


@pytest.mark.parametrize("secured", [False, True])
async def test_who_answers_before_the_whole_request_has_left_is_asked_nothing_more(
    ear: Ear, authority: Authority, for_bob: ssl.SSLContext, *, secured: bool
) -> None:
    heard = asyncio.Event()
    rest = b""

    async def answer_early(call: Call) -> None:
        nonlocal rest
        call.transport.pause_reading()
        call.say(OK)
        await heard.wait()
        call.transport.resume_reading()
        rest = await call.rest()

    recipient = RawRecipient(answer_early, listener=small_window(), tls=for_bob if secured else None)
    async with recipient, connected(recipient, ear, authority.trusting if secured else None) as connection:
        connection.send((HEAD, b"a" * MAX_PUSH_BYTES))
        await ear.hears(replies=1)
        heard.set()
        assert ear.replies == [(HttpResponse(200, b"{}"), False)]
        assert connection.is_closed
        await recipient.left(1)
    assert len(rest) < MAX_PUSH_BYTES


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(answer, id="idle"),
        pytest.param(hang, id="asked"),
        pytest.param(say_and_hang(OK[:-1]), id="in the midst of an answer"),
    ],
)
async def test_who_hangs_up_hears_nothing_more(ear: Ear, act: Act) -> None:
    async with RawRecipient(act) as recipient:
        async with connected(recipient, ear) as connection:
            connection.send((HEAD, b"{}"))
            await recipient.called(1)
            heard = len(ear.replies)
            connection.close()
            await recipient.left(1)
        assert (len(ear.replies), ear.losses) == (heard, [])


@pytest.mark.parametrize(
    ("act", "replies"),
    [
        pytest.param(answer, 1, id="an answer"),
        pytest.param(say_and_hang_up(b"HTTP/1.1 200 OK\r\n\r\n{}"), 1, id="an answer that ends with the connection"),
        pytest.param(say(b"rubbish"), 0, id="rubbish"),
        pytest.param(hang_up, 0, id="the end"),
    ],
)
async def test_the_owner_may_hang_up_when_it_hears_something(act: Act, replies: int) -> None:
    class Brusque(Ear):
        def responded(self, response: HttpResponse, *, reusable: bool) -> None:
            super().responded(response, reusable=reusable)
            connection.close()

        def lost(self, connection: Connection, problem: str, *, unanswered: bool) -> None:
            super().lost(connection, problem, unanswered=unanswered)
            connection.close()

    ear = Brusque()
    async with RawRecipient(act) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(replies=replies, losses=1 - replies)
        await recipient.left(1)
    assert len(ear.replies) + len(ear.losses) == 1


async def test_the_next_request_may_be_sent_when_an_answer_is_heard() -> None:
    class Eager(Ear):
        def responded(self, response: HttpResponse, *, reusable: bool) -> None:
            super().responded(response, reusable=reusable)
            if len(self.replies) < 10:
                connection.send((HEAD, b"{}"))

    ear = Eager()
    async with RawRecipient() as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(replies=10)
        assert len(recipient.calls) == 10


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux lets a receiver acknowledge at once")
@pytest.mark.parametrize("secured", [False, True])
async def test_an_answer_in_two_writes_with_nagles_algorithm_does_not_take_40_ms(
    ear: Ear, authority: Authority, for_bob: ssl.SSLContext, *, secured: bool
) -> None:
    """An exchange that waits for a delayed acknowledgement takes 40 ms at least, all but the first few of them."""

    async def answer_in_two_writes(call: Call) -> None:
        call.set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        await say(OK[:-2], OK[-2:])(call)

    recipient = RawRecipient(*[answer_in_two_writes] * 50, tls=for_bob if secured else None)
    async with recipient, connected(recipient, ear, authority.trusting if secured else None) as connection:
        ends = [time.monotonic()]
        for number in range(1, 51):
            connection.send((HEAD, b"{}"))
            await ear.hears(replies=number)
            ends.append(time.monotonic())
        # A busy machine makes some exchanges slow, and waiting most of them.
        assert statistics.median(end - begin for begin, end in pairwise(ends)) < 0.04
    assert recipient.connections == 1


class Held(IoBatcher):
    """Lets write when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[tuple[IoHandler, Iterable[bytes]]] = []

    def write_later(self, who: IoHandler, pieces: Iterable[bytes]) -> None:
        self._held.append((who, pieces))

    def let_write(self) -> None:
        for who, pieces in self._held:
            who.write(pieces)


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("end", [Call.hang_up, Call.reset])
async def test_a_request_whose_turn_comes_after_the_end_is_not_written(
    ear: Ear, authority: Authority, for_bob: ssl.SSLContext, end: Callable[[Call], None], *, secured: bool
) -> None:
    answered = asyncio.Event()

    async def end_later(call: Call) -> None:
        await answer(call)
        await answered.wait()
        end(call)

    batcher, recipient = Held(), RawRecipient(end_later, tls=for_bob if secured else None)
    async with recipient, connected(recipient, ear, authority.trusting if secured else None, batcher) as connection:
        connection.send((HEAD, b"{}"))
        batcher.let_write()
        await ear.hears(replies=1)
        connection.send((HEAD, b"{}"))
        answered.set()
        await ear.hears(replies=1, losses=1)
        batcher.let_write()
    assert [unanswered for _, unanswered in ear.losses] == [True]


class HeldTurns(IoBatcher):
    """Turns that come when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[tuple[IoHandler, bytes]] = []
        self.came = asyncio.Event()

    def read_later(self, who: IoHandler, data: bytes) -> None:
        self.pieces.append((who, data))
        self.came.set()

    def begin(self) -> None:
        pieces, self.pieces = self.pieces, []
        for who, data in pieces:
            who.read(data)


async def test_a_flood_is_not_taken_in_before_its_turn(ear: Ear) -> None:
    held = HeldTurns()
    flood, quiet = RawRecipient(say(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 8_000_000)), RawRecipient(say(OK))
    async with flood, quiet, connected(flood, ear, batcher=held) as flooded:
        flooded.send((HEAD, b"{}"))
        await held.came.wait()
        while len(held.pieces[-1][1]) < MAX_REPLY_BYTES:  # the kernel gives little at first
            held.came.clear()
            held.begin()
            await held.came.wait()
        before = len(held.pieces)
        for _ in range(10):  # the loop looks at all sockets in each of these
            other = Ear()
            async with connected(quiet, other) as connection:
                connection.send((HEAD, b"{}"))
                await other.hears(replies=1)
        assert len(held.pieces) == before
        held.begin()
        assert [response.truncated for response, _ in ear.replies] == [True]
        assert flooded.is_closed


async def test_a_large_piece_of_a_good_answer_is_followed_by_the_rest(ear: Ear) -> None:
    padding = b"X: y\r\n" * 100
    body = b" " * (MAX_REPLY_BYTES - 2) + b"{}"
    chunks = b"".join(b"1000\r\n%b\r\n" % body[start : start + 4096] for start in range(0, len(body), 4096))
    answer = b"HTTP/1.1 200 OK\r\n" + padding + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    async with RawRecipient(say(answer, b"0\r\n\r\n")) as recipient, connected(recipient, ear) as connection:
        connection.send((HEAD, b"{}"))
        await ear.hears(replies=1)
        assert ear.replies == [(HttpResponse(200, body), True)]
