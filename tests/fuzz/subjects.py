"""What is fuzzed: a real server, and a real client before it, each on a free port of 127.0.0.1."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from client.app import new_runner
from client.faces.text import line_of, printable
from client.faces.web.frames import notification_frame
from client.faces.web.page import Page
from client.session.callback_endpoint import CallbackEndpoint
from client.session.inbox import Inbox
from client.session.listener import Listener
from client.session.participant import Participant
from client.session.rpc import ServerRpc
from protocol.messages import ChatMessage, ReceiveMessageParams, ReceiveTypingParams
from protocol.methods import RECEIVE_MESSAGE
from server.app import Dependencies, Server, listen
from server.clock import SystemClock
from tests.fakes import FakeResolver, Recipient, local_settings, take
from tests.fuzz.signed import EPOCH, KEY, NOW

SEAT: Final = "alice"
CLOSED_SEAT: Final = "gone"
COOKIE: Final = "ringback-fuzz"
EXCHANGE_SECONDS: Final = 2.0


class StillClock(SystemClock):
    """Time passes, but the time of day, of which signatures are made, is always the same."""

    @staticmethod
    def unix() -> float:
        return NOW


@contextlib.asynccontextmanager
async def running_server() -> AsyncIterator[Server]:
    """Run a server that knows no names of other machines."""
    resolver = FakeResolver({"host.invalid": ["127.0.0.1"]})
    surroundings = Dependencies(StillClock(), resolver, exchange_seconds=EXCHANGE_SECONDS)
    server = Server(local_settings(), listen("127.0.0.1", 0), surroundings)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def going_recipient() -> AsyncIterator[Recipient]:
    """Run a recipient that proves its callback and is gone when the first message comes, so that they grow no crowd."""

    async def go(request: web.Request, body: Any) -> web.StreamResponse:
        is_challenge = isinstance(body, dict) and body["method"] == "VerifyCallback"
        return await take(request, body) if is_challenge else web.Response(status=410)

    async with Recipient(secret="") as recipient:
        recipient.behaviour = go
        yield recipient


class MessageListener:
    """Does with what comes in what the faces do."""

    def on_message(self, message: ChatMessage) -> None:
        line_of(message)
        notification_frame(RECEIVE_MESSAGE, ReceiveMessageParams(message))

    def on_typing(self, who: ReceiveTypingParams) -> None:
        printable(who.sender_name)


@dataclass
class RunningClient:
    """A client with its page, and with a seat that a test may ring: `/rpc/alice`."""

    port: int
    endpoint: CallbackEndpoint

    def open_seat(self) -> None:
        """Begin anew to take messages from the first on."""
        seat = Inbox(MessageListener(), on_other_log=lambda: None, keep=lambda: None)
        seat.open(EPOCH, 0)
        self.endpoint.open(SEAT, KEY, seat)


@contextlib.asynccontextmanager
async def running_client(server: str) -> AsyncIterator[RunningClient]:
    """Run a client as `client.app` puts it together, before `server` (its address)."""
    async with aiohttp.ClientSession() as session:
        endpoint = CallbackEndpoint(now=lambda: NOW, patience=0.002)
        app, rpc = web.Application(), ServerRpc(session, server)
        runner = new_runner(app)
        listener = listen("127.0.0.1", 0)
        port = listener.port

        def new_participant(listener: Listener, join_key: str | None) -> Participant:
            return Participant(rpc, endpoint, f":{port}", listener, join_key=join_key)

        endpoint.add_to(app)
        Page(new_participant, hosts=("localhost", "127.0.0.1"), server=server, cookie_name=COOKIE).add_to(app)
        client = RunningClient(port, endpoint)
        endpoint.open(CLOSED_SEAT, KEY, Inbox(MessageListener(), on_other_log=lambda: None, keep=lambda: None))
        endpoint.close(CLOSED_SEAT)
        client.open_seat()
        await runner.setup()
        try:
            await web.SockSite(runner, listener.sockets[0]).start()
            yield client
        finally:
            await runner.cleanup()
