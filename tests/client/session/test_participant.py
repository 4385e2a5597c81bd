import asyncio
from collections.abc import AsyncIterator

import pytest

from client.errors import CallRefused, NotRegistered, ServerUnreachable
from client.session.listener import ConnectionState
from client.session.participant import Participant
from protocol.errors import ContractError, ErrorCode
from tests.client.fake_server import Member, Rig, rig, ring, ring_message

NEW, ONLINE, RECONNECTING = ConnectionState.NEW, ConnectionState.ONLINE, ConnectionState.RECONNECTING
REPLACED, LEFT = ConnectionState.REPLACED, ConnectionState.LEFT


@pytest.fixture
async def room() -> AsyncIterator[Rig]:
    async with rig() as made:
        yield made


async def test_entering_registers_with_callback_secret_and_batches(room: Rig) -> None:
    me = room.participant(join_key="open sesame")
    result = await me.enter("Alice")
    ((method, params),) = room.server.calls
    assert method == "Register"
    assert params["callback"].startswith(f"{room.callback}/rpc/")
    assert (params["max_batch"], params["accepts"], params["join_key"]) == (256, ["ReceiveTyping"], "open sesame")
    assert (me.id, me.name, me.state, me.taken) == ("alice-1", "Alice", ONLINE, result.cursor)


async def test_a_message_is_shown_once_however_often_it_comes(room: Rig) -> None:
    await room.participant().enter("Alice")
    for seq in (2, 3, 3, 2, 4):
        await room.server.post(room.server.only_member, ring_message(seq, str(seq)))
    assert room.listener.texts == ["2", "3", "4"]


async def test_messages_that_overtake_the_answer_to_register_are_shown_after_it(room: Rig) -> None:
    room.server.early = [ring_message(2, "early"), ring_message(3, "too"), ring_message(2, "early")]
    me = room.participant()
    await me.enter("Alice")
    await asyncio.gather(*room.server.early_posts)
    assert room.listener.all == [ONLINE, "early", "too"]
    assert me.taken == 3


async def test_a_name_in_use_leaves_everything_as_it_was(room: Rig) -> None:
    room.server.refuse["Register"] = [ContractError(ErrorCode.TAKEN, {"field": "name"})]
    me = room.participant()
    with pytest.raises(CallRefused, match="name is in use"):
        await me.enter("Alice")
    assert (me.state, room.listener.states) == (NEW, [])
    await me.enter("Alicia")
    assert me.name == "Alicia"


async def test_a_seat_whose_register_was_not_answered_is_gone(room: Rig) -> None:
    room.server.lose_answer_of = {"Register"}
    with pytest.raises(ServerUnreachable):
        await room.participant().enter("Alice")
    status, _ = await room.server.post(room.server.only_member, ring_message(2))
    assert status == 410


async def test_sending_gives_the_seq_and_a_repeat_is_stored_once(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    assert (await me.send("hi", "one")).seq == (await me.send("hi", "one")).seq == 2
    assert room.server.sent == {"one": "hi"}


async def test_the_other_calls_give_what_the_server_answers(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    assert [message.text for message in (await me.history(limit=1)).messages] == ["hi"]
    assert [member.name for member in (await me.members()).members] == ["Alice"]
    assert await me.rename("Alicia") == me.name == "Alicia"
    await me.set_typing()
    assert room.server.methods()[-1] == "SetTyping"


async def test_typing_reaches_the_listener(room: Rig) -> None:
    await room.participant().enter("Alice")
    who = {"sender_id": "bob-1", "sender_name": "Bob", "room": "lobby"}
    await room.server.post(room.server.only_member, ring(1, "ReceiveTyping", who))
    assert room.listener.typists == ["Bob"]


async def test_without_a_seat_a_call_is_refused_as_the_server_would(room: Rig) -> None:
    with pytest.raises(NotRegistered):
        await room.participant().send("hi")
    assert room.server.calls == []


async def test_it_pings_every_ten_seconds(room: Rig) -> None:
    await room.participant().enter("Alice")
    assert await room.sleep.let_pass() == 10
    await room.sleep.begun()
    assert room.server.methods() == ["Register", "Ping"]


async def test_a_server_that_comes_back_gets_it_back_with_its_token(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    room.server.down = 502
    await room.sleep.let_pass()
    state, detail = await room.listener.told()
    assert state is RECONNECTING
    assert "502" in detail
    await room.sleep.let_pass()
    await room.sleep.begun()
    room.server.down = None
    await room.sleep.let_pass()
    assert await room.listener.told() == (ONLINE, "Connected again.")
    token = room.server.only_member.token
    await room.server.post(room.server.only_member, ring_message(2, "missed"))
    assert (room.listener.texts, token) == (["missed"], "token-first-1")


async def test_what_it_has_taken_is_not_taken_again_after_a_resume(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    await room.server.post(room.server.only_member, ring_message(2, "two"))
    room.server.only_member.away = True
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is RECONNECTING
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is ONLINE
    await room.server.post(room.server.only_member, [ring_message(2, "two"), ring_message(3, "three")])
    assert room.listener.texts == ["two", "three"]


async def test_waiting_for_the_server_takes_longer_each_time_up_to_ten_seconds(room: Rig) -> None:
    await room.participant().enter("Alice")
    room.server.down = 502
    await room.sleep.let_pass()
    assert [await room.sleep.let_pass() for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]


async def test_a_server_that_names_a_time_is_left_alone_until_then(room: Rig) -> None:
    await room.participant().enter("Alice")
    room.server.down = 503
    await room.sleep.let_pass()
    assert await room.sleep.let_pass() == 3


async def test_the_same_trouble_is_told_once(room: Rig) -> None:
    await room.participant().enter("Alice")
    room.server.down = 502
    for _ in range(4):
        await room.sleep.let_pass()
    await room.sleep.begun()
    assert room.listener.states == [ONLINE, RECONNECTING]


async def test_a_send_that_fails_makes_it_look_after_its_seat_at_once(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    await room.sleep.begun()
    room.server.only_member.away = True
    with pytest.raises(CallRefused) as refused:
        await me.send("hi")
    assert refused.value.code == ErrorCode.AWAY
    assert (await room.listener.told())[0] is RECONNECTING
    assert await room.sleep.let_pass() == 0.5
    assert (await room.listener.told())[0] is ONLINE


async def test_a_server_with_a_new_log_gets_a_newcomer_that_counts_from_the_start(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    await room.server.post(room.server.only_member, ring_message(50, "of the old log"))
    room.server.forget_everything()
    room.server.early = [ring_message(2, "of the new log")]
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is RECONNECTING
    await room.sleep.let_pass()
    state, detail = await room.listener.told()
    await asyncio.gather(*room.server.early_posts)
    assert (state, me.taken) == (ONLINE, 2)
    assert "newcomer" in detail
    assert "new log" in detail
    assert room.listener.texts == ["of the old log", "of the new log"]


async def test_a_name_that_was_taken_meanwhile_is_waited_for(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    room.server.forget_everything()
    room.server.refuse["Register"] = [
        ContractError(ErrorCode.UNAUTHORIZED),
        ContractError(ErrorCode.TAKEN, {"field": "name"}),
    ]
    await room.sleep.let_pass()
    await room.listener.told()
    await room.sleep.let_pass()
    assert await room.listener.told() == (
        RECONNECTING,
        "The name Alice is in use now. Waiting until it is free.",
    )
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is ONLINE
    assert me.name == "Alice"


async def test_another_name_ends_the_wait_for_one_that_was_taken_meanwhile(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    room.server.forget_everything()
    taken = ContractError(ErrorCode.TAKEN, {"field": "name"})
    room.server.refuse["Register"] = [ContractError(ErrorCode.UNAUTHORIZED), taken, taken]
    await room.sleep.let_pass()
    await room.listener.told()
    await room.sleep.let_pass()
    assert "Alice" in (await room.listener.told())[1]
    assert me.lacks_name
    assert await me.rename("Bob") == "Bob"  # nobody lets the time pass
    assert "Bob" in (await room.listener.told())[1]
    await me.rename("Carol")
    assert (await room.listener.told())[0] is ONLINE
    assert (me.name, room.server.only_member.name) == ("Carol", "Carol")


async def test_a_bug_in_what_keeps_the_seat_is_told_and_is_the_end(room: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(Participant, "_heed", fail)
    await room.participant().enter("Alice")
    await room.listener.told()
    await room.sleep.let_pass()
    assert await room.listener.told() == (
        ConnectionState.REPLACED,
        "Internal error of this client: RuntimeError('oh')",
    )


async def test_messages_lost_in_between_are_told(room: Rig) -> None:
    await room.participant().enter("Alice")
    await room.listener.told()
    room.server.only_member.away = True
    room.server.lost = 12
    await room.sleep.let_pass()
    await room.listener.told()
    await room.sleep.let_pass()
    assert await room.listener.told() == (ONLINE, "Connected again. 12 older messages are gone.")


async def test_a_refused_ping_that_says_nothing_of_the_seat_changes_nothing(room: Rig) -> None:
    await room.participant().enter("Alice")
    room.server.refuse["Ping"] = [ContractError(ErrorCode.RATE_LIMITED, {"retry_after_ms": 10})]
    await room.sleep.let_pass()
    assert await room.sleep.let_pass() == 10
    assert room.listener.states == [ONLINE]


async def test_another_process_with_its_token_makes_it_stop(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    theirs = room.server.only_member
    ours, theirs.callback = theirs.callback, "http://127.0.0.1:1/rpc/theirs"
    await room.sleep.let_pass()
    state, detail = await room.listener.told()
    assert (state, me.state) == (REPLACED, REPLACED)
    assert "taken over" in detail
    theirs.callback = ours
    assert (await room.server.post(theirs, ring_message(2)))[0] == 410


KICKED = {"kicked": True, "detail": "an operator has removed you from this chat"}


async def test_one_whom_an_operator_removed_says_so_and_does_not_come_back(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    seat = room.server.only_member
    room.server.refuse["Ping"] = [ContractError(ErrorCode.UNAUTHORIZED, KICKED)]
    await room.sleep.let_pass()
    assert await room.listener.told() == (
        REPLACED,
        "An operator has removed you from this chat. You can join again as a new member.",
    )
    assert (await room.server.post(seat, ring_message(2)))[0] == 410
    await me.leave()
    assert room.server.methods() == ["Register", "Ping"]


async def test_one_who_is_removed_while_the_server_is_away_does_not_come_back_either(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    room.server.refuse["Ping"] = [ContractError(ErrorCode.AWAY)]
    room.server.refuse["Register"] = [ContractError(ErrorCode.UNAUTHORIZED, KICKED)]
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is RECONNECTING
    await room.sleep.let_pass()
    assert (await room.listener.told())[0] is REPLACED
    assert room.server.methods() == ["Register", "Ping", "Register"]


async def test_who_was_replaced_does_not_put_the_other_out(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await room.listener.told()
    room.server.only_member.callback = "http://127.0.0.1:1/rpc/theirs"
    await room.sleep.let_pass()
    await room.listener.told()
    await me.leave()
    assert "Unregister" not in room.server.methods()


async def test_leaving_unregisters_and_closes_the_seat(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await me.leave()
    assert room.server.calls[-1] == ("Unregister", {"id": "alice-1"})
    assert me.state is LEFT
    assert (await room.server.post(room.server.only_member, ring_message(2)))[0] == 410


async def test_leaving_twice_or_before_entering_does_nothing(room: Rig) -> None:
    me = room.participant()
    await me.leave()
    await me.enter("Alice")
    await me.leave()
    await me.leave()
    assert room.server.methods() == ["Register", "Unregister"]


async def test_leaving_while_the_server_is_away_ends_all_the_same(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    room.server.down = 502
    await me.leave()
    assert me.state is LEFT


async def test_who_has_left_can_come_in_again(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await me.leave()
    room.server.members.clear()
    await me.enter("Bob")
    assert (me.name, room.listener.states) == ("Bob", [ONLINE, LEFT, ONLINE])


async def test_an_entry_that_is_broken_off_leaves_no_open_seat(room: Rig) -> None:
    hanging = asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await asyncio.Event().wait()

    room.server.before_register = hang
    entering = asyncio.create_task(room.participant().enter("Alice"))
    await hanging.wait()
    entering.cancel()
    await asyncio.wait([entering])
    ((_, params),) = room.server.calls
    left_behind = Member("", "Alice", "", f"http://127.0.0.1{params['callback']}", b"k")
    assert (await room.server.post(left_behind, ring_message(2)))[0] == 410


async def test_enter_with_clocks_apart_says_so(room: Rig) -> None:
    room.server.clock_ahead = 400
    with pytest.raises(CallRefused, match="clock is 7 minutes behind the chat server's"):
        await room.participant().enter("Alice")


async def test_message_refused_for_the_clock_is_told_once_while_online(room: Rig) -> None:
    await room.participant().enter("Alice")
    await room.listener.told()
    for clock_ahead, state in ((-4000, ONLINE), (-4000, None), (0, None)):
        room.server.clock_ahead = clock_ahead
        status, _ = await room.server.post(room.server.only_member, ring_message(2))
        assert status == (200 if clock_ahead == 0 else 401)
        await room.sleep.let_pass()
        await room.sleep.begun()
        if state is not None:
            assert "clock is 67 minutes ahead of the chat server's" in (await room.listener.told())[1]
    assert room.listener.states == [ONLINE, ONLINE]
    assert room.listener.texts == ["hi"]
