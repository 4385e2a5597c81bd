import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from client.headless import Headless, numbered, serve_page
from protocol.errors import ContractError, ErrorCode
from tests.client.fake_server import Member, Rig, rig, ring_message

Start = Callable[[str | None], "asyncio.Task[int]"]


@pytest.fixture
async def room() -> AsyncIterator[Rig]:
    async with rig() as made:
        yield made


@pytest.fixture
async def start(room: Rig) -> AsyncIterator[Start]:
    tasks: list[asyncio.Task[int]] = []

    def begin(name: str | None) -> asyncio.Task[int]:
        face = Headless(room.participant, room.server.url, name, "http://localhost:8080", room.sleep)
        tasks.append(asyncio.create_task(face.run()))
        return tasks[-1]

    yield begin
    for task in tasks:
        task.cancel()
        await asyncio.wait([task])


async def test_it_takes_its_seat_and_says_where_its_page_is(
    room: Rig, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    start("Head")
    await room.sleep.begun()
    assert capsys.readouterr().out.splitlines() == [
        "[CLIENT] Chat in a browser: http://localhost:8080",
        f"[CLIENT] Joined as Head (ID: head-1) at {room.server.url}",
    ]


async def test_without_a_name_it_is_called_after_its_host(room: Rig, start: Start) -> None:
    start(None)
    await room.sleep.begun()
    assert room.server.only_member.name == f"client-{socket.gethostname()}"[:32]


async def test_a_name_in_use_gets_a_number(room: Rig, start: Start) -> None:
    for name in ("Head", "Head-2"):
        room.server.members[name] = Member(name, name, name, "", b"")
    start("Head")
    await room.sleep.begun()
    assert [member.name for member in room.server.members.values()] == ["Head", "Head-2", "Head-3"]


def test_a_numbered_name_stays_within_the_limit() -> None:
    assert numbered("x" * 40, 1) == "x" * 32
    assert numbered("x" * 32, 12) == "x" * 29 + "-12"


async def test_it_prints_what_it_hears_as_a_terminal_does(
    room: Rig, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    start("Head")
    await room.sleep.begun()
    await room.server.post(room.server.only_member, ring_message(2, "hi\x1b[2J\nthere"))
    assert capsys.readouterr().out.splitlines()[2:] == ["Bob: hi\\u{1b}[2J", "    | there"]


async def test_a_server_that_is_not_there_yet_is_waited_for_and_told_once(
    room: Rig, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    room.server.down = 502
    start("Head")
    for _ in range(3):
        await room.sleep.let_pass()
    room.server.down = None
    await room.sleep.let_pass()
    await room.sleep.begun()
    told = capsys.readouterr().out.splitlines()[1:]
    assert ["Trying again" in line for line in told] == [True, False]
    assert told[1].startswith("[CLIENT] Joined as Head")


async def test_a_name_that_is_taken_by_its_own_lost_try_is_waited_for(room: Rig, start: Start) -> None:
    room.server.lose_answer_of.add("Register")
    start("Head")
    for _ in range(3):
        await room.sleep.let_pass()
    room.server.members.clear()  # the server has found out that nobody sits there
    await room.sleep.let_pass()
    await room.sleep.begun()
    assert room.server.only_member.name == "Head"


async def test_a_name_that_will_never_do_ends_it(room: Rig, start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"field": "name", "problem": "expected no double space"}
    room.server.refuse["Register"] = [ContractError(ErrorCode.INVALID_PARAMS, problem)]
    assert await start("He  ad") == 2
    assert "does not accept the name: expected no double space" in capsys.readouterr().out


async def test_it_ends_when_another_process_has_its_seat(
    room: Rig, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    running = start("Head")
    await room.sleep.begun()
    room.server.only_member.callback = "http://127.0.0.1:1/rpc/theirs"
    await room.sleep.let_pass()
    assert await running == 1
    assert "taken over" in capsys.readouterr().out


async def test_stopping_it_gives_its_seat_back(room: Rig, start: Start) -> None:
    running = start("Head")
    await room.sleep.begun()
    running.cancel()
    await asyncio.wait([running])
    assert room.server.methods() == ["Register", "Unregister"]


async def test_the_page_alone_takes_no_seat(capsys: pytest.CaptureFixture[str]) -> None:
    serving = asyncio.create_task(serve_page("http://localhost:8080", "http://localhost:9999"))
    await asyncio.sleep(0)
    assert "http://localhost:8080" in capsys.readouterr().out
    serving.cancel()
    await asyncio.wait([serving])
