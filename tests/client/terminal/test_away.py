"""A server that is away: one quiet line, then how much was missed, then that."""

import asyncio

from protocol.errors import ContractError, ErrorCode
from tests.client.fake_server import FakeServer, message
from tests.client.terminal.test_history import opened, said, tell
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
    await asyncio.to_thread(window.reads, "is it a chat server? Trying again in 0.")
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
    await asyncio.to_thread(window.reads, "Somebody else is called Alice now. Waiting until the name is free again.")
    await asyncio.to_thread(window.sees, "HH:MM [CLIENT] back, no new messages")


async def test_when_too_many_lines_wait_the_next_one_stays_at_the_prompt(
    fake: FakeServer, windows: list[Window]
) -> None:
    window = await cut_off(fake, windows)
    for number in range(101):
        window.enters(f"line {number}")
    await asyncio.to_thread(window.reads, "[ERROR] Not sent, 100 lines are waiting already. You: line 10")


async def test_what_is_being_typed_then_is_not_torn(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    window.types("half a thought")
    await asyncio.to_thread(window.reads, "next try in 1 s")
    fake.down = None
    await asyncio.to_thread(window.sees_last, "HH:MM [CLIENT] back, no new messages", "You: half a thought")


async def test_commands_tell_that_it_is_away_and_one_can_leave(fake: FakeServer, windows: list[Window]) -> None:
    window = await cut_off(fake, windows)
    window.enters("/who")
    await asyncio.to_thread(window.reads, f"[CLIENT] [ERROR] {fake.url} answered with HTTP status 502")
    window.enters("exit")
    assert await asyncio.to_thread(window.ends) == 0
    assert "your last lines may not have been sent" in window.text()
