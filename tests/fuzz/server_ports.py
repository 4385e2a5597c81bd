"""The server's port: JSON-RPC, and raw bytes."""

import contextlib
from dataclasses import dataclass
from random import Random
from typing import Final

import msgspec

from protocol.methods import MAX_BATCH_CALLS, MAX_NESTING
from tests.fuzz import vocabulary
from tests.fuzz.bodies import Bodies
from tests.fuzz.judge import Dialect
from tests.fuzz.port import Kept, RawPort, Subject, check_answer, exchange_once, result_of
from tests.fuzz.raw_http import RawRequests, Request
from tests.fuzz.subjects import going_recipient, running_server

OF_SERVER: Final = Dialect(max_batch=MAX_BATCH_CALLS, max_nesting=MAX_NESTING)
SEATS: Final = ("alice", "bob")
STRANGE_TOKENS: Final = ("", "x", "x" * 5000)


def call(method: str, token: str | None = None, **params: object) -> bytes:
    """Write a good call to the server."""
    body = msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
    return to_server(body, token)


def to_server(body: bytes, token: str | None) -> bytes:
    """Write a POST to `/rpc`."""
    bearer = b"" if token is None else b"Authorization: Bearer %b\r\n" % token.encode()
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (bearer, len(body)) + body


class ServerSide(Subject):
    """A server with two members whom the inputs may speak for, and a guard of whom they do not know."""

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        recipient = await stack.enter_async_context(going_recipient())
        self.number = (await stack.enter_async_context(running_server())).port
        seats = [await exchange_once(self.number, call("Register", name=name.title(), id=name)) for name in SEATS]
        guard = await exchange_once(self.number, call("Register", name="Guard", id="guard"))
        self._guard: str = result_of(guard)["token"]
        self.tokens: tuple[str | None, ...] = (*[result_of(seat)["token"] for seat in seats], None, *STRANGE_TOKENS)
        self.bodies = Bodies(vocabulary.of_server(recipient.port))
        self.kept = Kept(self.number)
        stack.callback(self.kept.close)

    async def still_works(self) -> None:
        """See that the guard is answered."""
        result_of(await exchange_once(self.number, self.good_request()))

    def good_request(self) -> bytes:
        return call("Ping", self._guard)


@dataclass(frozen=True)
class RpcInput:
    """A body, and the POST that brings it."""

    body: bytes
    whole: bytes


class ServerRpc(ServerSide):
    """JSON-RPC to the server."""

    name = "server-rpc"

    def draw(self, draw: Random) -> RpcInput:
        token = draw.choice((*self.tokens[:2] * 5, *self.tokens))
        body = self.bodies.draw(draw)
        return RpcInput(body, to_server(body, token))

    async def attempt(self, given: RpcInput) -> str:
        response = await self.kept.exchange(given.whole)
        if response.status == 413 and len(given.body) > 2**20:
            return "413"
        return check_answer(given.body, response, OF_SERVER)


class ServerRaw(ServerSide, RawPort):
    """Raw bytes to the server."""

    name = "server-raw"
    in_between = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        await super().begin(stack)
        json = (
            b"Host: localhost",
            b"Content-Type: application/json",
            b"Authorization: Bearer %b" % str(self.tokens[0]).encode(),
        )
        body = b'{"jsonrpc":"2.0","method":"%b","params":%b,"id":1}'
        self.requests = RawRequests(
            (
                Request(b"POST", b"/rpc", json, body % (b"Ping", b"{}")),
                Request(b"POST", b"/rpc", json, body % (b"SendMessage", b'["alice","hi"]')),
                Request(b"POST", b"/rpc", json, b"[%b,%b]" % (body % (b"Ping", b"[]"), body % (b"Nope", b"[]"))),
                Request(b"POST", b"/rpc", json, b'{"jsonrpc":"2.0","method":"SetTyping"}'),
                Request(b"POST", b"/rpc", json[:2], body % (b"Register", b'{"name":"Eve"}')),
                Request(b"GET", b"/", json[:1]),
                Request(b"GET", b"/healthz", json[:1]),
                Request(b"GET", b"/readyz", json[:1]),
            )
        )
