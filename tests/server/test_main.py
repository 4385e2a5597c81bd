"""`python -m server` as a process: its first words, its settings, signals, and what nobody may make it print."""

import asyncio
import fcntl
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web

from server.app import listen
from server.settings import TABLE
from tests.fakes import PATIENCE_SECONDS, Recipient, take
from tests.server.served import exchange_raw

ROOT = Path(__file__).parents[2]
RUNNING = "[SERVER] Real-time RPC chat server running on "


class Process:
    """`python -m server`; `lines` is what it printed so far, standard error included."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    @property
    def port(self) -> int:
        found = re.search(r":(\d+)\b", self.lines[0].partition("running on ")[2])
        assert found, self.lines
        return int(found[1])

    async def line(self) -> str:
        """Give the next line; empty at the end."""
        stream = self.process.stdout or self.process.stderr
        assert stream is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = (await stream.readline()).decode()
        if line:
            self.lines.append(line.rstrip("\n"))
        return line

    async def until(self, words: str) -> None:
        """Return when a line with these words was printed."""
        while words not in await self.line():
            assert not self.process.stdout or not self.process.stdout.at_eof(), self.lines

    async def end(self) -> int:
        """Read to the end, and give the exit code."""
        while await self.line():
            pass
        return await self.process.wait()

    async def call(self, session: ClientSession, method: str, **params: Any) -> Any:
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        async with session.post(f"http://127.0.0.1:{self.port}/rpc", json=request) as response:
            return msgspec.json.decode(await response.read())


@asynccontextmanager
async def running(*arguments: str, stdout: int = asyncio.subprocess.PIPE, **environment: str) -> AsyncIterator[Process]:
    """Start it with these arguments and variables, its log in memory; it is killed at the end if it has not ended.

    With another `stdout` its `lines` are those of standard error.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
    inherited["CHAT_STORE"] = "memory:"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", *arguments,
        cwd=ROOT, env=inherited | environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=stdout,
        stderr=asyncio.subprocess.STDOUT if stdout == asyncio.subprocess.PIPE else asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def serving(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    """The same, listening on a free port of 127.0.0.1."""
    pipe = asyncio.subprocess.PIPE
    async with running("--host", "127.0.0.1", "--port", "0", *arguments, stdout=pipe, **environment) as server:
        await server.until("Waiting for client connections...")
        yield server


async def test_help_tells_every_setting() -> None:
    async with running("--help") as server:
        assert await server.end() == 0
        text = "\n".join(server.lines)
    assert all(setting.flag in text and setting.variable in text for setting in TABLE)


async def test_a_bad_value_ends_it_with_a_sentence() -> None:
    async with running(CHAT_PORT="http") as server:
        assert await server.end() == 2
        assert "'--port' (env var: 'CHAT_PORT')" in server.lines[-1]


async def test_a_port_in_use_ends_it_with_a_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.port
        async with running("--host", "127.0.0.1", CHAT_PORT=str(port)) as server:
            assert await server.end() == 1
    assert len(server.lines) == 1
    assert server.lines[0].startswith(f"[ERROR] cannot listen on 127.0.0.1:{port}: Address already in use")


async def test_it_does_not_start_where_http_is_parsed_in_python() -> None:
    async with running("--port", "0", AIOHTTP_NO_EXTENSIONS="1") as server:
        assert await server.end() == 1
    assert len(server.lines) == 1
    assert server.lines[0].startswith("[ERROR] aiohttp parses HTTP in Python here")
    assert server.lines[0].endswith("pip install --force-reinstall --only-binary aiohttp aiohttp")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_its_first_and_last_words_and_that_it_ends_well(number: signal.Signals) -> None:
    """An empty variable counts as not set, so that it listens on 0.0.0.0; the flag wins over the variable."""
    async with running("--port", "0", CHAT_HOST="", CHAT_PORT="1", CHAT_JOIN_KEY="") as server:
        await server.until("Waiting")
        server.process.send_signal(number)
        assert await server.end() == 0
    assert server.lines == [
        f"{RUNNING}0.0.0.0:{server.port}",
        "[SERVER] Waiting for client connections...",
        "[SERVER] Shutting down...",
        "[SERVER] Stopped",
    ]
    assert server.port > 1


async def test_a_call_in_flight_is_answered_before_it_ends(session: ClientSession, recipient: Recipient) -> None:
    async with serving() as server:
        answer_now = asyncio.Event()

        async def answer_late(request: web.Request, body: Any) -> web.StreamResponse:
            await answer_now.wait()
            return await take(request, body)

        recipient.behaviour = answer_late
        params = {"name": "Bob", "callback": recipient.callback, "secret": recipient.secret}
        registering = asyncio.create_task(server.call(session, "Register", **params))
        await recipient.posted(1)
        server.process.send_signal(signal.SIGTERM)
        await server.until("Shutting down")
        server.process.send_signal(signal.SIGTERM)  # impatience changes nothing
        async with session.post(f"http://127.0.0.1:{server.port}/rpc", json={}) as response:
            assert (response.status, response.headers["Retry-After"].isdigit()) == (503, True)
        answer_now.set()
        assert (await registering)["result"]["success"]
        assert await server.end() == 0
    assert [line.split("]")[0] for line in server.lines[-2:]] == ["[JOIN", "[SERVER"]


async def test_json_lines_are_json_from_the_first_to_the_last(session: ClientSession) -> None:
    async with serving(CHAT_LOG_FORMAT="json", CHAT_LOG_LEVEL="info") as server:
        await server.call(session, "Register", name="Zoë 山田")
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
    lines = [msgspec.json.decode(line) for line in server.lines]
    assert {line["tag"] for line in lines} == {"SERVER", "JOIN"}
    assert any("Zoë 山田" in line["message"] for line in lines)


async def test_on_debug_level_it_tells_what_it_otherwise_leaves_out() -> None:
    async with serving("--log-level", "debug") as server:
        assert (await exchange_raw(server.port, b"GET /\xff HTTP/1.1\r\n\r\n"))[0] == 400
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
    assert "Refused a malformed or incomplete request: " in server.lines[2]
    assert len(server.lines) == 5


async def test_names_that_the_terminal_cannot_write_cost_no_line(session: ClientSession) -> None:
    async with serving(PYTHONIOENCODING="ascii") as server:
        await server.call(session, "Register", name="Zoë 山田")
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
    assert server.lines[2].startswith("[JOIN] User Zo\\xeb \\u5c71\\u7530 (ID: zo-")
    assert len(server.lines) == 5


async def test_what_is_not_http_leaves_no_line(session: ClientSession) -> None:
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with serving() as server:
        for sent in (
            b"\x16\x03\x01\x02\x00" + bytes(200),
            b"GET /\xff HTTP/1.1\r\n\r\n",
            head + b"Content-Length: x\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            head + b"Content-Encoding: deflate\r\nContent-Length: 2\r\n\r\n{}",
        ):
            assert (await exchange_raw(server.port, sent))[0] in (400, 415)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head + b"Content-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()
        assert (await server.call(session, "Register", name="Alice"))["result"]["success"]
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
    assert [line.split("]")[0] for line in server.lines] == ["[SERVER", "[SERVER", "[JOIN", "[SERVER", "[SERVER"]


def first_words(reading: int) -> int:
    """Read a server's log from a pipe until it waits for clients; give its port."""
    log = b""
    while b"Waiting" not in log:
        log += os.read(reading, 1000)
    found = re.search(rb"running on 127\.0\.0\.1:(\d+)", log)
    assert found, log
    return int(found[1])


async def chat_at(port: int, session: ClientSession, messages: int) -> None:
    """Register and say so many lines; each must be answered with success."""

    async def call(method: str, token: str = "", **params: Any) -> Any:
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with session.post(f"http://127.0.0.1:{port}/rpc", json=request, headers=headers) as response:
            return msgspec.json.decode(await response.read())["result"]

    async with asyncio.timeout(PATIENCE_SECONDS):
        me = await call("Register", name="Alice")
        for _ in range(messages):
            assert (await call("SendMessage", me["token"], user_id=me["id"], text="x" * 300))["success"]


LOCAL = ("--host", "127.0.0.1", "--port", "0", "--rate", "0")


async def test_log_that_nobody_reads_freezes_neither_calls_nor_the_end(session: ClientSession) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    async with running(*LOCAL, stdout=writing) as server:
        os.close(writing)
        await chat_at(await asyncio.to_thread(first_words, reading), session, messages=50)
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
    os.close(reading)
    assert server.lines == []


async def test_log_whose_reader_has_gone_ends_nothing_and_leaves_no_traceback(session: ClientSession) -> None:
    reading, writing = os.pipe()
    async with running(*LOCAL, stdout=writing) as server:
        os.close(writing)
        port = await asyncio.to_thread(first_words, reading)
        os.close(reading)
        await chat_at(port, session, messages=5)
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
    assert server.lines == []


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("backup", "--help"), ("backup", "copy.db"), ("backup", "-")],
    ids=["help", "help of backup", "backup", "backup to a pipe"],
)
async def test_command_whose_output_cannot_be_written_ends_with_a_sentence(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    store = tmp_path / "chat.db"
    async with serving(CHAT_STORE=f"sqlite:{store}") as server:
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
    given = [str(tmp_path / word) if word == "copy.db" else word for word in arguments]
    full = os.open("/dev/full", os.O_WRONLY)
    async with running(*given, stdout=full, CHAT_STORE=f"sqlite:{store}") as command:
        os.close(full)
        assert await command.end() == 1
    assert len(command.lines) == 1
    assert command.lines[0].endswith("cannot write to standard output: No space left on device")
