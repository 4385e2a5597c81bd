"""Name servers that hang: who is behind them waits for two seconds, and nobody else waits.

Time passes only when a test says so: what happens before that happens while the look-ups hang.
"""

import asyncio
import copy
import threading
from collections.abc import Callable, Coroutine, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import ClientSession, TCPConnector, web

from server.callbacks.resolver import LOOK_UP_SECONDS, LOOK_UPS_AT_ONCE
from server.net.addresses import IPAddress
from tests.fakes import PATIENCE_SECONDS, Recipient, RpcError, RunningServer, local_settings, refusal, take
from tests.hostile.conftest import RealResolver
from tests.server.net.frozen_loop import FrozenLoop, frozen_loop

MANY = 40
AT_ONCE = min(MANY, LOOK_UPS_AT_ONCE)  # so many of them are looked up while the others wait
HOME = "127.0.0.1"


class Names:
    """Knows every name at once as 127.0.0.1, until those that end in `.slow.example` hang; the end lets them go."""

    def __init__(self) -> None:
        self.hanging = 0
        self._hang = False
        self._let_go = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.let_go()

    def hang(self) -> None:
        """From now on."""
        self._hang = True

    def let_go(self) -> None:
        """Answer who waits, that there is no address."""
        self._hang = False
        self._let_go.set()

    def look_up(self, host: str) -> list[IPAddress]:
        """Block the thread if need be."""
        if not (self._hang and host.endswith(".slow.example")):
            return [ip_address(HOME)]
        self._loop.call_soon_threadsafe(self._count)
        self._let_go.wait()
        return []

    async def hang_at(self, count: int) -> None:
        """Return when so many look-ups hang."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.hanging < count:
                self._changed.clear()
                await self._changed.wait()

    def _count(self) -> None:
        self.hanging += 1
        self._changed.set()


class World:
    """A server and its names. `eves` call it from other addresses than all others, and mean harm."""

    def __init__(self, store: Path) -> None:
        self.names = Names()
        elsewhere = [TCPConnector(local_addr=(f"127.0.0.{number}", 0)) for number in range(2, 7)]
        self.sessions = [ClientSession(), *(ClientSession(connector=connector) for connector in elsewhere)]
        settings = local_settings(store=f"sqlite:{store}", callback_allow=(ip_network(HOME),))
        self.server = RunningServer(self.sessions[0], settings, resolver=RealResolver(self.names.look_up))

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        self.eves = [copy.copy(self.server) for _ in self.sessions[1:]]
        for eve, session in zip(self.eves, self.sessions[1:], strict=True):
            eve.session = session
        return self

    async def __aexit__(self, *_: object) -> None:
        self.names.let_go()
        await self.server.__aexit__()
        for session in self.sessions:
            await session.close()

    def register_slow_names(self, refused: list[RpcError]) -> list[asyncio.Task[None]]:
        """Begin to register many newcomers at once whose names hang."""

        async def register(number: int) -> None:
            eve, callback = self.eves[number % len(self.eves)], f"http://n{number}.slow.example:1/rpc"
            refused.append(await refusal(eve.call("Register", name=f"Eve {number}", callback=callback)))

        self.names.hang()
        return [asyncio.create_task(register(number)) for number in range(MANY)]

    async def fill_with_names_that_hang(self) -> None:
        """Seat many whose names answer at first, until they must be looked up again."""
        async with Recipient() as gone:
            for number in range(MANY):
                callback = f"http://n{number}.slow.example:{gone.port}/rpc"
                await self.eves[number % len(self.eves)].register(f"Eve {number}", gone, callback=callback)
        await self.server.register("Mallory")
        await self.server.clock.someone_waits(0.2, 0.3, MANY)
        self.names.hang()
        self.server.clock.advance(0.3)
        await self.names.hang_at(AT_ONCE)


async def hang_up(request: web.Request, _body: object) -> web.StreamResponse:
    """Close the connection without an answer, and be done with it: `drop` would be waited for in the end."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    """Run on a loop whose time stands still."""
    with asyncio.Runner(loop_factory=FrozenLoop) as runner:
        yield runner.run


def test_names_that_hang_at_register_hold_up_no_delivery_and_no_thread(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Recipient() as recipient, World(tmp_path / "chat.db") as world:
            await world.server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")
            alice = await world.server.register("Alice")
            refused: list[RpcError] = []
            registering = world.register_slow_names(refused)
            await world.names.hang_at(AT_ONCE)
            await alice.say("hi")
            await recipient.has("Alice joined the chat", "hi")
            assert await asyncio.to_thread(threading.active_count) > AT_ONCE
            assert refused == []
            world.names.let_go()
            await asyncio.gather(*registering)

    run(scenario())


def test_names_that_hang_are_given_up_after_two_seconds_and_only_so_many_are_looked_up(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with World(tmp_path / "chat.db") as world:
            refused: list[RpcError] = []
            registering = world.register_slow_names(refused)
            await world.names.hang_at(AT_ONCE)
            await world.server.register("Alice")  # by now all of them have been heard
            await frozen_loop().pass_time(LOOK_UP_SECONDS - 0.01)
            assert refused == []
            await frozen_loop().pass_time(0.01)
            await asyncio.gather(*registering)
            told = {(error.code, error.data["stage"], error.data["detail"]) for error in refused}
            assert told == {(-32004, "dns", "no answer from the name server within 2 s; try again in some seconds")}
            assert (len(refused), world.names.hanging) == (MANY, AT_ONCE)

    run(scenario())


def test_when_names_have_hung_and_are_let_go_names_are_looked_up_again(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Recipient() as recipient, World(tmp_path / "chat.db") as world:
            registering = world.register_slow_names([])
            await world.names.hang_at(AT_ONCE)
            await frozen_loop().pass_time(LOOK_UP_SECONDS)
            await asyncio.gather(*registering)
            world.names.let_go()
            await world.server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")

    run(scenario())


def test_names_that_hang_at_delivery_hold_up_no_other_delivery(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Recipient() as recipient, World(tmp_path / "chat.db") as world:
            await world.server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")
            alice = await world.server.register("Alice")
            await world.fill_with_names_that_hang()
            await alice.say("hi")
            await recipient.has("hi")

    run(scenario())


def test_names_that_hang_hold_up_no_delivery_to_a_name_that_must_be_looked_up_again(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Recipient() as recipient, World(tmp_path / "chat.db") as world:
            await world.server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")
            alice = await world.server.register("Alice")
            await world.fill_with_names_that_hang()
            recipient.behaviour = hang_up
            await alice.say("hi")
            await world.server.clock.someone_waits(0.2, 0.3)
            recipient.behaviour = take
            world.server.clock.advance(0.3)
            await recipient.has("hi", "hi", "hi")  # on the kept connection, on a new one, and now

    run(scenario())
