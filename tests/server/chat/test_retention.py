"""Retention on a running server: what is deleted, what no jump of the clock deletes, and what the log says of it."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from server.app import ROOM
from server.chat.store_clock import DAY
from server.message_log.base import NotStored
from tests.fakes import START, ManualClock, RunningServer, Seat, local_settings, refusal

YEAR = 365 * DAY


class Machine:
    """A store, and one server after the other on it, each with a clock that is wrong by `skew`."""

    def __init__(self, session: ClientSession, path: Path) -> None:
        self.now = 0.0
        self._session = session
        self._path = path

    @asynccontextmanager
    async def server(self, skew: float = 0.0, **settings: Any) -> AsyncIterator[RunningServer]:
        clock = ManualClock(skew + self.now)
        given = local_settings(store=f"sqlite:{self._path}", **settings)
        async with RunningServer(self._session, given, clock) as server:
            yield server
        self.now += clock.monotonic()


@pytest.fixture
def machine(session: ClientSession, tmp_path: Path) -> Machine:
    return Machine(session, tmp_path / "chat.db")


async def pass_time(server: RunningServer, seconds: float) -> None:
    """Let time pass in steps of ten minutes, as long as those between two turns of retention."""
    for _ in range(int(seconds // 600)):
        server.clock.advance(600)
        await server.server.app[ROOM].drop_old()


async def fill(server: RunningServer) -> tuple[Seat, Seat]:
    """Have something that can be deleted: messages, and a member that is away."""
    alice, gone = await server.register("Alice"), await server.register("Gone")
    await gone.call("Unregister", id=gone.id)
    await alice.say("precious")
    return alice, gone


async def is_complete(server: RunningServer, alice: Seat, gone: Seat) -> bool:
    token = (await server.call("Register", alice.token, name="Alice"))["token"]
    texts = [message["text"] for message in (await server.call("GetHistory", token))["messages"]]
    back = await server.call("Register", gone.token, name="Gone")
    return "precious" in texts and bool(back["resumed"])


@pytest.mark.parametrize("skew", [YEAR, 31 * DAY, -YEAR, -START])
async def test_start_with_a_wrong_clock_deletes_nothing_and_says_so(
    machine: Machine, caplog: pytest.LogCaptureFixture, skew: float
) -> None:
    async with machine.server() as server:
        seats = await fill(server)
    caplog.clear()
    async with machine.server(skew) as server:
        await server.server.app[ROOM].drop_old()
        assert await is_complete(server, *seats)
        server.clock.skew = 0.0  # it is set right
        await pass_time(server, 1200)
        assert await is_complete(server, *seats)
    assert "delete" in caplog.text
    assert ("that counts as 1 day" in caplog.text) == (skew > 0)
    assert "Deleted" not in caplog.text
    async with machine.server() as server:
        assert await is_complete(server, *seats)


@pytest.mark.parametrize("skew", [YEAR, -YEAR, -START])
async def test_jump_while_running_deletes_nothing_and_is_told_once(
    machine: Machine, caplog: pytest.LogCaptureFixture, skew: float
) -> None:
    async with machine.server() as server:
        seats = await fill(server)
        server.clock.skew = skew
        await pass_time(server, 1800)
        assert await is_complete(server, *seats)
        told = [line for line in caplog.messages if "The clock of this machine was set" in line]
        assert len(told) == 1
        assert ("ahead" in told[0]) == (skew > 0)


async def test_restarts_with_a_clock_that_comes_and_goes_delete_nothing(machine: Machine) -> None:
    async with machine.server() as server:
        seats = await fill(server)
    for _ in range(20):
        for skew in (YEAR, 0.0, -YEAR):
            async with machine.server(skew, retention_days=5.0) as server:
                await server.server.app[ROOM].drop_old()
    async with machine.server() as server:
        assert await is_complete(server, *seats)


async def test_what_is_too_old_is_deleted_and_counted_in_the_log(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with machine.server(retention_days=1.0) as server:
        alice, gone = await fill(server)
        await pass_time(server, DAY + 1200)
        # The mark of the start may stand before or behind the first messages: they are deleted together or apart.
        told = "\n".join(line for line in caplog.messages if line.startswith("Deleted"))
        assert sum(map(int, re.findall(r"(\d+) messages?\b(?= and| older)", told))) == 4
        assert re.findall(r"(\d+ absent members?) older than 1 day", told) == ["1 absent member"]
        assert told.endswith("; the oldest message that is kept is number 5")
        assert (await refusal(server.call("Register", gone.token, name="Gone"))).code == -32001
        back = await server.call("Register", alice.token, name="Alice")
        assert (await server.call("GetHistory", back["token"]))["oldest"] == 5


async def test_stops_age_what_is_stored(machine: Machine) -> None:
    """A laptop on which the server runs for minutes each day deletes after as many days as it should."""
    async with machine.server(retention_days=10.0) as server:
        _, gone = await fill(server)
    for _ in range(11):
        machine.now += DAY
        async with machine.server(retention_days=10.0) as server:
            await server.server.app[ROOM].drop_old()
    async with machine.server() as server:
        assert (await refusal(server.call("Register", gone.token, name="Gone"))).code == -32001


async def test_long_stop_is_told_with_what_it_counts_for(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    async with machine.server() as server:
        seats = await fill(server)
    machine.now += 60 * DAY
    async with machine.server() as server:
        assert await is_complete(server, *seats)
    assert "says that the server was stopped for 60 days; since it may be wrong, that counts as 1 day" in caplog.text


async def test_store_without_room_for_a_mark_still_drops_what_is_old(server: RunningServer) -> None:
    """A full disk refuses the mark; it must not keep retention from making room."""
    room = server.server.app[ROOM]
    await server.register("Alice")
    await room.drop_old()

    async def refuse(at: float, wall: float) -> None:
        raise NotStored("database or disk is full")

    for _ in range(31):  # the store clock takes a day at a time
        server.clock.advance(DAY)
        room.retention.now()
    room.log.mark = refuse  # type: ignore[method-assign]
    with pytest.raises(NotStored):
        await room.drop_old()
    assert room.log.oldest > 1
