"""A server that is away: one quiet line, then how much was missed, then that."""

import asyncio
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.errors import ContractError, ErrorCode
from tests.client.faces.terminal.test_history import opened, said, tell
from tests.client.fake_server import FakeServer, message
from tests.client.processes import ServerProcess
from tests.client.window import Window


async def cut_off(fake: FakeServer, windows: list[Window]) -> Window:
    """Alice, whose server is gone, which she notices by what she says."""
    fake.log, fake.seq = said(1, 1), 1
    window = await opened(fake, windows, rows=40)
    fake.down = 502
    window.enters("into the void")
    await asyncio.to_thread(window.reads, "[CLIENT]")
    return window


def client_lines(window: Window) -> list[str]:
    return [line for line in window.lines() if "[CLIENT]" in line]


async def test_while_it_is_away_one_line_tells_so_and_beside_the_prompt_stands_the_wait(
    fake: FakeServer, windows: list[Window]
) -> None:
    window = await cut_off(fake, windows)
    await asyncio.to_thread(window.reads, "Is the server running? Trying again in 0.")
    await asyncio.to_thread(window.reads, "next try in 2 s")
    fake.down = 503  # another trouble, and still the same outage
    await asyncio.to_thread(window.reads, "next try in 4 s")
    assert len(client_lines(window)) == 1
    assert window.styles("[CLIENT]") == {("767676", False, False)}


async def test_when_it_is_back_it_tells_how_much_was_missed_and_then_that(
    fake: FakeServer, windows: list[Window]
) -> None:
    window = await cut_off(fake, windows)
    fake.log, fake.seq, fake.cursor = [*said(1, 2), message(3, sender="Alice"), *said(4, 14)], 14, 2
    fake.down = None
    missed = [f"HH:MM Bob: line {seq}" for seq in range(4, 15)]
    await asyncio.to_thread(window.sees, "HH:MM [CLIENT] back, 11 messages")
    await tell(fake, *said(4, 15))
    await asyncio.to_thread(window.sees_last, "HH:MM [CLIENT] back, 11 messages", *missed, "HH:MM Bob: line 15", "You:")
    assert len(client_lines(window)) == 2
    window.enters("exit")  # what was said goes out at once when the server is back
    assert await asyncio.to_thread(window.ends) == 0
    assert list(fake.sent.values()) == ["into the void"]


async def test_a_second_outage_is_told_again(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    fake.down = None
    await asyncio.to_thread(window.sees, "HH:MM [CLIENT] back, no new messages")
    fake.down = 502
    window.enters("again")
    await asyncio.to_thread(window.reads, "next try in")
    assert len(client_lines(window)) == 3


async def test_a_name_that_is_anothers_by_then_is_told_beside_that(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    fake.refuse["Register"] = [ContractError(ErrorCode.TAKEN, {"field": "name"})]
    fake.down = None
    await asyncio.to_thread(window.reads, "The name Alice is in use now. Waiting until it is free.")
    await asyncio.to_thread(window.sees, "HH:MM [CLIENT] back, no new messages")


async def test_another_name_can_be_taken_then(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    taken = ContractError(ErrorCode.TAKEN, {"field": "name"})
    removed = ContractError(ErrorCode.UNAUTHORIZED)  # what cannot be sent without the name
    fake.refuse = {"Register": [taken] * 20, "SendMessage": [removed] * 20}
    fake.down = None
    await asyncio.to_thread(window.reads, "Waiting until it is free. /nick NAME chooses another.")
    fake.refuse["Register"] = [taken]
    window.enters("/nick Alicia")
    await asyncio.to_thread(window.sees, "HH:MM [CLIENT] Trying Alicia.")
    await asyncio.to_thread(window.reads, "The name Alicia is in use now.")
    fake.refuse = {}
    window.enters("/nick Alison")
    await asyncio.to_thread(window.sees, "HH:MM [CLIENT] back, no new messages")
    assert [params["name"] for method, params in fake.calls if method == "Register"][-1] == "Alison"


async def test_however_many_lines_wait_each_is_sent_as_it_was_entered(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    lines = [f"line {number}" for number in range(150)]
    for line in lines:
        window.enters(line)
    await asyncio.to_thread(window.sees, "HH:MM You: line 149")
    fake.down = None
    await asyncio.to_thread(window.sees, "HH:MM [CLIENT] back, no new messages")
    window.enters("exit")
    assert await asyncio.to_thread(window.ends) == 0
    assert list(fake.sent.values()) == ["into the void", *lines]


async def test_another_name_does_not_overtake_what_was_said_before_it(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    window.types("/nick Alicia\ras Alicia\r/nick Alison\r")
    await asyncio.to_thread(window.sees, "HH:MM You: as Alicia")
    fake.calls.clear()
    fake.down = None
    await asyncio.to_thread(window.sees, "HH:MM [CLIENT] You are Alison now.")
    calls = [params for method, params in fake.calls if method in ("SendMessage", "Rename")]
    told = [params.get("text") or params["name"] for params in calls]
    assert told == ["into the void", "Alicia", "as Alicia", "Alison"]


async def test_another_name_is_taken_before_one_leaves(fake: FakeServer, windows: list[Window]) -> None:
    window = await opened(fake, windows)
    window.types("/nick Alicia\rexit\r")
    assert await asyncio.to_thread(window.ends) == 0
    assert fake.methods()[-2:] == ["Rename", "Unregister"]


async def test_what_is_not_sent_is_told_when_one_is_removed(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    window.types("second\rthird\r")
    await asyncio.to_thread(window.sees, "HH:MM You: third")
    removed = ContractError(ErrorCode.UNAUTHORIZED, {"kicked": True})
    fake.refuse = {"Register": [removed], "SendMessage": [removed] * 9}
    window.types("half a thou\x1b[D")
    fake.down = None
    assert await asyncio.to_thread(window.ends) == 1
    assert "[CLIENT] [ERROR] Not sent, 3 lines: into the void … third" in window.text()
    assert window.lines()[-1] == "HH:MM [CLIENT] [ERROR] Not sent: half a thou"
    assert window.styles("Not sent") == {("d75f00", False, False)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
async def test_what_is_not_sent_is_told_at_a_signal(
    fake: FakeServer, windows: list[Window], number: signal.Signals
) -> None:
    window = await cut_off(fake, windows)
    window.types("half a thou")
    await asyncio.to_thread(window.reads, "You: half a thou")
    window.child.kill(number)
    assert await asyncio.to_thread(window.ends) == 1
    assert "[ERROR] The server is away. Not sent, 1 line: into the void" in window.text()
    assert window.lines()[-1] == "HH:MM [CLIENT] [ERROR] Not sent: half a thou"


async def test_what_was_only_begun_is_shown_once_more_at_a_signal(fake: FakeServer, windows: list[Window]) -> None:
    window = await opened(fake, windows)
    window.types("half a thou")
    await asyncio.to_thread(window.reads, "You: half a thou")
    window.child.kill(signal.SIGTERM)
    assert await asyncio.to_thread(window.ends) == 0
    assert window.lines()[-1] == "HH:MM [CLIENT] [ERROR] Not sent: half a thou"


@pytest.fixture
def slow() -> Iterator[ServerProcess]:
    running = ServerProcess(options=("--rate", "2"))  # ten at once
    yield running
    running.stop()


def leaving_in_haste(slow: ServerProcess, windows: list[Window]) -> Window:
    """Alice, who has left behind 22 lines, for which the server takes longer than for one line may be waited."""
    window = Window("--server", slow.url, "--name", "Alice")
    windows.append(window)
    window.sees("You:")
    window.types("".join(f"line {number}\r" for number in range(22)) + "exit\r")
    window.reads("lines are still to be sent. Ctrl-C leaves without them.")
    return window


def test_who_leaves_has_all_sent_that_can_be_sent(slow: ServerProcess, windows: list[Window]) -> None:
    window = leaving_in_haste(slow, windows)
    assert window.ends() == 0
    assert "[ERROR]" not in window.text()
    assert "[BROADCAST] Alice: line 21" in slow.stop()


def test_who_does_not_wait_for_that_is_told_what_is_not_sent(slow: ServerProcess, windows: list[Window]) -> None:
    window = leaving_in_haste(slow, windows)
    window.types("\x03")
    assert window.ends() == 1
    told = re.search(r"\[ERROR\] Not sent, (\d+) lines: line (\d+) … line 21", window.text())
    assert told is not None
    assert int(told[1]) + int(told[2]) == 22


async def test_what_is_being_typed_then_is_not_torn(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    window.types("half a thought")
    await asyncio.to_thread(window.reads, "next try in 1 s")
    fake.down = None
    await asyncio.to_thread(window.sees_last, "HH:MM [CLIENT] back, no new messages", "You: half a thought")


async def test_commands_tell_that_it_is_away_and_one_can_leave(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    window.enters("/who")
    await asyncio.to_thread(window.reads, f"[CLIENT] [ERROR] What answers at {fake.url} is a proxy")
    window.enters("exit")
    assert await asyncio.to_thread(window.ends) == 1
    assert "[ERROR] The server is away. Not sent, 1 line: into the void" in window.text()


def close_window(window: Window) -> None:
    """Close it as a person does: the terminal hangs up, and its input ends."""
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), window.child.child_fd)  # what it stood for is closed
    window.child.wait()


@pytest.mark.parametrize(
    ("leave", "keeps"),
    [
        (lambda window: window.enters("exit"), None),
        (lambda window: window.enters("/quit"), None),
        (lambda window: window.types("\x04"), None),
        (lambda window: window.types("\x03"), None),
        (lambda window: window.child.kill(signal.SIGINT), None),
        (lambda window: window.child.kill(signal.SIGTERM), True),
        (close_window, True),
    ],
    ids=["exit", "quit", "Ctrl-D", "Ctrl-C", "SIGINT", "SIGTERM", "window"],
)
async def test_name_is_kept_for_who_did_not_leave(
    fake: FakeServer, windows: list[Window], tmp_path: Path, leave: Callable[[Window], None], keeps: bool | None
) -> None:
    window = await opened(fake, windows, "--state-dir", str(tmp_path))
    await asyncio.to_thread(leave, window)
    if window.child.isalive():
        await asyncio.to_thread(window.ends)
    asked = {method: params.get("keep_name") for method, params in fake.calls}
    assert (asked["Register"], asked["Unregister"]) == (True, keeps)
