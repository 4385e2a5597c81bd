import asyncio
import contextlib
import io
import os
import select
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import pytest

from client.faces.headless import Headless, numbered, serve_page
from client.session.registration_file import Registration, RegistrationFiles, by_name
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
    room: Rig, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    start("Head")
    await room.sleep.begun()
    assert capfd.readouterr().out.splitlines() == [
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
    room: Rig, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    start("Head")
    await room.sleep.begun()
    await room.server.post(room.server.only_member, ring_message(2, "hi\x1b[2J\nthere"))
    assert capfd.readouterr().out.splitlines()[2:] == ["Bob: hi\\u{1b}[2J", "    | there"]


async def test_a_server_that_is_not_there_yet_is_waited_for_and_told_once(
    room: Rig, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    room.server.down = 502
    start("Head")
    for _ in range(3):
        await room.sleep.let_pass()
    room.server.down = None
    await room.sleep.let_pass()
    await room.sleep.begun()
    told = capfd.readouterr().out.splitlines()[1:]
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


async def test_a_name_that_will_never_do_ends_it(room: Rig, start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    problem = {"field": "name", "problem": "expected no double space"}
    room.server.refuse["Register"] = [ContractError(ErrorCode.INVALID_PARAMS, problem)]
    assert await start("He  ad") == 2
    assert "does not accept the name: expected no double space" in capfd.readouterr().out


async def test_it_ends_when_another_process_has_its_seat(
    room: Rig, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    running = start("Head")
    await room.sleep.begun()
    room.server.only_member.callback = "http://127.0.0.1:1/rpc/theirs"
    await room.sleep.let_pass()
    assert await running == 1
    assert "taken over" in capfd.readouterr().out


async def test_stopping_it_gives_its_seat_back(room: Rig, start: Start) -> None:
    running = start("Head")
    await room.sleep.begun()
    running.cancel()
    await asyncio.wait([running])
    assert room.server.methods() == ["Register", "Unregister"]


@pytest.fixture
def remembering(room: Rig, tmp_path: Path) -> None:
    room.registration_files = RegistrationFiles(tmp_path, room.server.url)


async def stopped(running: "asyncio.Task[int]") -> None:
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.usefixtures("remembering")
async def test_after_a_restart_it_has_its_seat_again_and_prints_what_it_missed(
    room: Rig, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    running = start("Head")
    await room.sleep.begun()
    await room.server.post(room.server.only_member, ring_message(2, "two"))
    await stopped(running)
    start("Head")
    await room.sleep.begun()
    await room.server.post(room.server.only_member, [ring_message(2, "two"), ring_message(3, "three")])
    printed = capfd.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("Bob: ")] == ["Bob: two", "Bob: three"]


@pytest.mark.usefixtures("remembering")
async def test_after_a_restart_it_has_its_number_again_though_the_name_is_free(room: Rig, start: Start) -> None:
    room.server.members["theirs"] = other = Member("theirs", "Head", "theirs", "", b"")
    running = start("Head")
    await room.sleep.begun()
    await stopped(running)
    other.away = True
    start("Head")
    await room.sleep.begun()
    names = [params["name"] for method, params in room.server.calls if method == "Register"]
    assert (names, len(room.server.members)) == (["Head", "Head-2", "Head-2"], 2)


@pytest.mark.usefixtures("remembering")
async def test_a_name_that_was_taken_meanwhile_costs_the_name_and_not_the_seat(room: Rig, start: Start) -> None:
    running = start("Head")
    await room.sleep.begun()
    mine = room.server.only_member
    await stopped(running)
    room.server.members["theirs"] = Member("theirs", "Head", "theirs", "", b"")
    start("Head")
    await room.sleep.begun()
    assert room.server.members[mine.token] is mine
    assert (len(room.server.members), room.server.calls[-1][1]["name"]) == (2, "Head-2")


@pytest.mark.usefixtures("remembering")
async def test_a_seat_that_is_not_remembered_is_told(
    room: Rig, start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    held = RegistrationFiles(tmp_path, room.server.url).open(by_name("Head"))
    held.write(Registration(id="head-0", name="Head", token="another's", epoch="first", taken=7))
    start("Head")
    await room.sleep.begun()
    held.close()
    *_, joined, told = capfd.readouterr().out.splitlines()
    assert joined.startswith("[CLIENT] Joined as Head (ID: head-1)")
    assert told.endswith("is in use by another client; this registration is not stored.")


async def test_the_page_alone_takes_no_seat() -> None:
    out = io.StringIO()
    serving = asyncio.create_task(serve_page("http://localhost:8080", "http://localhost:9999", out))
    await asyncio.sleep(0)
    assert "http://localhost:8080" in out.getvalue()
    serving.cancel()
    await asyncio.wait([serving])


@contextlib.contextmanager
def pipe_as_stdout() -> Iterator[BinaryIO]:
    """Give the end that reads of a pipe that is standard output."""
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb", buffering=0) as read,
        os.fdopen(writing, "w") as out,
        contextlib.redirect_stdout(out),
    ):
        yield cast("BinaryIO", read)


def fill(stdout: TextIO) -> None:
    """Write until a pipe has no more room."""
    os.set_blocking(stdout.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(stdout.fileno(), b"." * select.PIPE_BUF)


async def test_message_while_the_reader_takes_a_break_comes_again_and_is_printed_once(room: Rig, start: Start) -> None:
    with pipe_as_stdout() as read:
        start("Head")
        await room.sleep.begun()
        fill(sys.stdout)
        me = room.server.only_member
        assert [await room.server.post(me, ring_message(2, "two")) for _ in range(2)] == [(503, None)] * 2
        read.read(1_000_000)
        status, answer = await room.server.post(me, ring_message(2, "two"))
        assert (status, answer["result"]) == (200, {"success": True})
        assert read.read(1_000_000) == b"Bob: two\n"


async def test_reader_that_has_gone_ends_it_and_the_message_comes_again(
    room: Rig, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    with pipe_as_stdout() as read:
        running = start("Head")
        await room.sleep.begun()
        read.close()
        assert await room.server.post(room.server.only_member, ring_message(2)) == (503, None)
        assert await running == 1
    assert room.server.methods()[-1] == "Unregister"
    told = capfd.readouterr().err
    assert told.startswith("[CLIENT] [ERROR] Cannot write to standard output: broken pipe.")
    assert told.count("\n") == 1


@pytest.mark.parametrize("stdout", ["/dev/full", None], ids=["full", "closed"])
async def test_stdout_that_fails_from_the_start_ends_it_without_a_seat(
    room: Rig, start: Start, stdout: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        os.fdopen(os.open(stdout or os.devnull, os.O_WRONLY), "w") as out,
        contextlib.redirect_stdout(out if stdout else None),
    ):
        assert await start("Head") == 1
    assert room.server.methods() == []
    assert capfd.readouterr().err.count("\n") == 1
