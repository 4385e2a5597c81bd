"""`python -m server kick ID`: an operator removes somebody from a running server."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from server.app import remove_member
from server.chat.control import kick
from server.errors import ControlError
from server.message_log.store_file import control_path
from tests.fakes import Recipient, RunningServer, hang, local_settings, refusal, take

KICKED = {"kicked": True, "detail": "an operator has removed you from this chat"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def control(file: Path) -> Path:
    return control_path(file)


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
async def durable(session: ClientSession, file: Path) -> AsyncIterator[RunningServer]:
    async with RunningServer(session, local_settings(store=f"sqlite:{file}")) as server:
        yield server


def mode_of(path: Path) -> int | None:
    return path.stat().st_mode if path.exists() else None


def leave_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


async def test_one_who_is_kicked_has_left_and_hears_nothing_more(durable: RunningServer, control: Path) -> None:
    async with Recipient() as callback, Recipient() as others:
        alice, bob = await durable.register("Alice", callback), await durable.register("Bob", others)
        assert await kick(control, alice.id) == f"Alice (ID: {alice.id}) is removed"
        await others.has("Alice left the chat")
        await bob.say("among us")
        assert "among us" not in callback.texts


async def test_its_token_is_of_no_use_any_more(durable: RunningServer, control: Path) -> None:
    alice = await durable.register("Alice")
    await kick(control, alice.id)
    for call in (alice.say("hi"), alice.call("Ping"), alice.call("Register", name="Alice")):
        error = await refusal(call)
        assert (error.code, error.data) == (-32001, KICKED)


async def test_who_comes_again_is_a_newcomer_under_another_id(durable: RunningServer, control: Path) -> None:
    alice = await durable.register("Alice", id="alice")
    await kick(control, alice.id)
    assert (await refusal(durable.call("Register", name="Alice", id="alice"))).data == {"field": "id"}
    again = await durable.register("Alice")
    assert not again.result["resumed"]


async def test_one_who_is_away_cannot_come_back_either(durable: RunningServer, control: Path) -> None:
    alice = await durable.register("Alice")
    await alice.call("Unregister", id=alice.id)
    assert (await kick(control, alice.id)).endswith("was away; its token is rejected from now on")
    assert (await refusal(alice.call("Register", name="Alice"))).data == KICKED


async def test_one_who_is_on_the_way_in_is_not_let_in(durable: RunningServer, control: Path) -> None:
    alice = await durable.register("Alice")
    async with Recipient() as slow:
        slow.behaviour = hang
        resuming = asyncio.create_task(alice.call("Register", name="Alice", callback=slow.callback, secret=slow.secret))
        await slow.posted(1)
        await kick(control, alice.id)
        slow.behaviour = take
        resuming.cancel()
    assert (await durable.register("Bob")).result["members"] == []


async def test_a_restart_forgets_no_kick(session: ClientSession, file: Path, control: Path) -> None:
    settings = local_settings(store=f"sqlite:{file}")
    async with RunningServer(session, settings) as server:
        alice = await server.register("Alice")
        await kick(control, alice.id)
    async with RunningServer(session, settings) as server:
        error = await refusal(server.call("Register", alice.token, name="Alice"))
        assert error.data == KICKED


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("nobody", "nobody is not the ID of a member; the log and ListMembers show IDs"),
        ("Alice", "Alice is not the ID of a member; the member called Alice has the ID a1"),
        (" ", "must be a string that is not empty"),
    ],
)
async def test_an_id_that_is_nobodys_is_told_and_a_name_helped(
    durable: RunningServer, control: Path, given: str, problem: str
) -> None:
    await durable.register("Alice", id="a1")
    with pytest.raises(ControlError, match=problem):
        await kick(control, given)


async def test_the_socket_is_its_owners_alone_and_goes_with_the_server(
    session: ClientSession, file: Path, control: Path
) -> None:
    async with RunningServer(session, local_settings(store=f"sqlite:{file}")):
        assert mode_of(control) == stat.S_IFSOCK | 0o600
    assert mode_of(control) is None


async def test_what_a_killed_server_left_behind_is_in_nobodys_way(
    session: ClientSession, file: Path, control: Path
) -> None:
    leave_behind(control)
    async with RunningServer(session, local_settings(store=f"sqlite:{file}")) as server:
        alice = await server.register("Alice")
        assert "is removed" in await kick(control, alice.id)


@pytest.mark.parametrize("name", ["d" * 100 + "/chat.db", "ü" * 60 + ".db"], ids=["directory", "file"])
async def test_a_store_whose_path_is_longer_than_a_socket_address_has_a_socket(
    session: ClientSession, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    control = await asyncio.to_thread(control_path, file)
    async with RunningServer(session, local_settings(store=f"sqlite:{file}")) as server:
        alice = await server.register("Alice")
        assert await kick(control, alice.id) == f"Alice (ID: {alice.id}) is removed"
        assert mode_of(control) == stat.S_IFSOCK | 0o600
    assert mode_of(control) is None


async def test_where_there_can_be_no_socket_all_else_works(
    session: ClientSession, file: Path, control: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(control.mkdir)
    async with RunningServer(session, local_settings(store=f"sqlite:{file}")) as server:
        await server.register("Alice")
    assert "Operator commands are off: cannot listen at" in caplog.text


def test_without_a_server_the_operator_is_told(file: Path) -> None:
    with pytest.raises(ControlError, match=r"no server answers at .*chat\.db-control: No such file"):
        remove_member(f"sqlite:{file}", "alice")


def test_a_log_in_memory_has_no_socket() -> None:
    with pytest.raises(ControlError, match="a server with its log in memory cannot be reached"):
        remove_member("memory:", "alice")
