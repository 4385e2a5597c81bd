"""Callbacks that share an address and port, where one connection is served at a time and where many are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from server.callbacks.address_policy import AddressPolicy
from server.callbacks.callback import Callback, Callbacks
from server.callbacks.callback_url import parse_callback
from server.callbacks.connector import Connector
from server.callbacks.endpoints import STALLED_SECONDS
from server.callbacks.exchange import HttpResponse
from tests.fakes import PATIENCE_SECONDS, WORLD, FakeResolver
from tests.server.callbacks.raw_recipient import OK, Call, RawRecipient
from tests.server.net.frozen_loop import frozen_loop

HAPPY = HttpResponse(200, b"{}")
pytestmark = pytest.mark.asyncio(loop_factories=["frozen"])


class SerialRecipient(RawRecipient):
    """Answers on a connection when all connections before it have ended, as Python's `HTTPServer` does."""

    def __init__(self) -> None:
        super().__init__(*[self._answer_when_alone] * 100)

    async def _answer_when_alone(self, call: Call) -> None:
        await call.read()
        await self.left(call.connection - 1)
        call.say(OK)


@asynccontextmanager
async def callbacks_to(recipient: RawRecipient, count: int) -> AsyncIterator[list[Callback]]:
    """Give so many callbacks at this recipient's address and port."""
    callbacks = Callbacks(Connector(FakeResolver(), AddressPolicy(), WORLD), PATIENCE_SECONDS)
    url = parse_callback(f"http://127.0.0.1:{recipient.port}/")
    made = [callbacks.to(url, ip_address("127.0.0.1"), str(number)) for number in range(count)]
    yield made
    for callback in made:
        callback.close()
    assert not callbacks.endpoints


def exchange(callback: Callback) -> asyncio.Task[HttpResponse]:
    return asyncio.create_task(callback.exchange(b"Content-Length: 2\r\n\r\n", b"{}"))


async def test_serial_place_is_freed_for_one_who_waits_and_kept_free_afterwards() -> None:
    async with SerialRecipient() as recipient, callbacks_to(recipient, 2) as (first, second):
        assert await exchange(first) == HAPPY
        waiting = exchange(second)
        await recipient.called(2)
        await frozen_loop().pass_time(STALLED_SECONDS - 0.01)
        assert recipient.ended == 0
        await frozen_loop().pass_time(0.01)
        assert await waiting == HAPPY
        await frozen_loop().pass_time(STALLED_SECONDS)
        for callback in (first, second, first, first, second):
            assert await exchange(callback) == HAPPY, "it is served at once"
        await recipient.left(recipient.connections)


async def test_serial_place_is_freed_for_several_who_wait_at_the_same_time() -> None:
    async with SerialRecipient() as recipient, callbacks_to(recipient, 3) as (first, second, third):
        await exchange(first)
        waiting = [exchange(second), exchange(third)]
        await recipient.called(3)
        for number in (1, 2):
            await frozen_loop().pass_time(STALLED_SECONDS)
            await recipient.left(number)
            await frozen_loop().pass_time(STALLED_SECONDS)
        assert [await one for one in waiting] == [HAPPY, HAPPY]


async def test_place_of_one_who_has_left_serves_the_other_by_a_kept_connection() -> None:
    async with SerialRecipient() as recipient, callbacks_to(recipient, 2) as (first, second):
        await exchange(first)
        waiting = exchange(second)
        await recipient.called(2)
        await frozen_loop().pass_time(STALLED_SECONDS)
        await waiting
        await frozen_loop().pass_time(STALLED_SECONDS)
        first.close()
        connections = recipient.connections
        for _ in range(3):
            await exchange(second)
        assert recipient.connections == connections


async def test_place_that_serves_many_keeps_all_connections() -> None:
    async with RawRecipient() as recipient, callbacks_to(recipient, 3) as callbacks:
        for _ in range(3):
            for callback in callbacks:
                assert await exchange(callback) == HAPPY
            await frozen_loop().pass_time(STALLED_SECONDS)
        assert (recipient.connections, recipient.ended) == (3, 0)


async def test_place_that_is_only_busy_keeps_its_connections() -> None:
    release = asyncio.Event()

    async def dawdle(call: Call) -> None:
        await call.read()
        await release.wait()
        call.say(OK)

    async with RawRecipient(dawdle, dawdle) as recipient, callbacks_to(recipient, 2) as callbacks:
        both = [exchange(callback) for callback in callbacks]
        await recipient.called(2)
        for _ in range(5):
            await frozen_loop().pass_time(STALLED_SECONDS)
        release.set()
        assert [await one for one in both] == [HAPPY, HAPPY]
        await frozen_loop().pass_time(2 * STALLED_SECONDS)
        assert [await exchange(callback) for callback in callbacks] == [HAPPY, HAPPY]
        assert (recipient.connections, recipient.ended) == (2, 0)
