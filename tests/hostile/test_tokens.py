"""Tokens and the join key: told once and to one, kept as a hash, of use to nobody else, and never in the log."""

import base64
import hashlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from tests.fakes import Json, Recipient, RunningServer, Seat, local_settings, refusal
from tests.processes import ROOT, Program, start_server
from tests.server.served import exchange_raw

TOKEN_BYTES: Final = 32
JOIN_KEY: Final = "open-sésame-0123456789"
WRONG: Final = "A" * 43

# Every method that asks for a token, with the id `{id}` of a participant where it takes one.
BEHIND_A_TOKEN: Final[dict[str, Json]] = {
    "Register": {"id": "{id}", "name": "Zoe"},
    "Unregister": {"id": "{id}"},
    "SendMessage": {"user_id": "{id}", "text": "hi"},
    "GetHistory": {},
    "ListMembers": {},
    "Rename": {"name": "Zoe"},
    "SetTyping": {},
    "Ping": {},
}
TAKES_AN_ID: Final = [method for method, params in BEHIND_A_TOKEN.items() if "{id}" in params.values()]


def with_id(params: Json, member_id: str) -> Json:
    return {name: member_id if value == "{id}" else value for name, value in params.items()}


# How it is made.


def key_of(token: str) -> bytes:
    """Read the random bytes out of a token."""
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


async def test_a_token_has_256_bits_of_its_own(server: RunningServer) -> None:
    tokens = [(await server.register(f"A{number}")).token for number in range(50)]
    assert {len(key_of(token)) for token in tokens} == {TOKEN_BYTES}
    # Of 50 times 256 random bits, each bit is at times 0 and at times 1 (the odds against: one in 2 to the 41st).
    keys = [int.from_bytes(key_of(token)) for token in tokens]
    always_one, ever_one = keys[0], keys[0]
    for key in keys:
        always_one, ever_one = always_one & key, ever_one | key
    assert (always_one, ever_one) == (0, 2**256 - 1)


# To whom it is told.


@dataclass
class Telling:
    """A server process on a store of its own, and all that it has answered."""

    program: Program
    url: str
    session: aiohttp.ClientSession
    answers: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    async def call(self, method: str, token: str = "", **params: Any) -> Json:
        """Give the whole answer; it is kept with the method's name."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(f"{self.url}/rpc", json=request, headers=headers) as response:
            raw = await response.read()
        self.answers.append((method, str(response.headers).encode() + raw))
        answer: Json = msgspec.json.decode(raw)
        return answer

    async def register(self, name: str, token: str = "", **params: Any) -> Json:
        result: Json = (await self.call("Register", token, name=name, join_key=JOIN_KEY, **params))["result"]
        return result


@asynccontextmanager
async def serving(session: aiohttp.ClientSession, store: str) -> AsyncIterator[Telling]:
    """Run a server that asks for the join key and tells all that it can tell."""
    program, url = await start_server("--store", store, "--log-level", "debug", "--join-key", JOIN_KEY)
    try:
        yield Telling(program, url, session)
        await program.stop()
    finally:
        await program.kill()


async def use_everything(server: Telling, bob: Recipient) -> tuple[Json, Json]:
    """Have two participants call every method, well and badly; gives what `Register` told them."""
    first = await server.register("Bob", callback=bob.callback, secret=bob.secret, accepts=["ReceiveTyping"])
    alice = await server.register("Alice", id="alice")
    for whose in (first["token"], alice["token"], WRONG, ""):
        for method, params in BEHIND_A_TOKEN.items():
            if method != "Unregister":
                await server.call(method, whose, **with_id(params, "alice"))
    await server.call("SendMessage", alice["token"], user_id="alice", text="the end")
    await bob.has("the end")
    await server.call("Unregister", alice["token"], id="alice")
    await server.call("Ping", alice["token"])
    for wrong in ("", "wrong", JOIN_KEY[:-1], JOIN_KEY + " "):
        assert (await server.call("Register", name="Eve", join_key=wrong))["error"]["code"] == -32008
    return first, alice


async def test_a_token_is_told_to_its_owner_and_nowhere_else(
    session: aiohttp.ClientSession, recipient: Recipient, tmp_path: Path
) -> None:
    store = tmp_path / "chat.db"
    async with serving(session, f"sqlite:{store}") as server:
        seats = await use_everything(server, recipient)
        running = files_of(tmp_path)
        assert {"chat.db", "chat.db-wal"} <= set(running)
    stopped = files_of(tmp_path)
    posted = [post.raw + str(post.headers).encode() for post in recipient.posts]
    for token in (seat["token"] for seat in seats):
        telling = [method for method, answer in server.answers if token.encode() in answer]
        assert set(telling) == {"Register"}  # and of those …
        assert len(telling) == 1 + len(calls_with(server, token))  # … the first, and those made with it
        assert not any(token.encode() in post for post in posted)
        assert token not in str(server.program)
        for kept in (running, stopped):
            assert [name for name, content in kept.items() if holds(content, token)] == []
        assert hashlib.sha256(token.encode()).digest() in b"".join(running.values())


def calls_with(server: Telling, token: str) -> list[bytes]:
    """Give the answers to a resume, which echo the token of whoever has sent it."""
    return [answer for method, answer in server.answers if method == "Register" and is_resume_by(answer, token)]


def is_resume_by(answer: bytes, token: str) -> bool:
    return b'"resumed":true' in answer and f'"token":"{token}"'.encode() in answer


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def holds(content: bytes, token: str) -> bool:
    """Tell whether a token is in there as text, in either case of letters or as its bytes."""
    key = key_of(token)
    forms = (token.encode(), key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key))
    return any(form in content for form in forms)


async def test_the_join_key_is_told_to_nobody(
    session: aiohttp.ClientSession, recipient: Recipient, tmp_path: Path
) -> None:
    key = JOIN_KEY.encode()
    async with serving(session, f"sqlite:{tmp_path / 'chat.db'}") as server:
        await use_everything(server, recipient)
        running = files_of(tmp_path)
    assert [method for method, answer in server.answers if key in answer] == []
    assert [name for name, content in (running | files_of(tmp_path)).items() if key in content] == []
    assert [post for post in recipient.posts if key in post.raw] == []
    assert JOIN_KEY not in str(server.program)
    assert ascii(JOIN_KEY)[1:-1] not in str(server.program)


SECRET: Final = "S3cr3t-0123456789-0123456789-0123456789-012"


CHUNKED: Final = (
    b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def with_header(line: bytes) -> bytes:
    return b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n" + line + b"\r\n\r\n{}"


@pytest.mark.parametrize(
    "sent",
    [
        # As a shell script sends it that has read the token from a file with the line ends of Windows.
        pytest.param(with_header(f"Authorization: Bearer {SECRET}\r".encode()), id="CR CR LF"),
        pytest.param(with_header(f"Authorization: Bearer {SECRET}\0".encode()), id="NUL"),
        pytest.param(with_header(f"Authorization : Bearer {SECRET}".encode()), id="space before the colon"),
        pytest.param(with_header(f"Authorization: Bearer {SECRET}{'x' * 9000}".encode()), id="too long"),
        pytest.param(f"POST /rpc?token={SECRET}\x01 HTTP/1.1\r\n\r\n".encode(), id="in the URL"),
        pytest.param(CHUNKED + f'1\r\n{{\r\n"join_key":"{SECRET}"}}\r\n'.encode(), id="in a body that is cut wrongly"),
    ],
)
async def test_a_secret_in_a_malformed_request_is_not_in_the_log(session: aiohttp.ClientSession, sent: bytes) -> None:
    async with serving(session, "memory:") as server:
        assert (await exchange_raw(server.port, sent))[0] in (400, 415)
    assert SECRET not in str(server.program)


# What one is told who has not the right one.


@dataclass
class Answer:
    """An HTTP answer, to the byte, but for the time of day."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(server: RunningServer, method: str, params: Json, headers: Mapping[str, str]) -> Answer:
    request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
    async with server.session.post(server.url, json=request, headers=headers) as response:
        told = {name: value for name, value in response.headers.items() if name != "Date"}
        return Answer(response.status, told, await response.read())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def people(server: RunningServer) -> dict[str, Seat]:
    """Alice, who is here, Bob, too, and Carol, who has left."""
    people = {name: await server.register(name.title(), id=name) for name in ("alice", "bob", "carol")}
    await people["carol"].call("Unregister", id="carol")
    return people


@pytest.mark.parametrize("method", TAKES_AN_ID)
async def test_an_unknown_id_and_a_wrong_token_get_the_same_answer(
    server: RunningServer, people: dict[str, Seat], method: str
) -> None:
    cases = [
        *[(member_id, WRONG) for member_id in ("alice", "carol", "nobody")],
        *[(member_id, people["bob"].token) for member_id in ("alice", "carol", "nobody")],
        ("alice", people["carol"].token),
        ("alice", "short"),
        ("alice", "x" * 4000),
        ("alice", hashlib.sha256(people["alice"].token.encode()).hexdigest()),
        ("alice", people["alice"].token[:-1]),
        ("alice", people["alice"].token.swapcase()),
    ]
    answers = [
        await ask(server, method, with_id(BEHIND_A_TOKEN[method], member_id), bearer(token))
        for member_id, token in cases
    ]
    assert b'"code":-32001' in answers[0].body
    assert answers == [answers[0]] * len(cases)


@pytest.mark.parametrize("method", [method for method in BEHIND_A_TOKEN if method not in TAKES_AN_ID])
async def test_every_wrong_token_gets_the_same_answer_as_none(
    server: RunningServer, people: dict[str, Seat], method: str
) -> None:
    wrong = (WRONG, "short", "x" * 4000, people["alice"].token[:-1], people["alice"].token.swapcase())
    answers = [await ask(server, method, BEHIND_A_TOKEN[method], bearer(token)) for token in wrong]
    answers.append(await ask(server, method, BEHIND_A_TOKEN[method], {}))
    assert b'"code":-32001' in answers[0].body
    assert answers == [answers[0]] * len(answers)


async def test_nobody_is_rung_for_who_has_a_wrong_token(
    server: RunningServer, people: dict[str, Seat], recipient: Recipient
) -> None:
    for member_id in ("alice", "nobody"):
        params = {"id": member_id, "name": "Zoe", "callback": recipient.callback}
        assert (await refusal(server.call("Register", people["bob"].token, **params))).code == -32001
    assert recipient.posts == []


# That it takes the same time is shown without a watch: the same lines run, in the same order.


# All that may know who somebody is. What is before it reads and counts requests, and knows nobody.
KNOWING: Final = frozenset(
    {"rpc.py", "params.py", "methods.py", "registration.py", "names.py", "members.py", "room.py"}
)


@contextmanager
def lines_run() -> Iterator[list[tuple[str, int]]]:
    """Note every line that runs there, with its function."""
    lines: list[tuple[str, int]] = []
    server = ROOT / "server"
    before = sys.gettrace()

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        file = Path(frame.f_code.co_filename)
        if file.name not in KNOWING or server not in file.parents:
            return None
        if event == "line":
            lines.append((frame.f_code.co_name, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


async def path_of(server: RunningServer, method: str, params: Json, token: str) -> list[tuple[str, int]]:
    with lines_run() as lines:
        await ask(server, method, params, bearer(token))
    return lines


@pytest.mark.parametrize("method", TAKES_AN_ID)
async def test_an_unknown_id_and_a_wrong_token_take_the_same_path(
    server: RunningServer, people: dict[str, Seat], method: str
) -> None:
    assert people["alice"].id == "alice"
    paths: dict[str, list[tuple[str, int]]] = {}
    for _ in range(2):  # what is only there from the second time on is there for all
        for member_id in ("alice", "carol", "nobody"):
            params = with_id(BEHIND_A_TOKEN[method], member_id)
            paths[member_id] = await path_of(server, method, params, WRONG)
    functions = [function for function, _ in paths["nobody"]]
    assert functions.count("hash_token") == 1
    assert "owner_of" in functions
    assert paths["alice"] == paths["nobody"]
    assert paths["carol"] == paths["nobody"]


@contextmanager
def comparisons() -> Iterator[list[str]]:
    """Note each call of `hmac.compare_digest`, with the function that it is called by."""
    callers: list[str] = []
    before = sys.getprofile()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument.__name__ == "compare_digest":
            callers.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        yield callers
    finally:
        sys.setprofile(before)


# What it is good for.


async def test_a_token_is_of_use_for_its_own_participant_only(
    server: RunningServer, people: dict[str, Seat], recipient: Recipient
) -> None:
    alice, bob = people["alice"], people["bob"]
    await server.register("Dave", recipient)
    for method in TAKES_AN_ID:
        params = with_id(BEHIND_A_TOKEN[method], "alice")
        assert (await refusal(bob.call(method, **params))).code == -32001
    assert (await bob.call("Rename", name="Bobby"))["name"] == "Bobby"
    assert (await bob.call("Register", name="Robert"))["id"] == "bob"
    await bob.say("it is me")
    await recipient.has("it is me")
    assert {message["sender_id"] for message in recipient.messages} == {"bob"}
    members = (await alice.call("ListMembers"))["members"]
    assert {member["id"]: member["name"] for member in members if member["id"] in people} == {
        "alice": "Alice",
        "bob": "Robert",
    }


@pytest.mark.parametrize("method", [method for method in BEHIND_A_TOKEN if method != "Register"])
async def test_a_token_is_needed_by_every_method_but_register(
    server: RunningServer, people: dict[str, Seat], method: str
) -> None:
    """And with the right one, the same call succeeds."""
    params = with_id(BEHIND_A_TOKEN[method], "alice")
    assert (await refusal(server.call(method, **params))).code == -32001
    await people["alice"].call(method, **params)


async def test_no_method_is_missing_here(server: RunningServer) -> None:
    error = await refusal(server.call("Nope"))
    told = error.data["problem"].partition("has ")[2].split(", ")
    assert sorted(told) == sorted(BEHIND_A_TOKEN)


# The join key.


@asynccontextmanager
async def asking_for_the_key(session: aiohttp.ClientSession) -> AsyncIterator[RunningServer]:
    async with RunningServer(session, local_settings(join_key=JOIN_KEY)) as server:
        yield server


WRONG_KEYS: Final = {
    "none": None,
    "empty": "",
    "the beginning": JOIN_KEY[:-1],
    "more": JOIN_KEY + "x",
    "with a space": JOIN_KEY + " ",
    "in capitals": JOIN_KEY.upper(),
    "another form of the same letters": "open-se\u0301same-0123456789",
    "of the same length": "x" * len(JOIN_KEY),
    "long": "x" * 1024,
}


async def test_every_wrong_join_key_gets_the_same_answer(session: aiohttp.ClientSession) -> None:
    async with asking_for_the_key(session) as server:
        answers = {
            why: await ask(server, "Register", {"name": "Alice", "join_key": key}, {})
            for why, key in WRONG_KEYS.items()
        }
        assert b'"code":-32008' in answers["none"].body
        assert answers == dict.fromkeys(answers, answers["none"])
        assert (await server.register("Alice", join_key=JOIN_KEY)).result["member_count"] == 1


@pytest.mark.parametrize("key", [*WRONG_KEYS.values(), JOIN_KEY], ids=[*WRONG_KEYS, "right"])
async def test_the_join_key_is_compared_in_constant_time(session: aiohttp.ClientSession, key: str | None) -> None:
    async with asking_for_the_key(session) as server:
        with comparisons() as callers:
            await ask(server, "Register", {"name": "Alice", "join_key": key}, {})
        assert len(callers) == 1


async def test_a_resume_needs_no_join_key_and_a_wrong_one_is_no_matter(session: aiohttp.ClientSession) -> None:
    async with asking_for_the_key(session) as server:
        alice = await server.register("Alice", join_key=JOIN_KEY)
        for key in (None, "wrong", JOIN_KEY):
            assert (await alice.call("Register", name="Alice", join_key=key))["resumed"]


async def test_no_token_stands_in_for_the_join_key(session: aiohttp.ClientSession) -> None:
    async with asking_for_the_key(session) as server:
        await server.register("Alice", id="alice", join_key=JOIN_KEY)
        for token in (WRONG, "x", JOIN_KEY.encode().hex()):
            for key in (None, "wrong", JOIN_KEY):
                assert (await refusal(server.call("Register", token, name="Eve", join_key=key))).code == -32001


async def test_nothing_of_the_room_is_told_to_one_without_the_join_key(
    session: aiohttp.ClientSession, recipient: Recipient
) -> None:
    """Names and ids in use, and whether a callback can be reached, are for those who may come."""
    async with asking_for_the_key(session) as server:
        await server.register("Alice", id="alice", join_key=JOIN_KEY)
        for params in (
            {"name": "Alice"},
            {"name": "Eve", "id": "alice"},
            {"name": "Eve", "after": 10**9},
            {"name": "Eve", "callback": recipient.callback},
            {"name": "Eve", "callback": "http://10.0.0.1:1/rpc"},
        ):
            assert (await refusal(server.call("Register", **params))).code == -32008
        assert recipient.posts == []
