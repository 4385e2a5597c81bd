"""One event is one line of the server's own output, as text and as JSON, whatever is in what others send."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.logs import SHOWN_CHARS
from tests.fakes import Json, Recipient, answer_status
from tests.processes import Program, start_server
from tests.server.served import exchange_raw

EVE: Final = "Eve [LEAVE] User Alice (ID= a)"
NAMES: Final = (
    EVE,
    "%s %d %(name)s {0} {x!r}",
    r"a\nb\u{a}c\x1b",
    "<b>'\"`&amp;",
    '"}, {"tag"= "JOIN"',
    "$(reboot) ; #",
    "山田たろう",
    "محمد",
    "Zoë 🎉",
    "x" * 32,
)
REFUSED_NAMES: Final = (
    "a\n[JOIN] b", "a\rb", "a\x1b[31mb", "a\x00b", "a\x85b", "a\u2028b", "a\u202eb", "a\u200bb", "a\U000e0041b",
    "x" * 5000,
)  # fmt: skip
ENDS_OF_LINES: Final = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
TEXTS: Final = (
    *(f"hi{end}[LEAVE] User Alice (ID: alice) left the chat" for end in ENDS_OF_LINES),
    '"}\n{"time": "2030-01-01", "tag": "LEAVE", "message": "User Alice left the chat"}',
    "\x1b[2J\x1b[1;1H\x1b]0;title\x07\x9b31m\x90",
    "\u202e\u2066\u200f\ufeff\u200b\U000e0041\U0010ffff\ufffe\ue000",
    "\x01\x7f\b\b\b\b[JOIN]",
    "%s %n %(x)s %",
    "x" * 4096,
    "\n" * 4095 + "x",
    "\U0010ffff" * 4096,
)
HEADERS: Final = (
    f"X-Forwarded-For: \t{EVE}\x85, \u2028".encode(),
    b"X-Real-IP: 127.0.0.1\x9b[31m\xff",
    f"User-Agent: \u202e{EVE}".encode(),
    b"Authorization: Bearer \x80\x9b\xff",
    b"Origin: null\xe2\x80\xa8[JOIN]",
    b"Webhook-Timestamp: %s%n",
)
NOT_HTTP: Final = (
    b"POST /rpc HTTP/1.1\r\nHost: x\r\nX: a\x1b[2J\x00\n[JOIN] User Eve\r\n\r\n",
    b"GET /\x1b[2J\xff[JOIN]\x85 HTTP/1.1\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: \xe2\x80\xa8[JOIN]\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: x\r\nX: " + b"\xe2\x80\xae" * 3000 + b"\r\n\r\n",
)
START: Final = ["SERVER", "SERVER"]
END: Final = ["SERVER", "SERVER"]


@dataclass
class Served:
    """A server process, calls to it, and which events there should have been."""

    log_format: str
    program: Program
    url: str
    session: aiohttp.ClientSession
    expected: list[str] = field(default_factory=lambda: list(START))

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    async def call(self, method: str, token: str = "", **params: Any) -> Json:
        """Give the whole answer."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(f"{self.url}/rpc", json=request, headers=headers) as response:
            answer: Json = await response.json()
            return answer

    async def register(self, name: str, **params: Any) -> Json:
        result: Json = (await self.call("Register", name=name, **params))["result"]
        self.expected.append("JOIN")
        return result

    async def say(self, seat: Json, text: str, **params: Any) -> bool:
        """Tell whether it was taken."""
        answer = await self.call("SendMessage", seat["token"], user_id=seat["id"], text=text, **params)
        if "result" in answer:
            self.expected.append("BROADCAST")
        return "result" in answer

    async def events(self) -> list[tuple[str, str]]:
        """Stop it; gives tag and words of each line, which are as they should be."""
        await self.program.stop()
        events = [self._read(line) for line in self.program.lines]
        assert [words for _, words in events if not words.isprintable()] == []
        refused = [event for event in events if event[1].startswith("Refused to register ")]
        assert {tag for tag, _ in refused} <= {"SERVER"}
        others = [event for event in events if event not in refused]
        assert [tag for tag, _ in others] == [*self.expected, *END]
        return others

    def _read(self, line: str) -> tuple[str, str]:
        assert line.isprintable()
        if self.log_format == "json":
            event = json.loads(line)
            assert list(event) == ["time", "tag", "message"]
            return event["tag"], event["message"]
        found = re.fullmatch(r"\[([A-Z]+)\] (.*)", line)
        assert found is not None, line
        return found[1], found[2]


@pytest.fixture(params=["text", "json"])
async def served(request: pytest.FixtureRequest, session: aiohttp.ClientSession) -> AsyncIterator[Served]:
    process, url = await start_server("--log-format", request.param, "--log-level", "debug")
    try:
        yield Served(request.param, process, url.partition('"')[0], session)  # in JSON something follows
    finally:
        await process.kill()


async def test_a_name_is_one_line_when_it_comes_speaks_changes_and_goes(served: Served) -> None:
    for name in NAMES:
        seat = await served.register(name)
        await served.say(seat, "hi")
        for other in ("Someone", name):
            await served.call("Rename", seat["token"], name=other)
            served.expected.append("CLIENT")
        await served.call("Unregister", seat["token"], id=seat["id"])
        served.expected.append("LEAVE")
    for name in REFUSED_NAMES:
        assert (await served.call("Register", name=name))["error"]["code"] == -32602
    events = await served.events()
    for name in NAMES:
        assert any(words.startswith(f"User {name} (ID: ") for tag, words in events if tag == "JOIN")


async def test_a_text_is_one_line_and_cut(served: Served) -> None:
    alice = await served.register("Alice")
    for text in TEXTS:
        assert await served.say(alice, text)
    broadcasts = [words for tag, words in await served.events() if tag == "BROADCAST"]
    for text, words in zip(TEXTS, broadcasts, strict=True):
        shown = words.removeprefix("Alice: ")
        told = re.sub(r"\\u\{([0-9a-f]+)\}", lambda code: chr(int(code[1], 16)), shown)
        assert told == text if len(text) <= SHOWN_CHARS else told == text[: SHOWN_CHARS - 1] + "…"


async def test_any_text_is_one_line(served: Served) -> None:
    alice = await served.register("Alice")
    loop = asyncio.get_running_loop()

    @settings(max_examples=50, suppress_health_check=list(HealthCheck), database=None)
    @given(st.text(max_size=300) | st.text('\n\r\x1b\u2028\u202e[]{}"\\ a', max_size=300))
    def check(text: str) -> None:
        asyncio.run_coroutine_threadsafe(served.say(alice, text), loop).result()

    await asyncio.to_thread(check)
    await served.events()


async def test_a_callback_url_is_one_line_and_cut(served: Served, recipient: Recipient) -> None:
    at_length = f"{recipient.callback}/%5BJOIN%5D;%1b[31m?%0a[LEAVE]%20%E2%80%A8%s%n=" + "a" * 1500
    bob = await served.register("Bob", callback=at_length, secret=recipient.secret)
    for bad in (f":{recipient.port}/\n[JOIN]", f":{recipient.port}/\u2028", f":{recipient.port}/\x1b[2J"):
        assert (await served.call("Register", name="Eve", callback=bad))["error"]["code"] == -32602
    await served.call("Register", bob["token"], name="Bob", callback=at_length, secret=recipient.secret)
    served.expected.append("CLIENT")
    events = await served.events()
    for words in (words for tag, words in events if tag in ("JOIN", "CLIENT")):
        url = words.rpartition(" from ")[2]
        assert (len(url), url[-1]) == (SHOWN_CHARS, "…")
        assert at_length.removeprefix(":")[:200] in url


async def test_what_a_callback_answers_is_not_in_its_line(served: Served, recipient: Recipient) -> None:
    alice = await served.register("Alice")
    await served.register("Bob", callback=recipient.callback, secret=recipient.secret, id="bob")
    recipient.behaviour = answer_status(503, {"Retry-After": "0\t[JOIN] User Eve", "X-Eve": EVE})
    await served.say(alice, "hi")
    await recipient.has("hi")
    await served.program.after("cannot be reached")
    served.expected.append("WARN")
    words = dict(await served.events())["WARN"]
    assert words == "bob cannot be reached (http: HTTP status 503)"


async def test_ids_headers_and_paths_leave_no_line(served: Served) -> None:
    alice = await served.register("Alice")
    for bad in ("a\n[JOIN]", "\x1b[2J", "%s", "x" * 65, "\u202e"):
        assert not await served.say(alice, "hi", client_msg_id=bad)
        await served.call("Register", name="Eve", id=bad)
        await served.call(f"Nope{bad}", alice["token"])
    for header in HEADERS:
        head = b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Type: application/json\r\n"
        assert (await exchange_raw(served.port, head + header + b"\r\n\r\n{}"))[0] in (200, 421)
    async with served.session.get(f"{served.url}/%0a[JOIN]%1b?x=\u2028") as response:
        assert response.status == 404
    await served.events()


async def test_what_is_not_http_is_one_line_on_debug_level(served: Served) -> None:
    for sent in NOT_HTTP:
        assert (await exchange_raw(served.port, sent))[0] == 400
        served.expected.append("SERVER")
    words = [words for _, words in await served.events()]
    assert all(len(line) < 20 * SHOWN_CHARS for line in words)
