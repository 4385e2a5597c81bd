"""The real client against the real server: each reads what the other writes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from client.errors import CallRefused
from client.session.callback_endpoint import CallbackEndpoint
from client.session.listener import ConnectionState
from client.session.participant import PING_SECONDS, Participant
from client.session.registration_file import RegistrationFiles, by_name
from client.session.rpc import ServerRpc
from protocol.messages import ChatMessage, ReceiveTypingParams
from server.app import copy_log
from tests.fakes import PATIENCE_SECONDS, START, RunningServer, local_settings


class Face:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.details: list[str] = []
        self._told = asyncio.Event()

    def on_message(self, message: ChatMessage) -> None:
        self.texts.append(message.text)
        self._told.set()

    def on_typing(self, who: ReceiveTypingParams) -> None:
        pass

    def on_state(self, state: ConnectionState, detail: str) -> None:
        self.details.append(detail)

    async def hears(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.texts:
                self._told.clear()
                await self._told.wait()


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[CallbackEndpoint, int]]:
    endpoint, app = CallbackEndpoint(now=lambda: START), web.Application()
    endpoint.add_to(app)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield endpoint, runner.addresses[0][1]
    await runner.cleanup()


async def no_backoff(seconds: float) -> None:
    """Wait between two pings, but not before coming back."""
    await asyncio.sleep(seconds if seconds == PING_SECONDS else 0)


def newcomer(
    server: RunningServer, endpoint: tuple[CallbackEndpoint, int], face: Face, state: Path | None = None
) -> Participant:
    callbacks, port = endpoint
    rpc = ServerRpc(server.session, server.url.removesuffix("/rpc"))
    registration_files = RegistrationFiles(state, rpc.server) if state else None
    return Participant(rpc, callbacks, f":{port}", face, registration_files=registration_files, sleep=no_backoff)


async def test_they_understand_each_other(server: RunningServer, endpoint: tuple[CallbackEndpoint, int]) -> None:
    face = Face()
    bob = newcomer(server, endpoint, face)
    await bob.enter("Bob")
    alice = await server.register("Alice", id="alice")
    for number in range(5):
        await alice.say(str(number))
    await face.hears("4")
    seq = (await bob.send("hi", "m-1")).seq
    history = await bob.history(after=1)
    members = await bob.members()
    assert face.texts == ["Alice joined the chat", *"01234"]
    assert [message.text for message in history.messages] == [*face.texts, "hi"]
    assert history.messages[-1].seq == seq
    assert {member.name for member in members.members} == {"Alice", "Bob"}
    assert await bob.rename("Bobby") == "Bobby"
    await bob.leave()
    assert (await alice.call("ListMembers"))["member_count"] == 1


async def test_what_others_said_first_in_a_new_log_is_heard_in_order(
    session: aiohttp.ClientSession, endpoint: tuple[CallbackEndpoint, int]
) -> None:
    face = Face()
    async with RunningServer(session) as before:
        bob = newcomer(before, endpoint, face)
        await bob.enter("Bob")
        settings = local_settings(port=before.server.port)
    async with RunningServer(session, settings) as after:
        alice = await after.register("Alice")
        for number in range(3):
            await alice.say(f"early {number}")
        with pytest.raises(CallRefused):
            await bob.send("finds out that the server has begun anew")
        await face.hears("early 2")
        await alice.say("late")
        await face.hears("late")
        await bob.leave()
    assert face.texts == ["Alice joined the chat", "early 0", "early 1", "early 2", "late"]


async def test_one_who_starts_anew_misses_nothing_and_is_shown_nothing_twice(
    server: RunningServer, endpoint: tuple[CallbackEndpoint, int], tmp_path: Path
) -> None:
    alice = await server.register("Alice")
    heard: list[str] = []
    for round_number in range(3):
        face = Face()
        bob = newcomer(server, endpoint, face, tmp_path)
        assert (bob.recall(by_name("Bob")) is None) == (round_number == 0)
        resumed = (await bob.enter("Bob")).resumed
        assert resumed == (round_number > 0)
        await alice.say(f"while he is here {round_number}")
        await face.hears(f"while he is here {round_number}")
        await bob.leave()
        await alice.say(f"while he is away {round_number}")
        heard += face.texts
    assert heard == [f"while he is {place} {n}" for n in range(3) for place in ("here", "away")][:-1]


async def test_one_who_crashes_misses_nothing_and_is_shown_nothing_twice(
    server: RunningServer, endpoint: tuple[CallbackEndpoint, int], tmp_path: Path
) -> None:
    alice = await server.register("Alice")
    before, after = Face(), Face()
    bob = newcomer(server, endpoint, before, tmp_path)
    bob.recall(by_name("Bob"))
    await bob.enter("Bob")
    for number in range(300):
        await alice.say(f"one {number}")
    await before.hears("one 99")
    await crash(bob)
    for number in range(300):
        await alice.say(f"two {number}")
    bob = newcomer(server, endpoint, after, tmp_path)
    assert bob.recall(by_name("Bob")) == "Bob"
    await bob.enter("Bob")
    await after.hears("two 299")
    await bob.leave()
    assert before.texts + after.texts == [f"{part} {number}" for part in ("one", "two") for number in range(300)]


async def crash(participant: Participant) -> None:
    """End it as the kernel would."""
    assert participant._keeper is not None
    participant._keeper.cancel()
    await asyncio.wait([participant._keeper])
    participant.release()


@pytest.mark.parametrize("starts_anew", [False, True], ids=["in one process", "from what was remembered"])
async def test_in_a_store_that_was_restored_it_goes_on_from_the_cursor_there(
    session: aiohttp.ClientSession, endpoint: tuple[CallbackEndpoint, int], tmp_path: Path, starts_anew: bool
) -> None:
    face, store, copy = Face(), f"sqlite:{tmp_path}/chat.db", tmp_path / "copy.db"
    async with RunningServer(session, local_settings(store=store)) as before:
        alice = await before.register("Alice")
        bob = newcomer(before, endpoint, face, tmp_path / "state")
        bob.recall(by_name("Bob"))
        await bob.enter("Bob")
        await alice.say("in both")
        await face.hears("in both")
        await asyncio.to_thread(copy_log, store, copy)
        for number in range(5):
            await alice.say(f"only in the first {number}")
        await face.hears("only in the first 4")
        port = before.server.port
        if starts_anew:
            await bob.leave()
    async with RunningServer(session, local_settings(store=f"sqlite:{copy}", port=port)) as after:
        alice.server = after
        for number in range(3):
            await alice.say(f"only in the copy {number}")
        if starts_anew:
            bob = newcomer(after, endpoint, face, tmp_path / "state")
            bob.recall(by_name("Bob"))
            assert (await bob.enter("Bob")).resumed
        await face.hears("only in the copy 2")
        await bob.leave()
    assert "The server has another log now" in face.details[-2]
    assert face.texts[-3:] == [f"only in the copy {number}" for number in range(3)]
    assert face.texts.count("only in the first 4") == 1
