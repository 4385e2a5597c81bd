"""Callbacks that answer with too much, too slowly or with nonsense: in time, within 8 MB, and no matter to others.

`tests/server/test_callbacks.py` tests `Register` stage by stage. Here are the floods, and their effect on a
delivery.
"""

import asyncio
import functools
import gzip
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import msgspec
import pytest

from protocol.methods import MAX_REPLY_BYTES
from server import logs
from server.app import Dependencies, Server, listen
from server.net.deadlines import GRAIN_SECONDS
from tests.fakes import PATIENCE_SECONDS, Json, Recipient, RpcError, RunningServer, local_settings
from tests.processes import Program

EXCHANGE_SECONDS: Final = 1.0
SLACK_SECONDS: Final = 20.0  # for a machine that is busy with something else
MEMORY_KB: Final = 8 * 1024
FED_BYTES: Final = 64 * 1024 * 1024
PIECE_BYTES: Final = 256 * 1024
MODULE: Final = "tests.hostile.test_callback_answers"  # run as a program it is a server

OK: Final = b"HTTP/1.1 200 OK\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Json], Awaitable[None]]


def feed(beginning: bytes, piece: bytes) -> Act:
    """Say this, and then so much as fast as it is taken; at the end wait until the other side has hung up."""
    pieces = piece * max(1, PIECE_BYTES // len(piece))

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _call: Json) -> None:
        writer.write(beginning)
        for _ in range(FED_BYTES // len(pieces)):
            writer.write(pieces)
            await writer.drain()
        await reader.read()

    return act


def drip(beginning: bytes, piece: bytes) -> Act:
    """Say this, and then a little again and again, until the other side has hung up."""

    async def act(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _call: Json) -> None:
        writer.write(beginning)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    return act


def say(head: bytes, body: bytes) -> Act:
    """Answer with this head and body."""

    async def act(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _call: Json) -> None:
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    return act


async def answer_under_another_id(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: Json) -> None:
    other = f"not {call['id']}" if isinstance(call["id"], str) else call["id"] + 1
    writer.write(as_http(good_answer(call) | {"id": other}))


# 48 MB of spaces in less than 64 KiB, so that all of it is read (RFC 1952, section 2.2: one member after the other).
BOMB: Final = gzip.compress(b" " * (1024 * 1024)) * 48
BOMB_HEAD: Final = OK + b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n"

HEADERS: Final = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 8192) for number in range(120))
DENSE_JSON: Final = b"[" + b",".join([b"{}"] * (MAX_REPLY_BYTES // 3 - 1)) + b"]"

# What a callback may answer with, and the stage that `Register` tells of it.
HOSTILE: Final[dict[str, tuple[Act, str]]] = {
    "endless body": (feed(OK + b"\r\n", b" "), "rpc"),
    "endless body with a length": (feed(OK + b"Content-Length: 999999999999\r\n\r\n", b" "), "rpc"),
    "endless chunks": (feed(CHUNKED, b"2000\r\n" + b" " * 8192 + b"\r\n"), "rpc"),
    "endless chunks of one byte": (feed(CHUNKED, b"1\r\n \r\n"), "rpc"),
    "endless chunk extension": (feed(CHUNKED + b"1;", b"a"), "http"),
    "endless trailers": (feed(CHUNKED + b"0\r\n", b"ab:cd\r\n"), "http"),
    "endless interim answers": (feed(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "http"),
    "gzip bomb": (say(BOMB_HEAD, BOMB), "rpc"),
    "120 headers of 8 KB": (feed(OK + HEADERS, b"X: y\r\n"), "http"),
    "endless small headers": (feed(OK, b"ab:cd\r\n"), "http"),
    "endless header": (feed(OK + b"X: ", b"a"), "http"),
    "dripping headers": (drip(OK, b"X: y\r\n"), "timeout"),
    "dripping body": (drip(OK + b"Content-Length: 60000\r\n\r\n", b" "), "timeout"),
    "garbage": (feed(b"", bytes(range(256))), "http"),
    "another id": (answer_under_another_id, "rpc"),
    "HTML": (say(OK + b"Content-Type: text/html\r\n", b"<!doctype html><title>Welcome</title>" * 100), "rpc"),
    "64 KiB of empty objects": (say(OK, DENSE_JSON), "rpc"),
}
assert len(BOMB) < MAX_REPLY_BYTES
each_kind = pytest.mark.parametrize(("act", "stage"), HOSTILE.values(), ids=HOSTILE.keys())


def good_answer(call: Json) -> Json:
    proves = call["method"] == "VerifyCallback"
    return {"jsonrpc": "2.0", "result": call["params"]["challenge"] if proves else {"success": True}, "id": call["id"]}


def as_http(answer: Json) -> bytes:
    body = msgspec.json.encode(answer)
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Turncoat:
    """A recipient that answers well until it is given an act. `texts` are all that came, repeats included.

    `durations` has for each hostile answer how many seconds the server put up with it.
    """

    def __init__(self, act: Act | None = None) -> None:
        self.act = act
        self.texts: list[str] = []
        self.durations: list[float] = []
        self._changed = asyncio.Event()
        self._conversations: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.callback = f":{self._listener.sockets[0].getsockname()[1]}/rpc"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for conversation in self._conversations:
            conversation.cancel()
        for result in await asyncio.gather(*self._conversations, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._listener.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at after each POST."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def has_been_hostile(self, times: int) -> None:
        await self.until(lambda: len(self.durations) >= times)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._conversations.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the server has had enough
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length is not None
        call = msgspec.json.decode(await reader.readexactly(int(length[1])))
        began = asyncio.get_running_loop().time()
        if call["method"] == "ReceiveMessage":
            self.texts.append(call["params"]["message"]["text"])
        try:
            if self.act is None:
                writer.write(as_http(good_answer(call)))
            else:
                await self.act(reader, writer, call)
        finally:
            if self.act is not None:
                self.durations.append(asyncio.get_running_loop().time() - began)
            self._changed.set()


# One after the other, in this process, with a clock that is wound by hand.


@pytest.fixture
async def hasty(session: aiohttp.ClientSession) -> AsyncIterator[RunningServer]:
    async with RunningServer(session, exchange_seconds=EXCHANGE_SECONDS) as server:
        yield server


@each_kind
async def test_a_hostile_proof_is_refused_in_time_and_others_are_rung_meanwhile(
    hasty: RunningServer, recipient: Recipient, act: Act, stage: str
) -> None:
    await hasty.register("Bob", recipient)
    alice = await hasty.register("Alice")
    async with Turncoat(act) as hostile:
        async with asyncio.timeout(EXCHANGE_SECONDS + SLACK_SECONDS), asyncio.TaskGroup() as group:
            refused = group.create_task(refusal_of(hasty, hostile))
            for number in range(20):
                await alice.say(str(number))
            await recipient.has(*map(str, range(20)))
        error = refused.result()
        await hostile.has_been_hostile(1)
    assert (error.code, error.data["stage"]) == (-32004, stage)
    assert len(hostile.durations) == 1
    assert [member["name"] for member in (await alice.call("ListMembers"))["members"]] == ["Alice", "Bob"]


async def refusal_of(server: RunningServer, hostile: Turncoat) -> RpcError:
    with pytest.raises(RpcError) as refused:
        await server.call("Register", name="Eve", callback=hostile.callback)
    return refused.value


@each_kind
async def test_a_hostile_answer_to_a_message_is_a_failure_in_time_and_costs_no_message(
    hasty: RunningServer, recipient: Recipient, act: Act, stage: str
) -> None:
    del stage
    async with Turncoat() as hostile:
        await hasty.register("Bob", recipient)
        eve = await hasty.register("Eve", callback=hostile.callback)
        alice = await hasty.register("Alice")
        await hostile.until(lambda: hostile.texts == ["Alice joined the chat"])
        hostile.act = act
        async with asyncio.timeout(EXCHANGE_SECONDS + SLACK_SECONDS):
            for number in range(20):
                await alice.say(str(number))
            await recipient.has(*map(str, range(20)))
            await hasty.clock.someone_waits(0.2, 0.3)  # for the first retry
        hostile.act = None
        hasty.clock.advance(0.3)
        await hostile.until(lambda: hostile.texts[-1] == "19")
        assert hostile.texts == ["Alice joined the chat", "0", *map(str, range(20))]
        assert (await eve.call("Ping"))["callback"].endswith(hostile.callback)


# All of them at once, against a process of its own whose memory can be looked at.


class HastyProcess:
    """A server in a process of its own that gives a callback a second."""

    def __init__(self, program: Program, session: aiohttp.ClientSession) -> None:
        self.program = program
        self.url = ""
        self._session = session

    async def __aenter__(self) -> Self:
        address = await self.program.after("Real-time RPC chat server running on ")
        self.url = f"http://{address}/rpc"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.program.stop()
                assert "Traceback" not in str(self.program)
        finally:
            await self.program.kill()

    async def call(self, method: str, token: str | None = None, **params: Any) -> Json:
        """Give the whole answer."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._session.post(self.url, json=request, headers=headers) as response:
            answer: Json = await response.json()
            return answer

    async def register(self, name: str, callback: str | None = None, **params: Any) -> Json:
        result: Json = (await self.call("Register", name=name, callback=callback, **params))["result"]
        return result

    async def say(self, seat: Json, text: str) -> None:
        answer = await self.call("SendMessage", seat["token"], user_id=seat["id"], text=text)
        assert answer["result"]["success"]

    def memory(self, field: str = "VmRSS") -> int:
        """Kilobytes: `VmRSS` is what it has now, `VmHWM` the most since `forget_peak` (proc(5))."""
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1])

    def forget_peak(self) -> None:
        Path(f"/proc/{self.program.pid}/clear_refs").write_text("5")


@pytest.fixture
async def process(session: aiohttp.ClientSession) -> AsyncIterator[HastyProcess]:
    if sys.platform != "linux":
        pytest.skip("how much memory a process has had at most is known on Linux only")
    async with HastyProcess(await Program.start("-m", MODULE), session) as process:
        yield process


async def test_proofs_of_every_hostile_kind_at_once_cost_less_than_8_mb(
    process: HastyProcess, recipient: Recipient
) -> None:
    await process.register("Bob", recipient.callback, secret=recipient.secret)
    alice = await process.register("Alice")
    async with AsyncExitStack() as stack:
        turncoats = {kind: await stack.enter_async_context(Turncoat(act)) for kind, (act, _) in HOSTILE.items()}
        await chat(process, alice, recipient, "warm")
        before = process.memory()
        process.forget_peak()
        for round_number in range(3):
            attack = asyncio.create_task(attack_register(process, turncoats))
            await chat(process, alice, recipient, f"round {round_number}")
            await attack
        assert process.memory("VmHWM") - before < MEMORY_KB


async def chat(process: HastyProcess, speaker: Json, hearer: Recipient, words: str) -> list[str]:
    """Say much, and return when all of it has been heard, in order."""
    texts = [f"{words} {number}" for number in range(25)]
    for text in texts:
        await process.say(speaker, text)
    await hearer.has(*texts)
    return texts


@pytest.mark.parametrize(
    ("kind", "times"), [("endless body", 200), ("endless chunks of one byte", 30), ("endless trailers", 30)]
)
async def test_one_hostile_proof_after_the_other_leaves_nothing_behind(
    process: HastyProcess, kind: str, times: int
) -> None:
    await process.register("Alice")
    async with Turncoat(HOSTILE[kind][0]) as hostile:
        before = process.memory()
        process.forget_peak()
        for _ in range(times):
            refused = await process.call("Register", name="Eve", callback=hostile.callback)
            assert refused["error"]["code"] == -32004
            assert process.memory("VmHWM") - before < MEMORY_KB


async def attack_register(process: HastyProcess, turncoats: dict[str, Turncoat]) -> None:
    calls = [
        process.call("Register", name=f"Eve {number}", callback=turncoat.callback)
        for number, turncoat in enumerate(turncoats.values())
    ]
    answers = await asyncio.gather(*calls)
    told = {kind: answer["error"]["data"]["stage"] for kind, answer in zip(turncoats, answers, strict=True)}
    # Where the machine is busy, what would be refused for what it is may first take too long.
    assert {kind: stage for kind, stage in told.items() if stage not in (HOSTILE[kind][1], "timeout")} == {}


async def test_recipients_that_turn_hostile_cost_less_than_8_mb_and_lose_nothing(
    process: HastyProcess, recipient: Recipient
) -> None:
    await process.register("Bob", recipient.callback, secret=recipient.secret)
    async with AsyncExitStack() as stack:
        turncoats = {kind: await stack.enter_async_context(Turncoat()) for kind in HOSTILE}
        seats = [
            await process.register(f"Eve {number}", turncoat.callback)
            for number, turncoat in enumerate(turncoats.values())
        ]
        alice = await process.register("Alice")
        warm = await chat(process, alice, recipient, "warm")
        for kind, turncoat in turncoats.items():
            await turncoat.until(functools.partial(has_last, turncoat, warm[-1]))
            turncoat.act = HOSTILE[kind][0]
        before = process.memory()
        process.forget_peak()
        texts = await chat(process, alice, recipient, "meanwhile")
        await suffer(process, seats, turncoats, 4)
        assert process.memory("VmHWM") - before < MEMORY_KB
        slowest = {kind: max(turncoat.durations) for kind, turncoat in turncoats.items()}
        for seat, turncoat in zip(seats, turncoats.values(), strict=True):
            turncoat.act = None
            await process.call("Ping", seat["token"])
            await turncoat.until(functools.partial(has_last, turncoat, texts[-1]))
            assert list(dict.fromkeys(turncoat.texts))[-50:] == [*warm, *texts]
    allowed = EXCHANGE_SECONDS + GRAIN_SECONDS + SLACK_SECONDS
    assert {kind: seconds for kind, seconds in slowest.items() if seconds > allowed} == {}


def has_last(turncoat: Turncoat, text: str) -> bool:
    return turncoat.texts[-1:] == [text]


async def suffer(process: HastyProcess, seats: list[Json], turncoats: dict[str, Turncoat], times: int) -> None:
    """Return when each has been hostile so often; a ping brings the next try at once."""
    for seat, turncoat in zip(seats, turncoats.values(), strict=True):
        while len(turncoat.durations) < times:
            await process.call("Ping", seat["token"])
            await turncoat.has_been_hostile(len(turncoat.durations) + 1)


async def serve_hastily() -> None:
    """Do what `python -m server` does, with less time for a callback."""
    logs.configure("text", "info")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = Server(local_settings(), listen("127.0.0.1", 0), Dependencies(exchange_seconds=EXCHANGE_SECONDS))
    await server.start()
    logs.server.info("Real-time RPC chat server running on %s", server.authority)
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_hastily())
