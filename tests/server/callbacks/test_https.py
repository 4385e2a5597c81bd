"""Callbacks over TLS, from `Register` to the deliveries."""

import ssl
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import ClientSession

from tests.fakes import FakeResolver, RunningServer, refusal
from tests.server.callbacks.conftest import Authority
from tests.server.callbacks.raw_recipient import Call, RawRecipient


async def answer_well(call: Call) -> None:
    """Answer as a good recipient does."""
    await call.read()
    request = msgspec.json.decode(call.body)
    result = request["params"].get("challenge", {"success": True})
    body = msgspec.json.encode({"jsonrpc": "2.0", "result": result, "id": request["id"]})
    call.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture
async def server(session: ClientSession, authority: Authority) -> AsyncIterator[RunningServer]:
    resolver = FakeResolver({"bob.example": ["127.0.0.1"], "eve.example": ["127.0.0.1"]})
    async with RunningServer(session, resolver=resolver, tls=authority.trusting) as server:
        yield server


@pytest.mark.parametrize("host", ["bob.example", "127.0.0.1"])
async def test_messages_are_delivered_over_the_connection_of_the_proof(
    server: RunningServer, for_bob: ssl.SSLContext, host: str
) -> None:
    async with RawRecipient(*[answer_well] * 12, tls=for_bob) as recipient:
        bob = await server.register("Bob", callback=f"https://{host}:{recipient.port}/rpc")
        assert bob.result["callback"] == f"https://{host}:{recipient.port}/rpc"
        alice = await server.register("Alice")
        for number in range(10):
            await alice.say(str(number))
        await recipient.called(12)
        await recipient.until(lambda: b'"9"' in recipient.calls[-1].body)
    bodies = [msgspec.json.decode(call.body) for call in recipient.calls]
    assert [body["params"]["message"]["text"] for body in bodies[2:]] == [str(number) for number in range(10)]
    assert recipient.connections == 1
    assert {call.head.split(b"\r\n")[1] for call in recipient.calls} == {
        b"Host: %b:%d" % (host.encode(), recipient.port)
    }


async def test_a_certificate_for_another_name_is_told(server: RunningServer, for_bob: ssl.SSLContext) -> None:
    async with RawRecipient(tls=for_bob) as recipient:
        callback = f"https://eve.example:{recipient.port}/rpc"
        error = await refusal(server.call("Register", name="Eve", callback=callback))
        assert (error.code, error.data["stage"]) == (-32004, "tls")
        assert recipient.calls == []
