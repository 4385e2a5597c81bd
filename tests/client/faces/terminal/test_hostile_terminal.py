"""What others say, are called, and what the server says of it, before each face that prints: as in a hostile world."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pexpect
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from protocol.errors import ContractError, ErrorCode
from protocol.messages import ChatMessage
from tests.client.fake_server import FakeServer, message, ring
from tests.client.processes import ENVIRONMENT, ROOT
from tests.client.window import Window
from tests.processes import Program

ROWS, COLUMNS = 120, 110
HARMLESS = ["HH:MM Bob: first", "HH:MM Bob: second", "HH:MM Bob: third, Eve"]

PAYLOADS = {
    "title": "\x1b]0;gotcha\x07",
    "title with ST": "\x1b]2;gotcha\x1b\\",
    "icon name": "\x1b]1;gotcha\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;Z290Y2hh\x07",
    "clipboard asked for": "\x1b]52;c;?\x07",
    "colours set": "\x1b]4;1;#000000\x07",
    "notification": "\x1b]777;notify;a;b\x07",
    "file": "\x1b]1337;File=inline=1:QQ==\x07",
    "screen wiped": "\x1b[2J",
    "history wiped": "\x1b[3J",
    "home": "\x1b[H",
    "up and over": "\x1b[3A\x1b[2KBob: never",
    "region scrolled": "\x1b[1;3r\x1b[2S",
    "other screen": "\x1b[?1049h",
    "mouse": "\x1b[?1003h",
    "reset": "\x1bc",
    "answer back": "\x1b[c\x1b[6n\x05",
    "title told": "\x1b[21t",
    "setting asked for": "\x1bP$qm\x1b\\",
    "graphics": "\x1bPq#0;2;0;0;0\x1b\\",
    "program command": "\x1b_Ga=T;AAAA\x1b\\",
    "privacy message": "\x1b^gotcha\x1b\\",
    "charset": "\x1b(0\x0e",
    "8-bit CSI": "\x9b2J",
    "8-bit OSC": "\x9d0;gotcha\x9c",
    "8-bit DCS": "\x90$qm\x9c",
    "8-bit index": "\x84\x85\x8d",
    "carriage return": "\rBob: never",
    "backspaces": "\x08\x08\x08\x08\x08Bob: never",
    "bell, form feed, tab stop": "\x07\x0c\x0b",
    "cut short": "\x18\x1a\x00\x7f\x1b",
    "colour": "\x1b[31;5mred",
    "paste": "\x1b[200~exit\r\x1b[201~",
    "right to left": "\u202eeve\u202c \u2066x\u2069 \u200f",
    "lines of Unicode": "\u2028Bob: never\u2029",
    "invisible": "\u200b\u2060\ufeff\u3164\u034f\U000e0041",
    "half a pile of marks": "\u0301" * 3,
}
CONTROL_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|.)", re.DOTALL)


def escaped(text: str) -> str:
    """Write everything as its number that is not plain ASCII."""
    return "".join(char if char.isascii() and char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text)


def said(seq: int, payload: str) -> ChatMessage:
    return message(seq, payload + ".")


def called(seq: int, payload: str) -> ChatMessage:
    return message(seq, "hi", sender=payload + ".")


def noticed(seq: int, payload: str) -> ChatMessage:
    return message(seq, payload + ". joined the chat", event="join")


KINDS = [(said, "Bob: {}."), (called, "{}.: hi"), (noticed, "[SYSTEM] {}. joined the chat")]
Kind = Callable[[int, str], ChatMessage]


@dataclass
class Room(FakeServer):
    """A server that says whatever a test likes."""

    seated: asyncio.Event = field(default_factory=asyncio.Event)

    async def _register(self, params: dict[str, Any], token: str, caller: str) -> dict[str, Any]:
        result = await super()._register(params, token, caller)
        self.seated.set()
        return result

    async def tell(self, messages: list[ChatMessage]) -> None:
        """Ring the one who is in with all of them, which must be taken."""
        await asyncio.wait_for(self.seated.wait(), 20)
        calls = [ring(each.seq, "ReceiveMessage", {"message": msgspec.to_builtins(each)}) for each in messages]
        status, answers = await self.post(self.only_member, calls)
        assert status == 200
        assert [answer["result"] for answer in answers] == [{"success": True}] * len(messages)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    fake = Room()
    app = web.Application()
    app.router.add_post("/rpc", fake.handle)
    async with TestServer(app) as http:
        fake.url = f"http://127.0.0.1:{http.port}"
        yield fake


@pytest.fixture
def window(room: Room) -> Iterator[Window]:
    """A window high enough for all that is said, whose person has yet to say a name."""
    window = Window("--server", room.url)
    window.child.setwinsize(ROWS, COLUMNS)
    window.screen.resize(ROWS, COLUMNS)
    yield window
    window.close()


def sequences(written: str) -> set[str]:
    """Give the control sequences in it; as one those that move the cursor by columns or lines, or colour a name."""
    return {re.sub(r"\d+(?=[ABCD]$)|(?<=38;5;)\d+", "n", found) for found in CONTROL_SEQUENCE.findall(written)}


def settles(window: Window, *lines: str) -> None:
    """Wait until the screen ends with `lines` and a prompt that is drawn to its end, with the cursor shown again."""
    window.sees_last(*lines, "You:")
    while not window.written.endswith("\x1b[?25h"):
        window.child.expect(r"(?s).+")


@pytest.mark.parametrize(("kind", "line"), KINDS, ids=["text", "name", "notice"])
async def test_a_terminal_shows_it_as_text_and_stays_as_it_was(
    room: Room, window: Window, kind: Kind, line: str
) -> None:
    await asyncio.to_thread(window.gets, "Enter your name: ")
    window.enters("Eve")
    await room.tell([message(seq, text.removeprefix("HH:MM Bob: ")) for seq, text in enumerate(HARMLESS, 2)])
    await asyncio.to_thread(settles, window, *HARMLESS)
    harmless, lines, mode = window.written, window.lines(), set(window.screen.mode)

    await room.tell([kind(seq, payload) for seq, payload in enumerate(PAYLOADS.values(), 5)])
    await room.tell([message(100, "last")])
    await asyncio.to_thread(settles, window, "HH:MM Bob: last")

    shown = [f"HH:MM {line.format(escaped(payload))}" for payload in PAYLOADS.values()]
    assert window.lines() == [*lines[:-1], *shown, "HH:MM Bob: last", "You:"]
    assert (window.screen.title, window.screen.icon_name, window.screen.mode) == ("", "", mode)
    hostile = window.written.removeprefix(harmless)
    assert sequences(hostile) <= sequences(harmless)
    assert re.findall(r"[^\x1b\r\n -~]", hostile) == []


@pytest.mark.parametrize(("kind", "line"), KINDS, ids=["text", "name", "notice"])
async def test_a_terminal_shows_history_as_text_as_well(room: Room, window: Window, kind: Kind, line: str) -> None:
    room.log = [kind(seq, payload) for seq, payload in enumerate(PAYLOADS.values(), 5)]
    room.seq = room.log[-1].seq
    await asyncio.to_thread(window.gets, "Enter your name: ")
    mode = set(window.screen.mode)
    window.enters("Eve")
    await asyncio.to_thread(settles, window, "── end of history ──")
    shown = [f"HH:MM {line.format(escaped(payload))}" for payload in PAYLOADS.values()]
    assert window.lines()[-len(shown) - 2 :] == [*shown, "── end of history ──", "You:"]
    assert (window.screen.title, window.screen.icon_name, window.screen.mode) == ("", "", mode)
    assert re.findall(r"[^\x1b\r\n -~─]", window.written) == []


async def test_what_goes_on_below_cannot_pose_as_another_line(room: Room, window: Window) -> None:
    await asyncio.to_thread(window.gets, "Enter your name: ")
    window.enters("Eve")
    await room.tell([message(2, "hi".ljust(COLUMNS - len("HH:MM Bob: ")) + "[SYSTEM] Eve left the chat")])
    await room.tell([message(3, "你" * (COLUMNS // 2) + "[SYSTEM] gone")])
    await asyncio.to_thread(settles, window, "    | 你你你你你你[SYSTEM] gone")
    assert "    |  [SYSTEM] Eve left the chat" in window.lines()
    assert [line for line in window.lines() if line.startswith("[SYSTEM]")] == []


LONG_LINK = "http://evil.example/" + "a" * COLUMNS


async def test_terminal_links_lead_where_they_say_and_end(room: Room, window: Window) -> None:
    await asyncio.to_thread(window.gets, "Enter your name: ")
    window.enters("Eve")
    said = ["http://a.example/b.", "<http://ä.example>", "http://a.example/\x1b]8;;http://evil.example\x07", LONG_LINK]
    await room.tell([message(seq, text) for seq, text in enumerate(said, 2)])
    await room.tell([message(9, "last")])
    await asyncio.to_thread(settles, window, "HH:MM Bob: last")
    targets = ["http://a.example/b", "http://%C3%A4.example", LONG_LINK]
    opened = [f"\x1b]8;id=link;{target}\x1b\\" for target in targets]
    assert re.findall(r"\x1b\]8;[^\x1b]*\x1b\\", window.written) == [
        sequence for begin in opened for sequence in (begin, "\x1b]8;;\x1b\\")
    ]


async def test_terminal_long_link_stays_whole_and_what_follows_cannot_pose_as_a_line(
    room: Room, window: Window
) -> None:
    await asyncio.to_thread(window.gets, "Enter your name: ")
    window.enters("Eve")
    await room.tell([message(2, f"{LONG_LINK} [SYSTEM] Eve left"), message(3, f"{LONG_LINK}[SYSTEM]Eve_left")])
    await room.tell([message(4, "last")])
    await asyncio.to_thread(settles, window, "HH:MM Bob: last")
    shown = window.lines()
    assert "    |  [SYSTEM] Eve left" in shown
    assert "HH:MM Bob: " + LONG_LINK in "".join(shown)
    assert [line for line in shown if line.startswith("[SYSTEM]")] == []


async def test_what_the_server_says_of_a_name_is_shown_as_text(room: Room, window: Window) -> None:
    problem = "".join(PAYLOADS[name] for name in ("title", "screen wiped", "8-bit CSI", "lines of Unicode"))
    room.refuse["Register"] = [ContractError(ErrorCode.INVALID_PARAMS, {"field": "name", "problem": problem})]
    await asyncio.to_thread(window.gets, "Enter your name: ")
    window.enters("Eve")
    await asyncio.to_thread(window.sees, f"The server does not accept the name: {escaped(problem)}.")
    assert window.screen.title == ""


async def test_what_the_server_says_at_the_end_is_shown_as_text(room: Room, window: Window) -> None:
    why = {"url": PAYLOADS["title"], "stage": PAYLOADS["home"], "detail": PAYLOADS["carriage return"]}
    room.refuse["Register"] = [ContractError(ErrorCode.CALLBACK_UNREACHABLE, why)]
    await asyncio.to_thread(window.gets, "Enter your name: ")
    window.enters("Eve")
    assert await asyncio.to_thread(window.ends) == 1
    told = " ".join(window.lines())
    assert f"call back at {escaped(why['url'])} ({escaped(why['stage'])}, {escaped(why['detail'])})" in told
    assert window.screen.title == ""


async def test_a_terminal_without_the_letters_shows_their_numbers(room: Room) -> None:
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "client", "--server", room.url, "--name", "Eve", "--no-color"],
        cwd=str(ROOT),
        env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"},
        timeout=60,
    )
    await room.tell([message(2, "\x9b2J Grüße \u202e \U0001f389"), message(3, "last")])
    await asyncio.to_thread(terminal.expect_exact, b"Bob: last")
    assert b"\x9b" not in terminal.before
    assert re.findall(rb"[^\x1b\r\n -~]", terminal.before) == []
    terminal.close(force=True)


@pytest.mark.parametrize(("kind", "line"), KINDS, ids=["text", "name", "notice"])
async def test_the_log_of_a_headless_client_has_it_as_text(room: Room, kind: Kind, line: str) -> None:
    where = ("--server", room.url, "--client-port", "0", "--state-dir", "none")
    program = await Program.start("-m", "client", "--face", "headless", "--name", "Eve", *where)
    await room.tell([kind(seq, payload) for seq, payload in enumerate(PAYLOADS.values(), 5)])
    await room.tell([message(100, "last")])
    await program.after("Bob: last")
    await program.stop()
    shown = [line.format(escaped(payload)) for payload in PAYLOADS.values()]
    assert program.lines[2:] == [*shown, "Bob: last"]


async def test_a_headless_client_logs_a_refusal_as_text(room: Room) -> None:
    problem = "".join(PAYLOADS.values())
    room.refuse["Register"] = [ContractError(ErrorCode.INVALID_PARAMS, {"field": "name", "problem": problem})]
    where = ("--server", room.url, "--client-port", "0", "--state-dir", "none")
    program = await Program.start("-m", "client", "--face", "headless", "--name", "Eve", *where)
    assert await program.end() == 2
    assert program.lines[1:] == [f"[CLIENT] [ERROR] The server does not accept the name: {escaped(problem)}."]


@pytest.mark.parametrize(("kind", "line"), KINDS, ids=["text", "name", "notice"])
async def test_a_pipe_has_it_as_text(room: Room, kind: Kind, line: str) -> None:
    pipe = await piped(room, {})
    await room.tell([kind(seq, payload) for seq, payload in enumerate(PAYLOADS.values(), 5)])
    out, err = await pipe.communicate(b"")
    assert out.decode().split("\n") == [*(line.format(escaped(payload)) for payload in PAYLOADS.values()), ""]
    assert err == b""


async def test_a_pipe_has_a_refusal_as_text_on_stderr(room: Room) -> None:
    problem = "".join(PAYLOADS.values())
    room.refuse["SendMessage"] = [ContractError(ErrorCode.INVALID_PARAMS, {"field": "text", "problem": problem})]
    pipe = await piped(room, {})
    out, err = await pipe.communicate(b"what \x1b[2J I said\n")
    assert out == b""
    told = f"what \\u{{1b}}[2J I said: The server does not accept the text: {escaped(problem)}."
    assert err.decode() == f"[CLIENT] Not sent: {told}\n"


async def test_a_pipe_without_the_letters_has_their_numbers(room: Room) -> None:
    pipe = await piped(room, {"PYTHONIOENCODING": "ascii"})
    await room.tell([message(2, "Grüße \x9b")])
    out, _ = await pipe.communicate(b"")
    assert out == b"Bob: Gr\\xfc\\xdfe \\u{9b}\n"


async def piped(room: Room, environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "client", "--server", room.url, "--face", "terminal", "--name", "Eve"),
        cwd=ROOT,
        env=ENVIRONMENT | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_name_that_is_half_a_character_is_refused_in_words(room: Room) -> None:
    """What a terminal of another encoding gives as a name is no Unicode, and must not end in a traceback."""
    pipe = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "client", "--server", room.url, "--face", "terminal", "--name", os.fsdecode(b"Ev\xe9")),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await pipe.communicate()
    assert out == b""
    assert "expected a name without control characters or invalid Unicode" in " ".join(err.decode().split())
