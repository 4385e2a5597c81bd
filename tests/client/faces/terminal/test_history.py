"""What a person sees on entering: history flagged as such, where the unread begins, and how to see more."""

import asyncio
from pathlib import Path

import msgspec

from protocol.messages import ChatMessage
from tests.client.faces.terminal.conftest import Opens
from tests.client.fake_server import FakeServer, message, ring
from tests.client.window import Window

FRIDAY, SUNDAY = "2026-11-27T09:05:00.000Z", "2026-11-29T21:45:00.000Z"


def said(first: int, last: int, sent_at: str = SUNDAY) -> list[ChatMessage]:
    return [message(seq, f"line {seq}", sent_at=sent_at) for seq in range(first, last + 1)]


def log(fake: FakeServer, *messages: ChatMessage, cursor: int | None = None) -> None:
    """Let the server have said this, of which all up to `cursor` was acknowledged."""
    fake.log, fake.seq, fake.cursor = list(messages), messages[-1].seq, cursor


async def opened(fake: FakeServer, windows: list[Window], *arguments: str, rows: int = 20) -> Window:
    window = Window("--server", fake.url, "--name", "Alice", *arguments)
    windows.append(window)
    window.child.setwinsize(rows, 70)
    window.screen.resize(rows, 70)
    await asyncio.to_thread(window.sees, "You:")
    return window


async def left(window: Window) -> None:
    window.enters("exit")
    assert await asyncio.to_thread(window.ends) == 0


async def tell(fake: FakeServer, *messages: ChatMessage) -> None:
    calls = [ring(each.seq, "ReceiveMessage", {"message": msgspec.to_builtins(each)}) for each in messages]
    status, _ = await fake.post(fake.only_member, calls)
    assert status == 200


async def test_a_newcomer_sees_the_history_with_its_days_and_times(fake: FakeServer, windows: list[Window]) -> None:
    log(fake, *said(1, 1, FRIDAY), *said(2, 3))
    window = await opened(fake, windows)
    await asyncio.to_thread(window.sees_last, "You:")
    assert [line.rstrip() for line in window.screen.display if line.strip()][4:] == [
        "── history ──",
        "── Friday, 27 November 2026 ──",
        "09:05 Bob: line 1",
        "── Sunday, 29 November 2026 ──",
        "21:45 Bob: line 2",
        "21:45 Bob: line 3",
        "── end of history ──",
        "You:",
    ]


async def test_one_who_comes_back_sees_where_the_unread_begins_and_each_line_once(
    fake: FakeServer, windows: list[Window], tmp_path: Path
) -> None:
    log(fake, *said(1, 2))
    window = await opened(fake, windows, "--state-dir", str(tmp_path))
    await tell(fake, *said(4, 4))
    await asyncio.to_thread(window.sees_last, "HH:MM Bob: line 4", "You:")
    await left(window)
    log(fake, *said(1, 2), *said(4, 6), cursor=2)
    window = await opened(fake, windows, "--state-dir", str(tmp_path))
    await tell(fake, *said(4, 7))
    await asyncio.to_thread(window.sees_last, "HH:MM Bob: line 7", "You:")
    assert window.lines()[4:] == [
        "── history ──",
        "── Sunday, 29 November 2026 ──",
        *(f"HH:MM Bob: line {seq}" for seq in (1, 2, 4)),
        "── unread ──",
        *(f"HH:MM Bob: line {seq}" for seq in (5, 6, 7)),
        "You:",
    ]


async def test_after_kill_9_nothing_is_lost_and_nothing_comes_twice(
    fake: FakeServer, windows: list[Window], tmp_path: Path
) -> None:
    log(fake, *said(1, 2))
    window = await opened(fake, windows, "--state-dir", str(tmp_path))
    await tell(fake, *said(4, 5))
    window.child.kill(9)
    await asyncio.to_thread(window.ends)
    shown = [line for line in window.lines() if line != "You:"]
    assert shown[-2:] == ["HH:MM Bob: line 4", "HH:MM Bob: line 5"]  # what is acknowledged was shown
    log(fake, *said(1, 2), *said(4, 6), cursor=2)
    window = await opened(fake, windows, "--state-dir", str(tmp_path))
    await tell(fake, *said(4, 6))
    await asyncio.to_thread(window.sees_last, "── unread ──", "HH:MM Bob: line 6", "You:")
    assert len([line for line in window.lines() if "line 6" in line]) == 1


async def test_after_a_long_absence_it_is_the_last_fifty_lines_and_how_many_more_there_are(
    fake: FakeServer, windows: list[Window], tmp_path: Path
) -> None:
    await left(await opened(fake, windows, "--state-dir", str(tmp_path)))
    log(fake, *said(2, 4361), cursor=1)
    window = await opened(fake, windows, "--state-dir", str(tmp_path), rows=80)
    await tell(fake, *said(2, 250))
    assert window.lines()[4:8] == [
        "── history ──",
        "… 4,310 more: /history",
        "── Sunday, 29 November 2026 ──",
        "── unread ──",
    ]
    assert window.lines()[8:] == [*(f"HH:MM Bob: line {seq}" for seq in range(4312, 4362)), "You:"]


async def test_history_goes_back_from_what_was_shown_and_says_where_it_begins(
    fake: FakeServer, windows: list[Window]
) -> None:
    log(fake, *said(1, 60))
    window = await opened(fake, windows, rows=100)
    window.enters("/history 3")
    block = ["── history ──", "── Sunday, 29 November 2026 ──"]
    lines = [f"HH:MM Bob: line {seq}" for seq in range(1, 61)]
    await asyncio.to_thread(window.sees_last, *block, *lines[7:10], "── end of history ──", "You:")
    window.enters("/history")
    await asyncio.to_thread(window.sees_last, *block, *lines[:7], "── end of history ──", "You:")
    window.enters("/history")
    await asyncio.to_thread(window.sees_last, "HH:MM [CLIENT] There is no more: the history begins here.", "You:")
    asked = [params for method, params in fake.calls if method == "GetHistory"]
    assert asked[1:] == [{"before": 11, "limit": 3}, {"before": 8, "limit": 50}, {"before": 1, "limit": 50}]


def test_in_an_empty_room_there_is_no_history(opens: Opens) -> None:
    window = opens("--name", "Alone")
    welcome = ["Type your messages below (type 'exit' to quit)", "/help shows the commands and keys"]
    window.sees_last(*welcome, "You:")
