"""Signatures over the wire, between programs, with Standard Webhooks' own library as the other side or as the judge."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from client.app import new_runner
from client.session.callback_endpoint import CallbackEndpoint
from protocol.messages import ChatMessage, ReceiveTypingParams
from protocol.signing import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    encode_secret,
    signed_headers,
)
from tests.client.fake_server import FakeServer, Rig, rig, ring, ring_message
from tests.fakes import ManualClock, Post, Recipient, RunningServer, answer_status, take
from tests.processes import Program
from tests.server.served import exchange_raw

FIVE_MINUTES: Final = 300
OTHER_SECRET: Final = encode_secret(bytes(range(1, 33)))


# What our server signs, judged by the library.


class TodaysClock(ManualClock):
    """Is wound by hand, but for the time of day: the library looks at the real one."""

    def unix(self) -> float:
        return time.time()


def judge(posts: list[Post], secret: str) -> None:
    for post in posts:
        Webhook(secret).verify(post.raw, dict(post.headers))


async def test_the_library_accepts_every_post_of_a_server(session: aiohttp.ClientSession, recipient: Recipient) -> None:
    """A proof, single messages, a retry, a batch, a probe, and who is typing."""
    async with RunningServer(session, clock=TodaysClock()) as server:
        await server.register("Bob", recipient, max_batch=10, accepts=["ReceiveTyping"])
        alice = await server.register("Alice")
        await recipient.has("Alice joined the chat")
        recipient.behaviour = answer_status(500)
        await alice.say("1")
        await recipient.has("1")
        for text in ("2", "3"):
            await alice.say(text)
        recipient.behaviour = take
        await server.clock.someone_waits(0.2, 0.3)
        server.clock.advance(0.3)
        await recipient.has("1", "2", "3")
        await server.clock.someone_waits(14, 16)
        server.clock.advance(16)
        await recipient.until(lambda: recipient.methods[-1] == "VerifyCallback")
        while "ReceiveTyping" not in recipient.methods:  # nobody is told while a POST to it is under way
            await alice.call("SetTyping")
        assert any(isinstance(post.body, list) for post in recipient.posts)
        assert recipient.methods.count("VerifyCallback") == 2
        assert len({post.headers[ID_HEADER] for post in recipient.posts}) == len(recipient.posts) - 1  # the retry
        judge(recipient.posts, recipient.secret)


async def test_the_library_accepts_what_is_signed_with_a_secret_that_the_server_made(
    session: aiohttp.ClientSession,
) -> None:
    async with RunningServer(session, clock=TodaysClock()) as server, Recipient(secret="") as recipient:
        bob = await server.register("Bob", recipient, secret=None)
        await (await server.register("Alice")).say("hi")
        await recipient.has("hi")
        assert recipient.methods[0] == "VerifyCallback"
        judge(recipient.posts, bob.result["secret"])


async def test_a_new_secret_signs_from_the_proof_on(session: aiohttp.ClientSession) -> None:
    async with RunningServer(session, clock=TodaysClock()) as server, Recipient() as recipient:
        bob = await server.register("Bob", recipient)
        alice = await server.register("Alice")
        await recipient.has("Alice joined the chat")
        recipient.posts.clear()
        recipient.secret = OTHER_SECRET
        await bob.call("Register", name="Bob", callback=recipient.callback, secret=OTHER_SECRET)
        await alice.say("hi")
        await recipient.has("hi")
        assert recipient.methods == ["VerifyCallback", "ReceiveMessage"]
        judge(recipient.posts, OTHER_SECRET)


# What the library signs, taken by our client as a program.


def sign(secret: str, webhook_id: str, body: bytes, late: float = 0) -> dict[str, str]:
    """Let the library sign, `late` seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=late)
    signature = Webhook(secret).sign(webhook_id, at, body.decode())
    return {ID_HEADER: webhook_id, TIMESTAMP_HEADER: str(int(at.timestamp())), SIGNATURE_HEADER: signature}


class LibraryServer(FakeServer):
    """A chat server that somebody else wrote: it signs with the library."""

    async def post(self, me: Any, call: Any, epoch: str | None = None) -> tuple[int, Any]:
        body = msgspec.json.encode(call)
        of_message = call["method"] == "ReceiveMessage"
        webhook_id = f"{epoch or self.epoch}-{call['id']}-{call['id']}" if of_message else "challenge"
        status, answer = await send(me.callback, body, sign(encode_secret(me.key), webhook_id, body))
        return status, msgspec.json.decode(answer) if status == 200 else None


async def send(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as reply:
        return reply.status, await reply.read()


@dataclass
class Client:
    """Our client as a program, with a seat at `callback`."""

    program: Program
    server: LibraryServer
    callback: str
    secret: str

    @property
    def shown(self) -> list[str]:
        return [line for line in self.program.lines if not line.startswith("[CLIENT]")]

    async def shows(self, line: str) -> None:
        await self.program.after(line)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    server, app = LibraryServer(), web.Application()
    app.router.add_post("/rpc", server.handle)
    async with TestServer(app) as http:
        where = ("--server", f"http://127.0.0.1:{http.port}", "--client-port", "0", "--state-dir", "none")
        program = await Program.start("-m", "client", "--face", "headless", "--name", "Carol", *where)
        try:
            await program.after("Joined as Carol")
            carol = server.only_member
            yield Client(program, server, carol.callback, encode_secret(carol.key))
            await program.stop()
            assert "Traceback" not in str(program)
        finally:
            await program.kill()


async def test_our_client_takes_what_the_library_signs(client: Client) -> None:
    for seq in (2, 3):
        status, reply = await client.server.post(client.server.only_member, ring_message(seq, f"number {seq}"))
        assert (status, reply["result"]) == (200, {"success": True})
    await client.shows("Bob: number 3")
    assert client.shown == ["Bob: number 2", "Bob: number 3"]


async def test_our_client_refuses_what_is_not_signed_and_shows_nothing(client: Client) -> None:
    body = msgspec.json.encode(ring_message(2, "forged"))
    good = sign(client.secret, "first-2-2", body)
    own = good[SIGNATURE_HEADER]
    forged: dict[str, dict[str, str]] = {
        "nothing signed": {},
        **{f"without {name}": {key: value for key, value in good.items() if key != name} for name in good},
        **{f"empty {name}": good | {name: ""} for name in good},
        "another secret": sign(OTHER_SECRET, "first-2-2", body),
        "another id": good | {ID_HEADER: "first-2-3"},
        "another time": good | {TIMESTAMP_HEADER: str(int(good[TIMESTAMP_HEADER]) + 1)},
        "another body": sign(client.secret, "first-2-2", body + b" "),
        "too old": sign(client.secret, "first-2-2", body, late=FIVE_MINUTES + 2),
        "too early": sign(client.secret, "first-2-2", body, late=-FIVE_MINUTES - 2),
        "without a version": good | {SIGNATURE_HEADER: own.removeprefix("v1,")},
        "as of another version": good | {SIGNATURE_HEADER: own.replace("v1,", "v1a,")},
    }
    statuses = {why: (await send(client.callback, body, headers))[0] for why, headers in forged.items()}
    assert statuses == dict.fromkeys(forged, 401)
    assert (await send(client.callback, body, good))[0] == 200
    await client.shows("Bob: forged")
    assert client.shown == ["Bob: forged"]  # the good one


async def test_a_replay_of_messages_is_acknowledged_and_shows_nothing_new(client: Client) -> None:
    bodies = [msgspec.json.encode(ring_message(seq, f"number {seq}")) for seq in (2, 3)]
    posts = [(body, sign(client.secret, f"first-{seq}-{seq}", body)) for seq, body in enumerate(bodies, 2)]
    first = [await send(client.callback, body, headers) for body, headers in posts]
    again = [await send(client.callback, body, headers) for body, headers in reversed(posts)]
    assert again == first[::-1]
    assert [status for status, _ in first] == [200, 200]
    await client.server.post(client.server.only_member, ring_message(4, "the end"))
    await client.shows("Bob: the end")
    assert client.shown == ["Bob: number 2", "Bob: number 3", "Bob: the end"]


@pytest.fixture
async def room() -> AsyncIterator[Rig]:
    async with rig() as made:
        yield made


async def test_what_is_signed_for_one_seat_is_refused_at_another_of_the_same_client(room: Rig) -> None:
    await room.participant().enter("Carol")
    await room.participant().enter("Dave")
    carol, dave = room.server.members.values()
    body = msgspec.json.encode(ring_message(3, "for Carol"))
    assert (await send(dave.callback, body, sign(encode_secret(carol.key), "first-3-3", body)))[0] == 401
    assert room.listener.texts == []
    assert (await send(carol.callback, body, sign(encode_secret(carol.key), "first-3-3", body)))[0] == 200


async def test_a_replay_of_who_is_typing_shows_nothing_new(room: Rig) -> None:
    await room.participant().enter("Carol")
    carol = room.server.only_member
    who = {"sender_id": "bob-1", "sender_name": "Bob", "room": "lobby"}
    body = msgspec.json.encode({"jsonrpc": "2.0", "method": "ReceiveTyping", "params": who})
    headers = sign(encode_secret(carol.key), "typing-9f86d081884c7d65", body)
    for _ in range(3):
        assert (await send(carol.callback, body, headers))[0] in (200, 204)
    assert room.listener.typists == ["Bob"]


async def test_a_replay_after_a_resume_shows_nothing_new(room: Rig) -> None:
    """The seat stays, and so does its key."""
    carol = room.participant()
    await carol.enter("Carol")
    me = room.server.only_member
    body = msgspec.json.encode(ring_message(2, "once"))
    headers = sign(encode_secret(me.key), "first-2-2", body)
    assert (await send(me.callback, body, headers))[0] == 200
    me.away = True
    await room.sleep.let_pass()  # until the next ping, which tells it
    await room.sleep.let_pass()  # before it comes back
    await room.sleep.begun()
    assert not me.away
    assert (await send(me.callback, body, headers))[0] == 200
    assert room.listener.texts == ["once"]


# What cannot even be a signature.


NOW: Final = 1_900_000_000
KEY: Final = b"k" * 32
BODY: Final = msgspec.json.encode(ring_message(7))
GOOD: Final = signed_headers(KEY, "some-epoch-7-7", NOW, BODY)
# A field value is of visible ASCII, spaces, tabs, and bytes from 0x80 on (RFC 9110, section 5.5).
FIELD_BYTES: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])

field_values = st.lists(st.sampled_from(FIELD_BYTES), max_size=80).map(bytes)
signature_parts = st.one_of(
    st.sampled_from([b"v1", b"v1,", b",", b"", b"v1a,", b"v2,", b"V1,", b"v1,=", b"v1,,", b"\xff\xfe", b"v1,\xc5\xbe"]),
    st.binary(max_size=40).map(lambda digest: Webhook(digest or b"x").sign("", datetime.now(UTC), "").encode()),
    st.just(GOOD[SIGNATURE_HEADER].encode()).map(lambda good: good[:-1]),
    st.just(GOOD[SIGNATURE_HEADER].encode()).map(lambda good: b"v1a," + good[3:]),
    st.just(GOOD[SIGNATURE_HEADER].encode()).map(lambda good: good + b","),
    field_values,
)
signature_values = st.one_of(
    st.lists(signature_parts, max_size=30).map(b" ".join),
    st.tuples(signature_parts, st.integers(1, 3000)).map(lambda many: (many[0] + b" ") * many[1]),
).map(lambda value: value[:8000])


@dataclass
class Inbox:
    """Notes what it is told."""

    texts: list[str] = field(default_factory=list)

    async def wait_until_open(self, _epoch: str) -> None:
        """Follow any log."""

    def keep(self) -> None:
        """Remember nothing."""

    def receive(self, message: ChatMessage) -> None:
        self.texts.append(message.text)

    def typing(self, who: ReceiveTypingParams) -> None:
        self.texts.append(who.sender_name)


@contextlib.asynccontextmanager
async def endpoint() -> AsyncIterator[tuple[int, Inbox]]:
    """The client's endpoint behind the client's own HTTP server."""
    callbacks, seat, app = CallbackEndpoint(now=lambda: NOW), Inbox(), web.Application()
    callbacks.open("carol", KEY, seat)
    callbacks.add_to(app)
    runner = new_runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], seat
    await runner.cleanup()


async def ring_raw(port: int, headers: Mapping[str, bytes]) -> int:
    lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers.items())
    head = b"POST /rpc/carol HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(BODY)
    return (await exchange_raw(port, head + lines + b"\r\n" + BODY))[0]


async def test_a_malformed_signature_is_an_ordinary_refusal(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    async with endpoint() as (port, seat):

        @settings(max_examples=300, suppress_health_check=list(HealthCheck), database=None)
        @given(
            st.fixed_dictionaries({SIGNATURE_HEADER: signature_values})
            | st.fixed_dictionaries({TIMESTAMP_HEADER: field_values, SIGNATURE_HEADER: signature_values})
            | st.fixed_dictionaries({ID_HEADER: field_values, SIGNATURE_HEADER: signature_values})
        )
        def check(bad: dict[str, bytes]) -> None:
            headers = {name: value.encode() for name, value in GOOD.items()} | bad
            assert asyncio.run_coroutine_threadsafe(ring_raw(port, headers), loop).result() == 401

        await asyncio.to_thread(check)
        assert await ring_raw(port, {name: value.encode() for name, value in GOOD.items()}) == 200
    assert seat.texts == ["hi"]  # of the good one
    assert {record.levelno for record in caplog.records if record.name.startswith("client")} == {logging.WARNING}
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"v1," + b"A" * 70_000, id="70 KB"),
        pytest.param(b"v1," + b"A" * 1_000_000, id="1 MB"),
        pytest.param(b"v1,\x00", id="NUL"),
        pytest.param(b"v1,\x1b[2J", id="escape"),
        pytest.param(b"v1,\x7f\r", id="bare CR"),
        pytest.param(b"v1,\n v1,", id="folded"),
    ],
)
async def test_what_cannot_be_a_header_is_a_bad_request(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with endpoint() as (port, seat):
        headers = {name: text.encode() for name, text in GOOD.items()}
        assert await ring_raw(port, headers | {SIGNATURE_HEADER: value}) in (400, 401)
        assert seat.texts == []
        assert await ring_raw(port, headers) == 200
    assert caplog.records == []


async def test_a_signature_that_comes_twice_is_no_way_round_it() -> None:
    async with endpoint() as (port, seat):
        lines = {name: text.encode() for name, text in GOOD.items() if name != SIGNATURE_HEADER}
        twice = {SIGNATURE_HEADER: b"v1,A", SIGNATURE_HEADER.title(): b"v1,B"}
        assert await ring_raw(port, lines | twice) == 401
        assert seat.texts == []


async def test_a_challenge_is_given_back_to_nobody_else() -> None:
    async with endpoint() as (port, _):
        body = msgspec.json.encode(ring(1, "VerifyCallback", {"challenge": "c0ffee"}))
        url = f"http://127.0.0.1:{port}/rpc/carol"
        status, answer = await send(url, body, signed_headers(b"x" * 32, "c0ffee", NOW, body))
        assert status == 401
        assert b"c0ffee" not in answer
