"""What the tests put in the place of the world: a clock they wind, a resolver they fill, recipients they command.

Servers and recipients are real ones, on real sockets, on any free port.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Self

import aiohttp
import msgspec
import pytest
from aiohttp import web

from protocol.signing import decode_secret, encode_secret, verify
from server.app import Dependencies, Server, listen
from server.callbacks.resolver import ResolveError
from server.net.addresses import IPAddress, literal_address
from server.settings import Settings

START = 1_800_000_000.0
PATIENCE_SECONDS = 60.0  # how long a test waits for what must come, before it fails
WORLD = ssl.create_default_context()  # whom all the world trusts; made once, since it reads files
SECRET = encode_secret(bytes(range(32)))


class ManualClock:
    """A clock that moves only when a test advances it; monotonic and Unix time move together, but for `skew`."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew  # of the wall clock, in seconds
        self._now = 0.0
        self._sleepers: dict[asyncio.Event, float] = {}
        self._alarms: dict[ManualAlarm, float] = {}
        self._changed = asyncio.Event()

    def unix(self) -> float:
        return START + self._now + self.skew

    def monotonic(self) -> float:
        return self._now

    def uptime(self) -> float:
        return self._now

    async def wait(self, event: asyncio.Event, until: float) -> None:
        due = asyncio.Event()
        if until <= self._now:
            due.set()
        self._sleepers[due] = until
        self._changed.set()
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(due.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._sleepers[due]
            for wait in waits:
                wait.cancel()

    def call_at(self, when: float, callback: Callable[[], None]) -> "ManualAlarm":
        alarm = ManualAlarm(self._alarms, callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(alarm.ring)
        self._alarms[alarm] = when
        self._changed.set()
        return alarm

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for alarm in [alarm for alarm, when in self._alarms.items() if when <= self._now]:
            asyncio.get_running_loop().call_soon(alarm.ring)
        for due, until in self._sleepers.items():
            if until <= self._now:
                due.set()

    async def someone_waits(self, low: float, high: float, count: int = 1) -> None:
        """Return when so many wait for a moment between `low` and `high` seconds from now."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(low <= until - self._now <= high for until in self._all_waits()) < count:
                self._changed.clear()
                await self._changed.wait()

    @property
    def alarms(self) -> int:
        """How many calls are still to come."""
        return len(self._alarms)

    def _all_waits(self) -> list[float]:
        return [*self._sleepers.values(), *self._alarms.values()]


class ManualAlarm:
    """A call that is to come on a clock that a test holds."""

    def __init__(self, alarms: "dict[ManualAlarm, float]", callback: Callable[[], None]) -> None:
        self._alarms = alarms
        self._callback = callback

    def cancel(self) -> None:
        self._alarms.pop(self, None)

    def ring(self) -> None:
        if self._alarms.pop(self, None) is not None:
            self._callback()


class FakeResolver:
    """Knows the names that a test gives it, and itself counts nothing as an address that is not one."""

    def __init__(self, names: Mapping[str, Sequence[str]] | None = None) -> None:
        self.names = dict(names or {})
        self.asked: list[str] = []

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        self.asked.append(host)
        if (literal := literal_address(host)) is not None:
            return [literal]
        if host not in self.names:
            raise ResolveError("the name has no address")
        return [ip_address(address) for address in self.names[host]]


Json = dict[str, Any]
Behaviour = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]


async def take(_request: web.Request, body: Any) -> web.StreamResponse:
    """Answer as a good recipient does."""
    calls = body if isinstance(body, list) else [body]
    answers = [{"jsonrpc": "2.0", "result": _result_of(call), "id": call["id"]} for call in calls if "id" in call]
    return web.json_response(answers if isinstance(body, list) else answers[0]) if answers else web.Response(status=204)


def _result_of(call: Json) -> object:
    return call["params"]["challenge"] if call["method"] == "VerifyCallback" else {"success": True}


def answer_error(code: int) -> Behaviour:
    """Answer messages with a JSON-RPC error."""

    async def behave(request: web.Request, body: Any) -> web.StreamResponse:
        if not isinstance(body, list) and body["method"] == "VerifyCallback":
            return await take(request, body)
        calls = body if isinstance(body, list) else [body]
        error = {"code": code, "message": "no"}
        answers = [{"jsonrpc": "2.0", "error": error, "id": call["id"]} for call in calls]
        return web.json_response(answers if isinstance(body, list) else answers[0])

    return behave


def answer_status(status: int, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answer with this HTTP status."""

    async def behave(_request: web.Request, _body: Any) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, text="<p>no</p>", content_type="text/html")

    return behave


async def hang(_request: web.Request, _body: Any) -> web.StreamResponse:
    """Accept, and never answer."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def drop(request: web.Request, _body: Any) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@dataclass
class Post:
    """One POST as it arrived."""

    headers: Mapping[str, str]
    raw: bytes
    body: Any
    peer_port: int


class Recipient:
    """A callback endpoint that records what it is sent, checks every signature, and behaves as a test commands."""

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret
        self.behaviour: Behaviour = take
        self.posts: list[Post] = []
        self.port = 0
        self._arrived = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def callback(self) -> str:
        return f":{self.port}/rpc"

    @property
    def messages(self) -> list[Json]:
        """What `ReceiveMessage` brought, in the order of arrival, repeats included."""
        calls = [call for post in self.posts for call in (post.body if isinstance(post.body, list) else [post.body])]
        return [call["params"]["message"] for call in calls if call["method"] == "ReceiveMessage"]

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.messages]

    @property
    def methods(self) -> list[str]:
        return [post.body["method"] for post in self.posts if isinstance(post.body, dict)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at after each POST."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()

    async def has(self, *texts: str) -> None:
        """Return when the last texts that arrived are these."""
        await self.until(lambda: self.texts[-len(texts) :] == list(texts))

    async def posted(self, count: int) -> None:
        """Return when so many POSTs have arrived."""
        await self.until(lambda: len(self.posts) >= count)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        if self.secret:
            verify(decode_secret(self.secret), headers, raw, float(headers["webhook-timestamp"]))
        assert request.transport is not None
        body = msgspec.json.decode(raw)
        self.posts.append(Post(headers, raw, body, request.transport.get_extra_info("peername")[1]))
        self._arrived.set()
        return await self.behaviour(request, body)


def local_settings(**given: Any) -> Settings:
    """Make settings for a server on a free port of this machine, with its log in memory and no rate limits."""
    return Settings(**{"host": "127.0.0.1", "port": 0, "store": "memory:", "rate": 0.0, **given})


class RpcError(Exception):
    """A JSON-RPC error answer."""

    def __init__(self, error: Json) -> None:
        super().__init__(error)
        self.code: int = error["code"]
        self.data: Json = error.get("data", {})


async def refusal(call: Awaitable[object]) -> RpcError:
    """Await a call that is to be refused, and give the error."""
    with pytest.raises(RpcError) as refused:
        await call
    return refused.value


@dataclass
class Seat:
    """A registered participant, as a test holds it."""

    server: "RunningServer"
    result: Json

    @property
    def id(self) -> str:
        return str(self.result["id"])

    @property
    def token(self) -> str:
        return str(self.result["token"])

    async def call(self, method: str, **params: Any) -> Any:
        return await self.server.call(method, self.token, **params)

    async def say(self, text: str, **params: Any) -> int:
        result = await self.call("SendMessage", user_id=self.id, text=text, **params)
        return int(result["seq"])


@dataclass
class RunningServer:
    """A real server on a free port of 127.0.0.1, and calls to it."""

    session: aiohttp.ClientSession
    settings: Settings = field(default_factory=local_settings)
    clock: ManualClock = field(default_factory=ManualClock)
    resolver: FakeResolver = field(default_factory=FakeResolver)
    tls: ssl.SSLContext = WORLD
    exchange_seconds: float = PATIENCE_SECONDS
    read_seconds: float = PATIENCE_SECONDS
    drain_seconds: float = PATIENCE_SECONDS

    async def __aenter__(self) -> Self:
        surroundings = Dependencies(
            self.clock, self.resolver, self.tls, self.exchange_seconds, self.read_seconds, self.drain_seconds
        )
        self.server = Server(self.settings, listen(self.settings.host, self.settings.port), surroundings)
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/rpc"

    async def post(self, body: bytes, **options: Any) -> tuple[int, bytes]:
        """POST raw bytes as JSON; gives status and body."""
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        async with self.session.post(self.url, data=body, headers=headers, **options) as response:
            return response.status, await response.read()

    async def call(self, method: str, token: str | None = None, *, forwarded: str | None = None, **params: Any) -> Any:
        """Call a method; gives the result or raises `RpcError`."""
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if forwarded:
            headers["X-Forwarded-For"] = forwarded
        status, raw = await self.post(msgspec.json.encode(request), headers=headers)
        assert status == 200, raw
        answer = msgspec.json.decode(raw)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    async def register(self, name: str, recipient: Recipient | None = None, **params: Any) -> Seat:
        """Register, at a recipient's callback if one is given."""
        if recipient is not None:
            params = {"callback": recipient.callback, "secret": recipient.secret, **params}
        return Seat(self, await self.call("Register", name=name, **params))
