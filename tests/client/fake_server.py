"""A small chat server of the contract for the client's tests: no checks, but a script of what goes wrong."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from client.session.callback_endpoint import CallbackEndpoint
from client.session.listener import ConnectionState, Listener
from client.session.participant import Participant
from client.session.registration_file import RegistrationFiles
from client.session.rpc import ServerRpc
from protocol.errors import ContractError, ErrorCode
from protocol.messages import ChatMessage, ReceiveTypingParams
from protocol.signing import decode_secret, signed_headers

SENT_AT = "2030-01-02T03:04:05.678Z"


def message(
    seq: int, text: str = "hi", sender: str = "Bob", event: str | None = None, sent_at: str = SENT_AT
) -> ChatMessage:
    return ChatMessage(
        seq=seq,
        room="lobby",
        sender_id=f"{sender.lower()}-1",
        sender_name=sender,
        text=text,
        is_system=event is not None,
        event=event,
        sent_at=sent_at,
    )


def ring(number: int, method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": number}


def ring_message(seq: int, text: str = "hi") -> dict[str, Any]:
    return ring(seq, "ReceiveMessage", {"message": msgspec.to_builtins(message(seq, text))})


@dataclass
class Member:
    id: str
    name: str
    token: str
    callback: str
    key: bytes
    away: bool = False


@dataclass
class FakeServer:
    """`down`: the HTTP status given instead of an answer. `refuse`: method -> errors to give first.

    `cursor` is what `Register` tells, if it is not the newest `seq`; `early` is posted before it answers. `log` is what
    `GetHistory` reads; `clock_ahead` is in seconds; `before_history` is awaited before it does.
    """

    down: int | None = None
    clock_ahead: int = 0
    refuse: dict[str, list[ContractError]] = field(default_factory=dict)
    lose_answer_of: set[str] = field(default_factory=set)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    epoch: str = "first"
    seq: int = 0
    lost: int = 0
    cursor: int | None = None
    early: list[dict[str, Any]] = field(default_factory=list)
    early_posts: "list[asyncio.Task[tuple[int, Any]]]" = field(default_factory=list)
    url: str = ""
    before_register: Callable[[], Awaitable[None]] | None = None
    before_history: Callable[[], Awaitable[None]] | None = None
    log: list[ChatMessage] = field(default_factory=lambda: [message(1)])

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def forget_everything(self) -> None:
        self.members.clear()
        self.restore(0)

    def restore(self, seq: int) -> None:
        """Be another log that knows the same members, as a restored copy is."""
        self.epoch, self.seq = "second", seq

    async def handle(self, request: web.Request) -> web.Response:
        given = await request.json()
        method, params = given["method"], given.get("params", {})
        self.calls.append((method, params))
        if self.down is not None:
            return web.Response(status=self.down, headers={"Retry-After": "3"})
        try:
            result = await self._perform(method, params, request)
        except ContractError as error:
            refusal = {"code": error.code, "message": error.code.message, "data": error.data}
            return web.json_response({"jsonrpc": "2.0", "error": refusal, "id": given["id"]})
        if method in self.lose_answer_of:
            self.lose_answer_of.discard(method)
            return web.Response(status=502)
        return web.json_response({"jsonrpc": "2.0", "result": result, "id": given["id"]})

    async def _perform(self, method: str, params: dict[str, Any], request: web.Request) -> dict[str, Any]:
        if self.refuse.get(method):
            raise self.refuse[method].pop(0)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if method == "Register":
            return await self._register(params, token, request.remote or "")
        if token not in self.members:
            raise ContractError(ErrorCode.UNAUTHORIZED)
        me = self.members[token]
        if me.away:
            raise ContractError(ErrorCode.AWAY)
        if method == "GetHistory" and self.before_history is not None:
            await self.before_history()
        return self._perform_as(me, method, params)

    def _perform_as(self, me: Member, method: str, params: dict[str, Any]) -> dict[str, Any]:
        here = {"epoch": self.epoch, "seq": self.seq}
        if method == "SendMessage":
            if params["client_msg_id"] not in self.sent:
                self.sent[params["client_msg_id"]] = params["text"]
                self.seq += 1
            return {"success": True, "message": "Message sent successfully", "seq": self.seq, "sent_at": SENT_AT}
        if method == "Unregister":
            me.away = True
            return {"success": True, "message": "Successfully unregistered"}
        if method == "Rename":
            me.name = params["name"]
            return {"success": True, "message": "", "name": me.name}
        if method == "GetHistory":
            before, after, limit = params.get("before", 2**53), params.get("after"), params.get("limit", 50)
            read = [each for each in self.log if (after or 0) < each.seq < before]
            read = read[-limit:] if after is None else read[:limit]
            oldest = self.log[0].seq if self.log else self.seq + 1
            earlier = sum(each.seq < read[0].seq if read else each.seq <= (after or 0) for each in self.log)
            return {"messages": msgspec.to_builtins(read), "oldest": oldest, "earlier": earlier, **here}
        if method == "ListMembers":
            member = {"id": me.id, "name": me.name, "state": "online", "behind": 0}
            return {"members": [member], "member_count": 1, "seq": self.seq}
        if method == "Ping":
            return {"cursor": self.seq, "callback": me.callback, **here}
        return {"success": True}

    async def _register(self, params: dict[str, Any], token: str, caller: str) -> dict[str, Any]:
        if token and token not in self.members:
            raise ContractError(ErrorCode.UNAUTHORIZED)
        if self.before_register is not None:
            await self.before_register()
        name = params["name"]
        if any(member.name == name for member in self.members.values() if member.token != token and not member.away):
            raise ContractError(ErrorCode.TAKEN, {"field": "name"})
        callback = params["callback"]
        url = f"http://{caller}{callback}" if callback.startswith(":") else callback
        me = self.members.get(token) or Member(params.get("id") or f"{name.lower()}-1", name, "", "", b"")
        me.callback, me.key, me.away = url, decode_secret(params["secret"]), False
        if not await self.verify_callback(me):
            raise ContractError(ErrorCode.CALLBACK_UNREACHABLE, {"url": url, "stage": "rpc"})
        me.token = me.token or f"token-{self.epoch}-{len(self.calls)}"
        self.members[me.token] = me
        self.seq += not token
        cursor = self.seq if self.cursor is None else self.cursor
        cursor = params.get("after", cursor)
        for call in self.early:
            self.early_posts.append(asyncio.create_task(self.post(me, call)))
        return {
            "success": True, "message": f"Successfully registered as {me.id}", "id": me.id, "name": name,
            "token": me.token, "secret": params["secret"], "callback": url, "epoch": self.epoch, "seq": self.seq,
            "cursor": cursor, "lost": self.lost, "resumed": bool(token), "members": [], "member_count": 1,
            "a_field_of_tomorrow": 1,
        }  # fmt: skip

    async def verify_callback(self, me: Member) -> bool:
        status, reply = await self.post(me, ring(1, "VerifyCallback", {"challenge": "what"}))
        return status == 200 and reply["result"] == "what"

    async def post(self, me: Member, call: Any, epoch: str | None = None) -> tuple[int, Any]:
        """Ring `me` and give status and JSON of the answer."""
        body = msgspec.json.encode(call)
        calls = call if isinstance(call, list) else [call]
        of_messages = calls[0]["method"] == "ReceiveMessage"
        webhook_id = f"{epoch or self.epoch}-{calls[0]['id']}-{calls[-1]['id']}" if of_messages else "challenge"
        headers = signed_headers(me.key, webhook_id, int(time.time()) + self.clock_ahead, body)
        async with aiohttp.ClientSession() as session, session.post(me.callback, data=body, headers=headers) as reply:
            text = await reply.read()
            return reply.status, msgspec.json.decode(text) if reply.status == 200 else None

    @property
    def only_member(self) -> Member:
        (member,) = self.members.values()
        return member


class ManualSleep:
    """A sleep that lasts until the test lets it pass."""

    def __init__(self) -> None:
        self._sleepers: asyncio.Queue[tuple[float, asyncio.Future[None]]] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.put_nowait((seconds, future))
        await future

    async def begun(self) -> None:
        """Wait until somebody sleeps."""
        sleeper = await self._next()
        self._sleepers.put_nowait(sleeper)

    async def let_pass(self) -> float:
        """Wait until somebody sleeps, wake it, and give the seconds that it meant to sleep."""
        seconds, future = await self._next()
        future.set_result(None)
        return seconds

    async def _next(self) -> tuple[float, asyncio.Future[None]]:
        while True:
            seconds, future = await self._sleepers.get()
            if not future.done():
                return seconds, future


class Recorder:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.typists: list[str] = []
        self.states: list[ConnectionState] = []
        self.all: list[str] = []
        self._told: asyncio.Queue[tuple[ConnectionState, str]] = asyncio.Queue()

    def on_message(self, message: ChatMessage) -> None:
        self.texts.append(message.text)
        self.all.append(message.text)

    def on_typing(self, who: ReceiveTypingParams) -> None:
        self.typists.append(who.sender_name)

    def on_state(self, state: ConnectionState, detail: str) -> None:
        self.states.append(state)
        self.all.append(state)
        self._told.put_nowait((state, detail))

    async def told(self) -> tuple[ConnectionState, str]:
        """Wait for the next state that was not asked for yet."""
        return await asyncio.wait_for(self._told.get(), 60)


@dataclass
class Rig:
    """A fake server, an endpoint on a port of its own, and what is needed to make participants."""

    server: FakeServer
    rpc: ServerRpc
    endpoint: CallbackEndpoint
    callback: str
    listener: Recorder = field(default_factory=Recorder)
    sleep: ManualSleep = field(default_factory=ManualSleep)
    made: list[Participant] = field(default_factory=list)
    registration_files: RegistrationFiles | None = None

    def participant(self, listener: Listener | None = None, join_key: str | None = None) -> Participant:
        made = Participant(
            self.rpc,
            self.endpoint,
            self.callback,
            listener or self.listener,
            join_key=join_key,
            registration_files=self.registration_files,
            sleep=self.sleep,
            draw=lambda: 0.5,
        )
        self.made.append(made)
        return made

    async def kill(self, participant: Participant) -> None:
        """End it as a crash of its process would: nobody is told, and its file is free again."""
        if participant._keeper is not None:
            participant._keeper.cancel()
            await asyncio.wait([participant._keeper])
        participant.release()
        participant.state = ConnectionState.NEW
        self.made.remove(participant)


@contextlib.asynccontextmanager
async def running_server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    app = web.Application()
    app.router.add_post("/rpc", fake.handle)
    async with TestServer(app) as http:
        fake.url = f"http://127.0.0.1:{http.port}"
        yield fake


@contextlib.asynccontextmanager
async def rig(patience: float = 4.0) -> AsyncIterator[Rig]:
    """Everything but the participants; those that were made have left at the end."""
    endpoint = CallbackEndpoint(patience=patience)
    app = web.Application()
    endpoint.add_to(app)
    async with running_server() as fake, TestServer(app) as callbacks, aiohttp.ClientSession() as session:
        made = Rig(fake, ServerRpc(session, fake.url), endpoint, f":{callbacks.port}")
        yield made
        for participant in made.made:
            await participant.leave()
        for post in fake.early_posts:
            post.cancel()


def free_port() -> int:
    """Give a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
