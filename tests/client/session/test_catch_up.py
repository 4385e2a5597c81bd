"""What is shown of the log at every entry: nothing that was missed is lost by it, and nothing comes twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from client.session.catch_up import CatchUp
from client.session.listener import ConnectionState
from client.session.participant import Participant
from client.session.registration_file import RegistrationFiles, by_name
from protocol.errors import ContractError, ErrorCode
from protocol.messages import ChatMessage
from tests.client.fake_server import Recorder, Rig, message, rig, ring_message

ONLINE, RECONNECTING = ConnectionState.ONLINE, ConnectionState.RECONNECTING
ALICE = by_name("Alice")
LINES = 5


class Face(Recorder):
    """A face that asks for a recap, and notes it beside what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.recaps: list[CatchUp] = []

    def on_recap(self, catch_up: CatchUp) -> None:
        self.recaps.append(catch_up)
        self.all.append(" ".join(["recap", *(str(each.seq) for each in catch_up.messages)]))

    @property
    def missed(self) -> list[int]:
        return [each.seq for each in self.recaps[-1].missed]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig() as made:
        made.registration_files = RegistrationFiles(tmp_path, made.server.url)
        yield made


def alice(room: Rig) -> tuple[Participant, Face]:
    face = Face()
    me = room.participant(face)
    me.request_catch_up(LINES, face.on_recap)
    me.recall(ALICE)
    return me, face


def own(seq: int, text: str = "mine") -> ChatMessage:
    return message(seq, text, sender="Alice")


def notice(seq: int) -> ChatMessage:
    return message(seq, "Alice joined the chat", sender="Alice", event="join")


def said(first: int, last: int) -> list[ChatMessage]:
    return [message(seq, str(seq)) for seq in range(first, last + 1)]


def on_disk(tmp_path: Path) -> int:
    (file,) = tmp_path.glob("name-alice-*.json")
    taken: int = msgspec.json.decode(file.read_bytes())["seat"]["taken"]
    return taken


async def goes_away_and_fails_once(room: Rig, face: Face) -> None:
    """Have the server hold no seat for her, so that she is on her way back in."""
    await face.told()
    room.server.only_member.away = True
    await room.sleep.let_pass()
    assert (await face.told())[0] is RECONNECTING


async def test_a_newcomer_gets_the_end_of_the_log_of_which_nothing_was_missed(room: Rig) -> None:
    room.server.seq, room.server.log = 8, [*said(1, 8), notice(9)]
    me, face = alice(room)
    await me.enter("Alice")
    assert face.all == [ONLINE, "recap 4 5 6 7 8"]
    assert (face.missed, face.recaps[0].resumed, me.taken) == ([], False, 9)
    assert face.recaps[0].skipped == 0


async def test_one_who_comes_back_gets_what_was_missed_and_its_pushes_are_repeats(room: Rig, tmp_path: Path) -> None:
    room.server.seq, room.server.log = 3, said(1, 4)
    me, _ = alice(room)
    await me.enter("Alice")
    await room.kill(me)
    room.server.log, room.server.seq, room.server.cursor = [*said(1, 5), own(6), message(7, "7")], 7, 4
    room.server.early = [ring_message(5, "5"), ring_message(7, "7"), ring_message(8, "8")]
    me, face = alice(room)
    await me.enter("Alice")
    assert (face.missed, face.recaps[0].skipped, face.recaps[0].resumed) == ([5, 7], 0, True)
    assert {status for status, _ in await asyncio.gather(*room.server.early_posts)} == {200}
    assert face.all == [ONLINE, "recap 3 4 5 6 7", "8"]
    assert on_disk(tmp_path) == me.taken == 8


async def test_what_lies_further_back_is_counted_and_not_pushed_any_more(room: Rig) -> None:
    me, _ = alice(room)
    await me.enter("Alice")
    await room.kill(me)
    last_words = [own(2, "bye"), notice(3)]
    room.server.log, room.server.seq, room.server.cursor = [*last_words, *said(4, 4368), notice(4369)], 4369, 1
    room.server.early = [ring_message(4, "4"), ring_message(4363, "4363")]
    me, face = alice(room)
    await me.enter("Alice")
    await asyncio.gather(*room.server.early_posts)
    assert (face.recaps[0].skipped, face.missed) == (4360, [4364, 4365, 4366, 4367, 4368])
    assert face.texts == []


async def test_what_the_server_no_longer_keeps_is_not_counted(room: Rig) -> None:
    me, _ = alice(room)
    await me.enter("Alice")
    await room.kill(me)
    room.server.log, room.server.seq, room.server.cursor = said(91, 100), 100, 1
    me, face = alice(room)
    await me.enter("Alice")
    assert face.recaps[0].skipped == 5


async def test_while_the_log_is_read_what_is_pushed_waits(room: Rig) -> None:
    me, _ = alice(room)
    await me.enter("Alice")
    await room.kill(me)
    room.server.log, room.server.seq, room.server.cursor = said(1, 3), 3, 1
    room.server.early = [ring_message(4, "4")]
    me, face = alice(room)

    async def look() -> None:
        assert (room.server.early_posts[0].done(), face.all) == (False, [])

    room.server.before_history = look
    await me.enter("Alice")
    await asyncio.gather(*room.server.early_posts)
    assert face.all == [ONLINE, "recap 1 2 3", "4"]


@pytest.mark.parametrize("code", [ErrorCode.RATE_LIMITED, ErrorCode.UNAUTHORIZED, ErrorCode.INTERNAL_ERROR])
async def test_without_the_log_everything_is_pushed_as_to_any_other_face(room: Rig, code: ErrorCode) -> None:
    me, _ = alice(room)
    await me.enter("Alice")
    await room.kill(me)
    room.server.log, room.server.seq, room.server.cursor = said(1, 3), 3, 1
    room.server.refuse["GetHistory"] = [ContractError(code)]
    room.server.early = [ring_message(2, "2"), ring_message(3, "3")]
    me, face = alice(room)
    await me.enter("Alice")
    await asyncio.gather(*room.server.early_posts)
    assert face.all == [ONLINE, "2", "3"]


async def test_a_log_that_is_another_by_then_is_not_shown(room: Rig) -> None:
    async def restore() -> None:
        room.server.restore(seq=30)

    room.server.before_history = restore
    me, face = alice(room)
    await me.enter("Alice")
    assert face.all == [ONLINE]


async def test_one_who_was_killed_before_it_was_shown_gets_it_again(room: Rig, tmp_path: Path) -> None:
    me, _ = alice(room)
    await me.enter("Alice")
    await room.kill(me)
    room.server.log, room.server.seq, room.server.cursor = said(1, 3), 3, 1

    class Killed(Face):
        def on_recap(self, catch_up: CatchUp) -> None:
            assert on_disk(tmp_path) == 1
            raise RuntimeError("killed")

    face: Face = Killed()
    me = room.participant(face)
    me.request_catch_up(LINES, face.on_recap)
    me.recall(ALICE)
    with pytest.raises(RuntimeError):
        await me.enter("Alice")
    await room.kill(me)
    me, face = alice(room)
    await me.enter("Alice")
    assert face.missed == [2, 3]


async def test_one_who_gives_up_while_the_log_is_read_gives_the_seat_back(room: Rig) -> None:
    reading = asyncio.Event()

    async def hang() -> None:
        reading.set()
        await asyncio.Event().wait()

    room.server.before_history = hang
    me, face = alice(room)
    entering = asyncio.create_task(me.enter("Alice"))
    await reading.wait()
    entering.cancel()
    await asyncio.wait([entering])
    await me.leave()
    assert room.server.calls[-1] == ("Unregister", {"id": "alice-1"})
    assert face.all == []


async def test_after_a_break_it_tells_only_what_was_missed_then(room: Rig) -> None:
    me, face = alice(room)
    await me.enter("Alice")
    await room.server.post(room.server.only_member, ring_message(2, "2"))
    await goes_away_and_fails_once(room, face)
    room.server.log, room.server.seq, room.server.cursor = [*said(1, 2), own(3), *said(4, 5)], 5, 2
    await room.sleep.let_pass()
    assert await face.told() == (ONLINE, "")
    assert (face.missed, face.recaps[-1].again, me.taken) == ([4, 5], True, 5)


async def test_after_a_break_without_the_log_it_says_that_it_is_back(room: Rig) -> None:
    me, face = alice(room)
    await me.enter("Alice")
    await goes_away_and_fails_once(room, face)
    room.server.refuse["GetHistory"] = [ContractError(ErrorCode.RATE_LIMITED)]
    await room.sleep.let_pass()
    assert await face.told() == (ONLINE, "Connected again.")


async def test_a_server_that_rings_is_back_and_nothing_is_shown_before_the_recap(room: Rig) -> None:
    me, face = alice(room)
    await me.enter("Alice")
    await face.told()
    room.server.down = 502
    await room.sleep.let_pass()
    assert (await face.told())[0] is RECONNECTING
    room.server.down = None
    room.server.log, room.server.seq = said(1, 2), 2
    status, _ = await room.server.post(room.server.only_member, ring_message(2, "2"))
    assert (status, await face.told()) == (200, (ONLINE, ""))
    assert face.all == [ONLINE, "recap 1", RECONNECTING, ONLINE, "recap 1 2"]


async def test_a_newcomer_in_a_new_log_is_told_all_of_it(room: Rig) -> None:
    me, face = alice(room)
    await me.enter("Alice")
    await goes_away_and_fails_once(room, face)
    room.server.forget_everything()
    room.server.log = [notice(1), message(2, "2")]
    await room.sleep.let_pass()
    assert (await face.told())[0] is ONLINE
    assert (face.missed, me.taken) == ([2], 2)


async def test_the_reason_and_the_wait_for_the_next_try_can_be_read(room: Rig) -> None:
    me, face = alice(room)
    await me.enter("Alice")
    await face.told()
    room.server.down = 503
    await room.sleep.let_pass()
    await face.told()
    assert ("is not ready" in str(me.reason), me.wait) == (True, 3)
