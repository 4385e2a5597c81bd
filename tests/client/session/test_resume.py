"""One who comes back: what was remembered, what the server says to it, and logs that are others than they were."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from client.errors import CallRefused, ServerUnreachable
from client.session.listener import ConnectionState
from client.session.participant import Participant
from client.session.registration_file import Registration, RegistrationFiles, by_name
from protocol.errors import ContractError, ErrorCode
from protocol.messages import ChatMessage
from tests.client.fake_server import Recorder, Rig, rig, ring_message

ONLINE, RECONNECTING, REPLACED = ConnectionState.ONLINE, ConnectionState.RECONNECTING, ConnectionState.REPLACED
ALICE = by_name("Alice")
ANOTHER_LOG = "The server has another log now: older messages may come again, and the latest may be gone."


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig() as made:
        made.registration_files = RegistrationFiles(tmp_path, made.server.url)
        yield made


def on_disk(tmp_path: Path) -> Registration:
    """What a process that begins now would read."""
    (file,) = tmp_path.glob("name-alice-*.json")
    return msgspec.convert(msgspec.json.decode(file.read_bytes())["seat"], Registration)


def any_file(directory: Path) -> bool:
    return any(directory.iterdir())


def move(directory: Path, to: str) -> Path:
    return directory.rename(directory.with_name(to))


async def seated(room: Rig) -> Participant:
    """Alice, who has taken messages up to 50."""
    me = room.participant()
    me.recall(ALICE)
    await me.enter("Alice")
    await room.listener.told()
    await room.server.post(room.server.only_member, ring_message(50, "fifty"))
    return me


async def back(room: Rig) -> tuple[Participant, Recorder]:
    """Alice in another process, on her way in."""
    listener = Recorder()
    me = room.participant(listener)
    assert me.recall(ALICE) == "Alice"
    return me, listener


# Remembering.


async def test_after_a_crash_nothing_is_shown_twice_and_nothing_is_missing(room: Rig) -> None:
    before = await seated(room)
    await room.kill(before)
    room.server.cursor = 20  # it has not saved all that was acknowledged
    me, listener = await back(room)
    assert (await me.enter("Alice")).resumed
    await room.server.post(room.server.only_member, [ring_message(50, "fifty"), ring_message(51, "missed")])
    assert (listener.texts, me.taken) == (["missed"], 51)


async def test_after_a_farewell_it_comes_back_with_its_token(room: Rig) -> None:
    before = await seated(room)
    await before.leave()
    me, listener = await back(room)
    await me.enter("Alice")
    assert room.server.methods() == ["Register", "Unregister", "Register"]
    assert "id" not in room.server.calls[-1][1]
    assert (me.id, await listener.told()) == ("alice-1", (ONLINE, ""))
    assert not room.server.only_member.away


async def test_messages_that_are_no_longer_kept_are_told(room: Rig) -> None:
    await (await seated(room)).leave()
    room.server.lost = 12
    me, listener = await back(room)
    await me.enter("Alice")
    assert await listener.told() == (ONLINE, "12 older messages are gone.")


async def test_a_message_is_shown_then_remembered_then_acknowledged(room: Rig, tmp_path: Path) -> None:
    class Watching(Recorder):
        def on_message(self, message: ChatMessage) -> None:
            self.texts.append(f"{message.seq} while {on_disk(tmp_path).taken} is remembered")

    me = room.participant(listener := Watching())
    me.recall(ALICE)
    await me.enter("Alice")
    await room.server.post(room.server.only_member, [ring_message(2), ring_message(3)])
    assert on_disk(tmp_path).taken == 3
    assert listener.texts == ["2 while 1 is remembered", "3 while 1 is remembered"]


async def test_a_message_that_could_not_be_shown_is_not_remembered_as_taken(room: Rig, tmp_path: Path) -> None:
    class Tripping(Recorder):
        def on_message(self, message: ChatMessage) -> None:
            if message.seq == 3:
                raise RuntimeError("tripped")

    me = room.participant(Tripping())
    me.recall(ALICE)
    await me.enter("Alice")
    await room.server.post(room.server.only_member, [ring_message(2), ring_message(3), ring_message(4)])
    assert on_disk(tmp_path).taken == 2


async def test_when_the_answer_is_lost_nothing_was_acknowledged_and_the_next_try_gets_it(room: Rig) -> None:
    await (await seated(room)).leave()
    me, listener = await back(room)
    room.server.lose_answer_of, room.server.early = {"Register"}, [ring_message(51, "missed")]
    with pytest.raises(ServerUnreachable):
        await me.enter("Alice")
    (first,) = room.server.early_posts
    assert (first.done(), listener.texts) == (False, [])
    await me.enter("Alice")
    assert {status for status, _ in await asyncio.gather(*room.server.early_posts)} == {200}
    assert (listener.all, room.server.only_member.away) == ([ONLINE, "missed"], False)


async def test_one_who_gives_up_before_register_is_answered_acknowledges_nothing(room: Rig) -> None:
    await (await seated(room)).leave()
    me, listener = await back(room)
    room.server.lose_answer_of, room.server.early = {"Register"}, [ring_message(51, "missed")]
    with pytest.raises(ServerUnreachable):
        await me.enter("Alice")
    await me.leave()
    assert ((await room.server.early_posts[0])[0], listener.all) == (410, [])


async def test_a_seat_that_the_server_forgot_becomes_a_newcomers_without_a_question(room: Rig, tmp_path: Path) -> None:
    await (await seated(room)).leave()
    room.server.members.clear()
    me, listener = await back(room)
    assert not (await me.enter("Alice")).resumed
    words = "You are here as a newcomer: the server did not know this registration any more."
    assert await listener.told() == (ONLINE, words)
    assert on_disk(tmp_path).token == room.server.only_member.token
    await room.server.post(room.server.only_member, ring_message(3, "three"))
    assert listener.texts == ["three"]


async def test_a_log_that_began_anew_meanwhile_gets_a_newcomer(room: Rig) -> None:
    await (await seated(room)).leave()
    room.server.forget_everything()
    me, listener = await back(room)
    await me.enter("Alice")
    assert await listener.told() == (ONLINE, "You are here as a newcomer: the server has begun a new log.")
    await room.server.post(room.server.only_member, ring_message(2, "two"))
    assert listener.texts == ["two"]


async def test_a_seat_that_cannot_be_taken_yet_stays_remembered(room: Rig, tmp_path: Path) -> None:
    await (await seated(room)).leave()
    remembered = on_disk(tmp_path)
    me, _ = await back(room)
    taken = ContractError(ErrorCode.TAKEN, {"field": "name"})
    room.server.refuse["Register"] = [taken, ContractError(ErrorCode.UNAUTHORIZED), taken]
    for _ in range(2):  # the name is another's; then the server does not know the token either
        with pytest.raises(CallRefused, match="name is in use"):
            await me.enter("Alice")
    assert on_disk(tmp_path) == remembered


async def test_a_name_that_is_anothers_by_now_costs_the_name_and_not_the_seat(room: Rig, tmp_path: Path) -> None:
    await (await seated(room)).leave()
    me, _ = await back(room)
    room.server.refuse["Register"] = [ContractError(ErrorCode.TAKEN, {"field": "name"})]
    with pytest.raises(CallRefused):
        await me.enter("Alice")
    assert (await me.enter("Alice-2")).resumed
    assert (on_disk(tmp_path).name, on_disk(tmp_path).taken) == ("Alice-2", 50)


async def test_who_chooses_another_name_leaves_the_remembered_seat_as_it_is(room: Rig, tmp_path: Path) -> None:
    await (await seated(room)).leave()
    remembered = on_disk(tmp_path)
    me, _ = await back(room)
    assert me.recall(by_name("Bob")) is None
    assert not (await me.enter("Bob")).resumed
    assert (on_disk(tmp_path), me.id) == (remembered, "bob-1")


async def test_a_seat_that_another_process_has_is_not_shared(room: Rig, tmp_path: Path) -> None:
    await seated(room)
    remembered = on_disk(tmp_path)
    me = room.participant(listener := Recorder())
    assert me.recall(ALICE) is None
    with pytest.raises(CallRefused, match="name is in use"):
        await me.enter("Alice")
    await me.enter("Alice-2")
    assert "is in use by another client" in (await listener.told())[1]
    assert on_disk(tmp_path) == remembered


async def test_the_seat_of_one_whom_an_operator_removed_is_forgotten(room: Rig, tmp_path: Path) -> None:
    await room.kill(await seated(room))
    me, _ = await back(room)
    room.server.refuse["Register"] = [ContractError(ErrorCode.UNAUTHORIZED, {"kicked": True})]
    with pytest.raises(CallRefused, match="An operator has removed you"):
        await me.enter("Alice")
    assert not any_file(tmp_path)
    await me.enter("Alice-2")
    assert len(room.server.members) == 2  # a newcomer


async def test_one_who_was_replaced_leaves_the_file_to_others(room: Rig, tmp_path: Path) -> None:
    await seated(room)
    remembered = on_disk(tmp_path)
    room.server.only_member.callback = "http://127.0.0.1:1/rpc/theirs"
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is REPLACED
    assert room.participant().recall(ALICE) == "Alice"
    assert on_disk(tmp_path) == remembered


async def test_a_new_name_is_remembered(room: Rig, tmp_path: Path) -> None:
    await (await seated(room)).rename("Alicia")
    assert on_disk(tmp_path).name == "Alicia"


async def test_a_seat_that_is_given_up_for_good_is_forgotten(room: Rig, tmp_path: Path) -> None:
    await (await seated(room)).leave(forget=True)
    assert not any_file(tmp_path)


async def test_a_disk_that_fails_costs_no_message(room: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    me = await seated(room)
    move(tmp_path, "aside")
    for seq in (51, 52):
        assert (await room.server.post(room.server.only_member, ring_message(seq, str(seq))))[0] == 200
    assert (room.listener.texts, me.taken) == (["fifty", "51", "52"], 52)
    assert [record.levelno for record in caplog.records if "cannot be written" in record.message] == [logging.WARNING]


async def test_a_place_that_cannot_be_written_is_told(room: Rig, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    room.registration_files = RegistrationFiles(tmp_path / "file", room.server.url)
    me = room.participant()
    assert me.recall(ALICE) is None
    await me.enter("Alice")
    assert "; this registration is not stored" in (await room.listener.told())[1]


async def test_resuming_goes_on_until_it_works(room: Rig) -> None:
    await (await seated(room)).leave()
    me, listener = await back(room)
    room.server.down = 502
    me.resume()
    assert await listener.told() == (RECONNECTING, "")
    assert "502" in (await listener.told())[1]
    assert (me.id, me.name) == ("alice-1", "Alice")
    room.server.down = None
    await room.sleep.let_pass()
    assert await listener.told() == (ONLINE, "")
    await room.server.post(room.server.only_member, [ring_message(50, "fifty"), ring_message(51, "missed")])
    assert listener.texts == ["missed"]


async def test_one_who_leaves_while_it_resumes_says_goodbye(room: Rig) -> None:
    await (await seated(room)).leave()
    me, _ = await back(room)
    room.server.down = 502
    me.resume()
    await room.sleep.begun()
    room.server.down = None
    await me.leave()
    assert room.server.calls[-1] == ("Unregister", {"id": "alice-1"})


# Another log, with the same members: a store that was restored.


async def test_a_message_of_another_log_is_taken_after_register_has_told_of_it(room: Rig, tmp_path: Path) -> None:
    me = await seated(room)
    room.server.restore(seq=30)
    assert (await room.server.post(room.server.only_member, ring_message(31, "of the new log")))[0] == 200
    assert room.server.methods() == ["Register", "Ping", "Register"]
    assert await room.listener.told() == (ONLINE, f"Connected again. {ANOTHER_LOG}")
    assert (room.listener.texts, me.taken) == (["fifty", "of the new log"], 31)
    assert (on_disk(tmp_path).epoch, on_disk(tmp_path).taken) == ("second", 31)


async def test_when_nobody_writes_a_ping_shows_the_other_log(room: Rig) -> None:
    me = await seated(room)
    room.server.restore(seq=30)
    await room.sleep.let_pass()
    assert await room.listener.told() == (ONLINE, f"Connected again. {ANOTHER_LOG}")
    assert me.taken == 30


async def test_each_log_that_is_another_is_told(room: Rig) -> None:
    me = await seated(room)
    room.server.restore(seq=30)
    await room.sleep.let_pass()
    told = await room.listener.told()
    room.server.epoch, room.server.seq = "third", 20
    await room.sleep.let_pass()
    assert await room.listener.told() == told
    assert me.taken == 20


async def test_a_callback_of_long_ago_in_a_restored_store_is_no_takeover(room: Rig) -> None:
    await seated(room)
    room.server.restore(seq=30)
    room.server.only_member.callback = "http://127.0.0.1:1/rpc/of-long-ago"
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is ONLINE


async def test_who_is_away_in_the_restored_store_comes_back_into_it(room: Rig) -> None:
    me = await seated(room)
    room.server.restore(seq=30)
    room.server.only_member.away = True
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is RECONNECTING
    await room.sleep.let_pass()
    assert await room.listener.told() == (ONLINE, f"Connected again. {ANOTHER_LOG}")
    assert me.taken == 30


async def test_what_was_remembered_of_another_log_means_nothing(room: Rig) -> None:
    await (await seated(room)).leave()
    room.server.restore(seq=30)
    room.server.early = [ring_message(31, "early")]
    me, listener = await back(room)
    await me.enter("Alice")
    await asyncio.gather(*room.server.early_posts)
    assert await listener.told() == (ONLINE, ANOTHER_LOG)
    assert (listener.texts, me.taken) == (["early"], 31)


async def test_when_the_answer_that_tells_of_another_log_is_lost_nothing_was_acknowledged(room: Rig) -> None:
    me = await seated(room)
    room.server.restore(seq=30)
    room.server.lose_answer_of, room.server.early = {"Register"}, [ring_message(31, "early")]
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is RECONNECTING
    (first,) = room.server.early_posts
    assert (first.done(), me.taken) == (False, 50)
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is ONLINE
    assert {status for status, _ in await asyncio.gather(*room.server.early_posts)} == {200}
    assert (room.listener.texts, me.taken) == (["fifty", "early"], 31)


async def test_a_log_that_changes_again_while_the_answer_is_lost_is_taken_from_its_own_cursor(room: Rig) -> None:
    me = await seated(room)
    room.server.restore(seq=30)
    room.server.lose_answer_of, room.server.early = {"Register"}, [ring_message(31, "of the second")]
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is RECONNECTING
    room.server.epoch, room.server.seq, room.server.early = "third", 10, [ring_message(11, "of the third")]
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is ONLINE
    assert (await room.server.early_posts[1])[0] == 200
    assert (room.server.early_posts[0].done(), room.listener.texts, me.taken) == (False, ["fifty", "of the third"], 11)


async def test_a_late_post_of_the_log_before_is_not_acknowledged(tmp_path: Path) -> None:
    async with rig(patience=0.05) as room:
        me = await seated(room)
        room.server.restore(seq=30)
        await room.sleep.let_pass()
        await room.listener.told()
        late = await room.server.post(room.server.only_member, ring_message(51, "late"), epoch="first")
        assert (late[0], me.taken, room.listener.texts) == (503, 30, ["fifty"])


async def test_messages_of_the_same_log_are_taken_while_register_is_under_way(room: Rig) -> None:
    me = await seated(room)
    room.server.only_member.away = True
    room.server.early = [ring_message(51, "meanwhile")]
    room.server.lose_answer_of = {"Register"}
    for _ in range(2):
        await room.sleep.let_pass()
    await room.sleep.begun()
    assert [(await post)[0] for post in room.server.early_posts] == [200]
    assert (room.listener.texts, me.taken, me.state) == (["fifty", "meanwhile"], 51, RECONNECTING)


@pytest.mark.parametrize("lost", [False, True], ids=["", "though an answer is lost"])
async def test_a_newcomer_in_a_new_log_hears_all_of_it(room: Rig, lost: bool) -> None:
    me = await seated(room)
    room.server.forget_everything()

    async def go_wrong() -> None:
        registers = room.server.methods().count("Register")
        room.server.early = [ring_message(5, "five")] if registers == 3 else []
        if lost and registers == 4:
            room.server.lose_answer_of = {"Register"}

    room.server.before_register = go_wrong
    for _ in range(3 if lost else 2):
        await room.sleep.let_pass()
    while (told := await room.listener.told())[0] is not ONLINE:
        pass
    assert "newcomer: the server has begun a new log" in told[1]
    registers = [params.get("after") for method, params in room.server.calls if method == "Register"]
    # At first; with a token that is not known; as a newcomer, to whom something comes at once; and from the start.
    assert registers == [None, None, None, 0, *([0] if lost else [])]
    assert (await room.server.early_posts[0])[0] == 410
    await room.server.post(room.server.only_member, [ring_message(seq, str(seq)) for seq in range(1, 6)])
    assert (room.listener.texts, me.taken) == (["fifty", *"12345"], 5)


def asked(room: Rig, method: str) -> list[object]:
    """What each call of the method said of the name."""
    return [params.get("keep_name") for called, params in room.server.calls if called == method]


async def keeping(room: Rig) -> Participant:
    """Alice, whose name is kept while she is away."""
    me = room.participant()
    me.keeps_name = True
    me.recall(ALICE)
    await me.enter("Alice")
    return me


async def test_leave_for_a_while_keeps_name_and_seat(room: Rig) -> None:
    await (await keeping(room)).leave(away=True)
    assert (asked(room, "Register"), asked(room, "Unregister")) == ([True], [True])
    await back(room)


async def test_leave_for_good_gives_the_name_up(room: Rig, tmp_path: Path) -> None:
    await (await keeping(room)).leave(forget=True)
    assert asked(room, "Unregister") == [None]
    assert not any_file(tmp_path)


async def test_leave_of_one_that_keeps_no_name_never_asks_for_it(room: Rig) -> None:
    await (await seated(room)).leave(away=True)
    assert asked(room, "Register") + asked(room, "Unregister") == [None, None]


async def test_leave_for_good_that_the_server_missed_is_a_way_back_for_who_enters_again(
    room: Rig, tmp_path: Path
) -> None:
    """The server keeps the name: without the token its owner, too, would be refused."""
    me = await keeping(room)
    room.server.down = 503
    await me.leave(forget=True)
    room.server.down = None
    again = room.participant()
    assert again.recall(ALICE) is None  # not by itself
    result = await again.enter("Alice")
    assert (result.resumed, on_disk(tmp_path).left) == (True, False)


async def test_recall_brings_the_seat_of_that_name_from_another_key(room: Rig) -> None:
    await (await seated(room)).leave(away=True)
    me = room.participant()
    assert me.recall("browser x", name="Bob", others=[ALICE]) is None
    assert me.recall("browser x", name="Alice", others=[ALICE]) == "Alice"
    assert (await me.enter("Alice")).resumed


async def test_seat_that_needs_a_key_again_ends_where_a_person_can_give_it(room: Rig, tmp_path: Path) -> None:
    await (await seated(room)).leave(away=True)
    room.server.members.clear()
    room.server.refuse = {"Register": [ContractError(ErrorCode.UNAUTHORIZED), ContractError(ErrorCode.JOIN_KEY_WRONG)]}
    me, listener = await back(room)
    me.ends_without_key = True
    me.resume()
    while (told := await listener.told())[0] is not REPLACED:
        pass
    assert "a new registration needs a join key" in told[1]
    assert not any_file(tmp_path)


async def test_name_kept_for_another_is_told_with_the_time(room: Rig) -> None:
    me = room.participant()
    room.server.refuse = {"Register": [ContractError(ErrorCode.TAKEN, {"field": "name", "retry_after_ms": 7_200_000})]}
    with pytest.raises(CallRefused, match="The name Alice is reserved for an absent member, for another 2 hours"):
        await me.enter("Alice")


async def test_name_is_not_kept_when_nobody_could_come_back_to_it(room: Rig) -> None:
    room.registration_files = None
    await (await keeping(room)).leave(away=True)
    assert asked(room, "Register") + asked(room, "Unregister") == [None, None]
