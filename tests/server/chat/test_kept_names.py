"""Names that are kept for owners that are away: `keep_name`, `CHAT_NAME_DAYS`, and `python -m server release NAME`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from server.app import release_name
from server.chat.control import kick, release
from server.chat.store_clock import DAY
from server.errors import ControlError
from server.message_log.store_file import control_path
from tests.fakes import Json, Recipient, RunningServer, answer_status, local_settings, refusal

MONTH_MS = 30 * 86_400_000
TEN_MINUTES_MS = 600_000


@pytest.fixture(params=["memory:", "sqlite:"])
async def server(
    request: pytest.FixtureRequest, session: ClientSession, tmp_path: Path
) -> AsyncIterator[RunningServer]:
    store = request.param if request.param == "memory:" else f"sqlite:{tmp_path / 'chat.db'}"
    async with RunningServer(session, local_settings(store=store)) as server:
        yield server


async def taken(server: RunningServer, name: str = "Bob") -> Json:
    """Try to register under a name that another has; gives what is told."""
    error = await refusal(server.register(name))
    assert error.code == -32003
    return error.data


@pytest.fixture
async def witness(server: RunningServer, recipient: Recipient) -> Recipient:
    await server.register("Witness", recipient)
    return recipient


async def test_unregister_frees_the_name(server: RunningServer) -> None:
    bob = await server.register("Bob", keep_name=True)
    assert await taken(server) == {"field": "name"}
    await bob.call("Unregister", id=bob.id)
    assert not (await server.register("Bob")).result["resumed"]


@pytest.mark.parametrize("keep_name", [True, False])
async def test_unregister_with_keep_name_keeps_it_and_tells_the_others(
    server: RunningServer, witness: Recipient, keep_name: bool
) -> None:
    bob = await server.register("Bill", keep_name=keep_name)
    await bob.call("Unregister", id=bob.id, keep_name=True)
    await witness.has("Bill left the chat")
    for name in ("Bill", "BILL", "BiII"):
        assert await taken(server, name) == {"field": "name", "retry_after_ms": MONTH_MS}
    back = await server.call("Register", bob.token, name="Bill")
    assert (back["resumed"], back["name"]) == (True, "Bill")


async def test_410_keeps_the_name_that_was_to_be_kept(server: RunningServer, witness: Recipient) -> None:
    async with Recipient() as callback:
        await (await server.register("Bob", callback, keep_name=True)).call("Ping")
        await server.register("Eve", callback)
        callback.behaviour = answer_status(410)
        await (await server.register("Alice")).say("anybody?")
        await witness.until(lambda: {"Bob left the chat", "Eve left the chat"} <= set(witness.texts))
    assert await taken(server) == {"field": "name", "retry_after_ms": MONTH_MS}
    await server.register("Eve")


async def test_keep_name_of_a_member_that_never_called_keeps_nothing(server: RunningServer, witness: Recipient) -> None:
    """The response to its Register was lost: nobody has the token, and its callback answers 410."""
    async with Recipient() as callback:
        await server.register("Bob", callback, keep_name=True)
        callback.behaviour = answer_status(410)
        await (await server.register("Alice")).say("anybody?")
        await witness.has("Bob left the chat")
    await server.register("Bob")


async def test_silence_keeps_the_name_that_was_to_be_kept(server: RunningServer, witness: Recipient) -> None:
    await (await server.register("Bob", keep_name=True)).call("Ping")
    await server.clock.someone_waits(4, 5)
    server.clock.advance(605)
    await witness.has("Bob left the chat")
    assert await taken(server) == {"field": "name", "retry_after_ms": MONTH_MS}


@pytest.mark.parametrize(("keep_name", "wait"), [(True, MONTH_MS), (False, TEN_MINUTES_MS)])
async def test_eviction_keeps_the_name_for_ten_minutes_or_as_was_asked(
    server: RunningServer, witness: Recipient, keep_name: bool, wait: int
) -> None:
    async with Recipient() as callback:
        await (await server.register("Bob", callback, keep_name=keep_name)).call("Ping")
        callback.behaviour = answer_status(503)
        await (await server.register("Alice", callback=None)).say("anybody?")
        await server.clock.someone_waits(0.2, 0.3)
        server.clock.advance(31)
        await witness.has("Bob left the chat (unreachable)")
    assert await taken(server) == {"field": "name", "retry_after_ms": wait}


async def test_hold_ends_after_its_time(server: RunningServer) -> None:
    bob = await server.register("Bob")
    await bob.call("Unregister", id=bob.id, keep_name=True)
    for _ in range(30):
        server.clock.advance(DAY - 1)
        assert await taken(server)
    assert await taken(server) == {"field": "name", "retry_after_ms": 30_000}
    server.clock.advance(30)
    assert (await server.register("Bob")).result["resumed"] is False


async def test_rename_to_a_held_name_is_refused_with_the_wait(server: RunningServer) -> None:
    bob = await server.register("Bob")
    await bob.call("Unregister", id=bob.id, keep_name=True)
    error = await refusal((await server.register("Alice")).call("Rename", name="bob"))
    assert (error.code, error.data) == (-32003, {"field": "name", "retry_after_ms": MONTH_MS})


async def test_held_name_is_refused_in_the_transaction_as_well(server: RunningServer) -> None:
    """Bob goes, keeping its name, while another that wants the name is being verified."""
    async with Recipient() as slow:
        bob = await server.register("Carol")
        asked, go_on = asyncio.Event(), asyncio.Event()
        answer = slow.behaviour

        async def wait(request: object, body: object) -> object:
            asked.set()
            await go_on.wait()
            return await answer(request, body)  # type: ignore[arg-type]

        slow.behaviour = wait  # type: ignore[assignment]
        late = asyncio.create_task(refusal(server.register("Bob", slow)))
        await asked.wait()
        await bob.call("Rename", name="Bob")
        await bob.call("Unregister", id=bob.id, keep_name=True)
        go_on.set()
        assert (await late).data == {"field": "name", "retry_after_ms": MONTH_MS}


async def test_owner_that_takes_another_name_gives_the_old_one_up(server: RunningServer) -> None:
    bob = await server.register("Bob", keep_name=True)
    await bob.call("Rename", name="Robert")
    await server.register("Bob")
    await bob.call("Unregister", id=bob.id, keep_name=True)
    await server.call("Register", bob.token, name="Bert", keep_name=True)
    await server.register("Robert")


async def test_resume_without_keep_name_ends_the_keeping_at_the_next_leaving(
    server: RunningServer, witness: Recipient
) -> None:
    bob = await server.register("Bob", keep_name=True)
    await bob.call("Unregister", id=bob.id, keep_name=True)
    await server.call("Register", bob.token, name="Bob")
    await server.clock.someone_waits(4, 5)
    server.clock.advance(605)
    await witness.until(lambda: witness.texts.count("Bob left the chat") == 2)
    await server.register("Bob")


@pytest.mark.parametrize(("days", "wait_days"), [({"name_days": 2.0}, 2), ({"retention_days": 7.0}, 7)])
async def test_name_days_bounded_by_retention_days(
    session: ClientSession, days: dict[str, float], wait_days: int
) -> None:
    async with RunningServer(session, local_settings(**days)) as server:
        bob = await server.register("Bob")
        await bob.call("Unregister", id=bob.id, keep_name=True)
        assert (await taken(server))["retry_after_ms"] == wait_days * 86_400_000


@pytest.mark.parametrize("skew", [365 * DAY, -365 * DAY])
async def test_held_name_survives_restart_with_a_wrong_clock(
    session: ClientSession, tmp_path: Path, skew: float
) -> None:
    settings = local_settings(store=f"sqlite:{tmp_path / 'chat.db'}")
    async with RunningServer(session, settings) as server:
        bob = await server.register("Bob")
        await bob.call("Unregister", id=bob.id, keep_name=True)
    async with RunningServer(session, settings) as server:
        server.clock.skew = skew
        assert MONTH_MS >= (await taken(server))["retry_after_ms"] >= MONTH_MS - 86_400_000


# The operator


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return control_path(tmp_path / "chat.db")


@pytest.fixture
async def durable(session: ClientSession, tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with RunningServer(session, local_settings(store=f"sqlite:{tmp_path / 'chat.db'}")) as server:
        yield server


@pytest.mark.parametrize("name", ["Bob", "bOB", "Ｂob"])
async def test_release_frees_a_held_name(durable: RunningServer, control: Path, name: str) -> None:
    bob = await durable.register("Bob")
    await bob.call("Unregister", id=bob.id, keep_name=True)
    told = await release(control, name)
    assert told == f"{name} is free now; it was kept for Bob (ID: {bob.id})"
    await durable.register("Bob")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Nobody", "Nobody is not the name of a member, so it is free"),
        ("Alice", r"Alice is the name of a member that is present \(ID: a1\); kick removes a member"),
        (" ", "must be a string that is not empty"),
    ],
)
async def test_release_of_a_name_that_is_not_held_says_why(
    durable: RunningServer, control: Path, name: str, problem: str
) -> None:
    await durable.register("Alice", id="a1")
    with pytest.raises(ControlError, match=problem):
        await release(control, name)


async def test_released_name_is_taken_again_by_its_owner_if_it_is_free(durable: RunningServer, control: Path) -> None:
    bob = await durable.register("Bob")
    await bob.call("Unregister", id=bob.id, keep_name=True)
    await release(control, "Bob")
    assert (await durable.call("Register", bob.token, name="Bob"))["resumed"]


@pytest.mark.parametrize("is_present", [True, False])
async def test_kick_frees_the_name(durable: RunningServer, control: Path, is_present: bool) -> None:
    bob = await durable.register("Bob", keep_name=True)
    if not is_present:
        await bob.call("Unregister", id=bob.id, keep_name=True)
    await kick(control, bob.id)
    await durable.register("Bob")


def test_release_without_a_server_is_told(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no server answers at"):
        release_name(f"sqlite:{tmp_path / 'chat.db'}", "Bob")
    with pytest.raises(ControlError, match="a server with its log in memory cannot be reached"):
        release_name("memory:", "Bob")
