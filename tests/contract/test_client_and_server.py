"""The real client against the real server: each reads what the other writes."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from client.callback import CallbackEndpoint
from client.errors import CallRefused
from client.participant import PING_SECONDS, ConnectionState, Participant
from client.rpc import ServerRpc
from protocol.messages import ChatMessage, ReceiveTypingParams
from server.settings import Settings
from tests.fakes import PATIENCE_SECONDS, START, RunningServer


class Face:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._told = asyncio.Event()

    def on_message(self, message: ChatMessage) -> None:
        self.texts.append(message.text)
        self._told.set()

    def on_typing(self, who: ReceiveTypingParams) -> None:
        pass

    def on_state(self, state: ConnectionState, detail: str) -> None:
        pass

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


def newcomer(server: RunningServer, endpoint: tuple[CallbackEndpoint, int], face: Face) -> Participant:
    callbacks, port = endpoint
    rpc = ServerRpc(server.session, server.url.removesuffix("/rpc"))
    return Participant(rpc, callbacks, f":{port}", face, sleep=no_backoff)


async def test_they_understand_each_other(server: RunningServer, endpoint: tuple[CallbackEndpoint, int]) -> None:
    face = Face()
    bob = newcomer(server, endpoint, face)
    await bob.enter("Bob")
    alice = await server.register("Alice", id="alice")
    for number in range(5):
        await alice.say(str(number))
    await face.hears("4")
    seq = await bob.send("hi", "m-1")
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
        settings = Settings(host="127.0.0.1", port=before.server.port)
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
