import asyncio
import contextlib
import io
import os
import select
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from client.faces.pipe.face import PipedTerminal
from client.faces.pipe.lines_in import LONGEST_LINE_BYTES, read_lines
from client.session.registration_file import RegistrationFiles
from protocol.errors import ContractError, ErrorCode
from tests.client.fake_server import Rig, rig, ring_message


@pytest.fixture
async def room() -> AsyncIterator[Rig]:
    async with rig() as made:
        yield made


class Pipe:
    """What stands before a face that reads `reading`."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self._open = True

    def write(self, text: bytes) -> None:
        os.write(self.writing, text)

    def end(self) -> None:
        if self._open:
            os.close(self.writing)
            self._open = False


@pytest.fixture
def stdin() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.end()
    os.close(pipe.reading)


async def chat(room: Rig, stdin: Pipe, name: str | None = "Alice") -> int:
    return await PipedTerminal(room.participant, room.server.url, name, stdin.reading).run()


async def test_pipe_lines_each_is_a_message_as_it_stands(room: Rig, stdin: Pipe) -> None:
    stdin.write("eins\n\n  zwei \r\n \t\n/nick X\n//\nexit\n/quit\ndrei, ä".encode())
    stdin.end()
    assert await chat(room, stdin) == 0
    assert list(room.server.sent.values()) == ["eins", "  zwei ", "/nick X", "//", "exit", "/quit", "drei, ä"]
    assert room.server.methods()[-1] == "Unregister"


async def test_without_a_name_the_first_line_is_the_name(room: Rig, stdin: Pipe) -> None:
    stdin.write(b"Alice\nhi\n")
    stdin.end()
    assert await chat(room, stdin, None) == 0
    assert room.server.only_member.name == "Alice"
    assert list(room.server.sent.values()) == ["hi"]


async def test_pipe_with_a_name_alone_is_told_and_fails(
    room: Rig, stdin: Pipe, capfd: pytest.CaptureFixture[str]
) -> None:
    stdin.write(b"deploy done\n")
    stdin.end()
    assert await chat(room, stdin, None) == 1
    assert "the first line was taken as the name, deploy done. Give it with --name." in capfd.readouterr().err


async def test_pipe_line_in_no_known_encoding_is_refused_with_its_number_and_the_others_are_sent(
    room: Rig, stdin: Pipe, capfd: pytest.CaptureFixture[str]
) -> None:
    stdin.write(b"eins\n\nGr\xfc\xdfe\nvier\n")
    stdin.end()
    with patch("sys.stdin", io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        assert await chat(room, stdin) == 1
    assert list(room.server.sent.values()) == ["eins", "vier"]
    told = "Line 3 was not sent. It is not UTF-8: convert it, or set LC_ALL to its encoding."
    assert capfd.readouterr().err == f"[CLIENT] {told}\n"


async def test_only_the_chat_is_on_stdout(room: Rig, stdin: Pipe, capfd: pytest.CaptureFixture[str]) -> None:
    room.server.early = [ring_message(2, "hi\nthere")]
    stdin.end()
    assert await chat(room, stdin) == 0
    assert capfd.readouterr().out == "Bob: hi\n    | there\n"


async def test_no_name_at_all_is_told(room: Rig, stdin: Pipe, capfd: pytest.CaptureFixture[str]) -> None:
    stdin.end()
    assert await chat(room, stdin, None) == 1
    assert "A name is needed" in capfd.readouterr().err


async def test_a_line_that_is_refused_is_told_and_the_others_are_sent(
    room: Rig, stdin: Pipe, capfd: pytest.CaptureFixture[str]
) -> None:
    room.server.refuse["SendMessage"] = [ContractError(ErrorCode.TEXT_TOO_LONG, {"limit": 4096})]
    stdin.write(b"too long\nshort\n")
    stdin.end()
    assert await chat(room, stdin) == 1
    assert list(room.server.sent.values()) == ["short"]
    assert "Not sent: too long: The text is too long" in capfd.readouterr().err


async def test_a_server_that_is_not_there_is_told(room: Rig, stdin: Pipe, capfd: pytest.CaptureFixture[str]) -> None:
    room.server.down = 502
    assert await chat(room, stdin) == 1
    assert "502" in capfd.readouterr().err


async def test_a_line_without_end_is_not_gathered_for_ever(stdin: Pipe) -> None:
    lines = read_lines(stdin.reading)
    stdin.write(b"x" * 60_000)  # less than a pipe holds
    first = asyncio.ensure_future(anext(lines))
    while not first.done():
        await asyncio.sleep(0)
        if select.select([], [stdin.writing], [], 0)[1]:
            stdin.write(b"x" * 1_000)
    assert len(str(await first)) > LONGEST_LINE_BYTES
    await lines.aclose()


async def test_what_nobody_reads_is_not_taken_and_ends_it(room: Rig, stdin: Pipe) -> None:
    stdout = Pipe()
    os.close(stdout.reading)
    with os.fdopen(stdout.writing, "w") as out, contextlib.redirect_stdout(out):
        chatting = asyncio.create_task(chat(room, stdin))
        await room.sleep.begun()
        answers = [await room.server.post(room.server.only_member, ring_message(2))]
        assert await chatting == 0
    assert answers == [(503, None)]
    assert room.server.methods()[-1] == "Unregister"


async def test_run_again_it_is_the_same_participant(room: Rig, stdin: Pipe, tmp_path: Path) -> None:
    room.registration_files = RegistrationFiles(tmp_path, room.server.url)
    stdin.end()
    for _ in range(2):
        assert await chat(room, stdin) == 0
    assert room.server.methods() == ["Register", "Unregister"] * 2
    assert len(room.server.members) == 1


async def test_another_process_with_its_seat_ends_it(room: Rig, stdin: Pipe, capfd: pytest.CaptureFixture[str]) -> None:
    chatting = asyncio.create_task(chat(room, stdin))
    await room.sleep.begun()
    room.server.only_member.callback = "http://127.0.0.1:1/rpc/theirs"
    await room.sleep.let_pass()
    assert await chatting == 1
    assert "taken over" in capfd.readouterr().err
