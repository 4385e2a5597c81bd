"""What every engine of the log promises (`server/message_log/base.py`), run against each of them.

A new engine is one more line in `ENGINES`: how to open an empty log with this epoch in an empty directory; and in
`RESTORED`, how to make one that was restored from a backup.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from server.chat.members import NAME_HELD_SECONDS, Member
from server.chat.store_clock import DAY, Mark
from server.message_log.base import Appended, Conflict, Forgotten, MessageIdReused, MessageLog, SenderAway
from server.message_log.entry import Draft, Entry
from server.message_log.memory import MemoryLog
from server.message_log.numbering import Gap
from server.message_log.sqlite import SqliteLog
from server.message_log.store_file import back_up

NOW = 1_800_000_000.0
EPOCH = "5f3a9c01d2e4b687"
RESTORED_AT = NOW + 60.5
GAP = Gap(10, int(RESTORED_AT * 2**20))
PATIENCE_SECONDS = 60.0

Engine = Callable[[Path], Awaitable[MessageLog]]


async def open_memory(_directory: Path) -> MessageLog:
    return MemoryLog(EPOCH)


async def open_sqlite(directory: Path) -> MessageLog:
    return await SqliteLog.open(directory / "chat.db", EPOCH, NOW)


ENGINES: dict[str, Engine] = {"memory": open_memory, "sqlite": open_sqlite}


@pytest.fixture(params=ENGINES.values(), ids=list(ENGINES))
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MessageLog]:
    log = await request.param(tmp_path)
    yield log
    await log.close()


async def restored_memory(_directory: Path) -> MessageLog:
    """Leave the gap that a restore leaves; a log in memory has no backup."""
    log = MemoryLog(EPOCH)
    await fill_with_marks(log, 10)
    log.newest, log.gaps = GAP.up_to, [GAP]
    return log


async def restored_sqlite(directory: Path) -> MessageLog:
    before = await SqliteLog.open(directory / "chat.db", "before", NOW)
    await fill_with_marks(before, 10)
    await asyncio.to_thread(back_up, directory / "chat.db", directory / "backup.db")
    await before.append(said("after the backup"))
    await before.close()
    return await SqliteLog.open(directory / "backup.db", EPOCH, RESTORED_AT)


RESTORED: dict[str, Engine] = {"memory": restored_memory, "sqlite": restored_sqlite}


@pytest.fixture(params=RESTORED.values(), ids=list(RESTORED))
async def restored(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MessageLog]:
    """Ten entries, and then the gap."""
    log = await request.param(tmp_path)
    yield log
    await log.close()


def make_member(member_id: str, name: str, *, token: bytes | None = None) -> Member:
    return Member(
        id=member_id,
        name=name,
        token_hash=b"token of " + member_id.encode() if token is None else token,
        secret=bytes(range(32)),
        caller="192.168.1.7",
        callback="http://192.168.1.7:8080/rpc",
        max_batch=8,
        accepts=frozenset({"ReceiveTyping"}),
        present=True,
        changed_at=NOW,
    )


ALICE = make_member("a1", "Alice")
BOB = make_member("b2", "Bob")


def said(text: str, sender: str = "a1", at: float = NOW, client_msg_id: str | None = None) -> Draft:
    return Draft(sender_id=sender, sender_name=sender.upper(), text=text, at=at, client_msg_id=client_msg_id)


def notice(member: Member, event: str, at: float) -> Draft:
    text = f"{member.name} told by {event}"
    return Draft(sender_id=member.id, sender_name=member.name, text=text, at=at, event=event)


async def join(log: MessageLog, member: Member, at: float = NOW) -> Appended:
    return await log.append(notice(member, "join", at), msgspec.structs.replace(member, changed_at=at))


async def leave(log: MessageLog, member: Member, at: float = NOW, held_until: float = 0.0) -> Appended:
    gone = msgspec.structs.replace(member, present=False, changed_at=at, name_held_until=held_until)
    return await log.append(notice(gone, "leave", at), gone)


async def fill(log: MessageLog, count: int, at: float = NOW) -> None:
    for number in range(count):
        await log.append(said(f"text {number}", at=at + number))


async def fill_with_marks(log: MessageLog, count: int, start: float = NOW) -> None:
    """Store messages of which the first is as old as `start` on the store clock, and each one second younger."""
    for number in range(count):
        await log.append(said(f"text {number}"))
        await log.mark(start + number, wall=0.0)


async def member_of(log: MessageLog, member_id: str) -> Member | None:
    return {member.id: member for member, _ in await log.members()}.get(member_id)


async def is_present(log: MessageLog, member_id: str) -> bool:
    member = await member_of(log, member_id)
    return member is not None and member.present


async def cursor_of(log: MessageLog, member_id: str) -> int:
    return {member.id: cursor for member, cursor in await log.members()}[member_id]


def seqs(entries: Sequence[Entry]) -> list[int]:
    return [entry.seq for entry in entries]


async def everything(log: MessageLog) -> list[tuple[int, str]]:
    return [(entry.seq, entry.message.text) for entry in await log.read_after(0, 1000)]


# append


async def test_an_empty_log_has_nothing(log: MessageLog) -> None:
    assert (log.newest, log.oldest) == (0, 1)
    assert not await log.read_after(0, 10)
    assert not await log.read_before(10, 10)
    assert not await log.members()


async def test_a_log_has_an_epoch(log: MessageLog) -> None:
    assert log.epoch
    assert log.epoch.isascii()
    assert " " not in log.epoch


async def test_seq_begins_at_one_and_rises_by_one_for_messages_and_notices_alike(log: MessageLog) -> None:
    appended = [await join(log, ALICE), await log.append(said("hi")), await join(log, BOB), await leave(log, ALICE)]
    assert [one.entry.seq for one in appended] == [1, 2, 3, 4]
    assert (log.newest, log.oldest) == (4, 1)


async def test_what_is_read_is_what_was_appended(log: MessageLog) -> None:
    text = "žluť 🐎 \u0000 \u2028 \u202e\n"
    appended = [
        await log.append(said(text, at=NOW + 0.25, client_msg_id="m-1")),
        await join(log, BOB),
    ]
    assert list(await log.read_after(0, 10)) == [one.entry for one in appended]
    message = appended[0].entry.message
    assert (message.text, message.sender_id, message.sender_name, message.event) == (text, "a1", "A1", None)
    assert (message.sent_at, message.client_msg_id) == ("2027-01-15T08:00:00.250Z", "m-1")


async def test_an_entry_is_there_for_every_reader_when_append_returns(log: MessageLog) -> None:
    entry = (await log.append(said("hi"))).entry
    assert log.newest == entry.seq
    assert await log.read_after(0, 1) == await log.read_before(2, 1) == [entry]


async def test_concurrent_appends_each_get_a_place_of_their_own(log: MessageLog) -> None:
    appended = await asyncio.gather(*(log.append(said(f"text {number}")) for number in range(100)))
    assert sorted(one.entry.seq for one in appended) == list(range(1, 101))
    assert await everything(log) == sorted((one.entry.seq, one.entry.message.text) for one in appended)


async def test_calls_return_in_the_order_in_which_they_were_made(log: MessageLog) -> None:
    returned: list[int] = []

    async def say(number: int) -> None:
        returned.append((await log.append(said(f"text {number}"))).entry.seq)

    await asyncio.gather(*map(say, range(50)))
    assert returned == list(range(1, 51))
    assert await everything(log) == [(seq, f"text {seq - 1}") for seq in returned]


async def test_nobody_speaks_behind_its_own_leave(log: MessageLog) -> None:
    await join(log, ALICE)
    outcomes = await asyncio.gather(leave(log, ALICE), log.append(said("behind")), return_exceptions=True)
    assert isinstance(outcomes[1], SenderAway)
    assert [text for _, text in await everything(log)] == ["Alice told by join", "Alice told by leave"]
    await join(log, ALICE)
    assert (await log.append(said("back"))).entry.seq == 4


async def test_what_was_said_before_the_leave_may_be_repeated_after_it(log: MessageLog) -> None:
    await join(log, ALICE)
    await log.append(said("hi", client_msg_id="m-1"))
    await leave(log, ALICE)
    assert (await log.append(said("hi", client_msg_id="m-1"))).repeated


async def test_what_many_say_at_once_is_judged_one_by_one(log: MessageLog) -> None:
    await join(log, ALICE)
    await join(log, BOB)
    await log.append(said("before", client_msg_id="before"))
    await log.append(said("of Bob", "b2", client_msg_id="m-0"))
    await leave(log, BOB)
    asked = [said("before", client_msg_id="before"), said("of Bob", "b2", client_msg_id="m-0")]
    for number in range(150):  # enough for statements of every size
        asked += [
            said(f"new {number}", client_msg_id=f"m-{number}"),
            said(f"new {number}", client_msg_id=f"m-{number}"),
            said("another", client_msg_id=f"m-{number}"),
            said("away", "b2"),
            said(f"away {number}", "b2", client_msg_id=f"m-{number + 1}"),
            said(f"plain {number}", "c3"),
        ]
    outcomes = await asyncio.gather(*map(log.append, asked), return_exceptions=True)
    told = [(one.entry.seq, one.repeated) if isinstance(one, Appended) else type(one) for one in outcomes]
    expected: list[object] = [(3, True), (4, True)]
    for seq in range(6, 306, 2):
        expected += [(seq, False), (seq, True), MessageIdReused, SenderAway, SenderAway, (seq + 1, False)]
    assert told == expected
    news = [text for number in range(150) for text in (f"new {number}", f"plain {number}")]
    assert [text for _, text in (await everything(log))[5:]] == news


# client_msg_id


async def test_the_same_client_msg_id_and_text_are_stored_once(log: MessageLog) -> None:
    first = await log.append(said("hi", client_msg_id="m-1"))
    await log.append(said("between"))
    again = await log.append(said("hi", at=NOW + 60, client_msg_id="m-1"))
    assert (first.repeated, again.repeated) == (False, True)
    assert again.entry == first.entry
    assert await everything(log) == [(1, "hi"), (2, "between")]


async def test_the_same_client_msg_id_with_another_text_is_refused(log: MessageLog) -> None:
    await log.append(said("hi", client_msg_id="m-1"))
    await log.append(said("between", client_msg_id="m-2"))
    for _ in range(2):
        with pytest.raises(MessageIdReused) as caught:
            await log.append(said("ho", client_msg_id="m-1"))
        assert caught.value.seq == 1
    assert await everything(log) == [(1, "hi"), (2, "between")]
    assert (await log.append(said("next"))).entry.seq == 3


async def test_a_client_msg_id_belongs_to_its_sender(log: MessageLog) -> None:
    await log.append(said("hi", "a1", client_msg_id="m-1"))
    other = await log.append(said("ho", "b2", client_msg_id="m-1"))
    assert (other.entry.seq, other.repeated) == (2, False)


async def test_client_msg_ids_are_told_apart_by_case(log: MessageLog) -> None:
    await log.append(said("hi", client_msg_id="m-1"))
    assert (await log.append(said("ho", client_msg_id="M-1"))).entry.seq == 2


async def test_messages_without_client_msg_id_are_all_stored(log: MessageLog) -> None:
    await log.append(said("hi"))
    assert (await log.append(said("hi"))).entry.seq == 2


async def test_concurrent_repeats_are_stored_once(log: MessageLog) -> None:
    appended = await asyncio.gather(*(log.append(said("hi", client_msg_id="m-1")) for _ in range(20)))
    assert {one.entry.seq for one in appended} == {1}
    assert sorted(one.repeated for one in appended) == [False] + [True] * 19
    assert log.newest == 1


async def test_a_client_msg_id_is_known_for_as_long_as_its_message_is_kept(log: MessageLog) -> None:
    await log.append(said("old", at=NOW, client_msg_id="m-1"))
    await log.mark(NOW, NOW)
    await log.append(said("kept", at=NOW + 1, client_msg_id="m-2"))
    await log.forget_before(NOW + 1)
    assert (await log.append(said("kept", at=NOW + 2, client_msg_id="m-2"))).entry.seq == 2
    new = await log.append(said("new", at=NOW + 2, client_msg_id="m-1"))
    assert (new.entry.seq, new.repeated) == (3, False)
    assert (await log.append(said("new", at=NOW + 3, client_msg_id="m-1"))).repeated


# Members: stored with their notice, or not at all


async def test_a_member_is_stored_with_its_notice_and_its_cursor_is_there(log: MessageLog) -> None:
    await log.append(said("before"))
    entry = (await join(log, ALICE)).entry
    assert entry.message.event == "join"
    assert list(await log.members()) == [(ALICE, 2)]


async def test_one_who_leaves_is_kept_with_its_cursor(log: MessageLog) -> None:
    await join(log, ALICE)
    await log.save_cursors({"a1": 1})
    await leave(log, ALICE, at=NOW + 5)
    [(member, cursor)] = await log.members()
    assert (member.id, member.present, member.changed_at, cursor) == ("a1", False, NOW + 5, 1)


async def test_one_who_comes_back_keeps_its_cursor(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE)
    await log.append(said("missed", "b2"))
    await join(log, ALICE)
    assert await cursor_of(log, "a1") == 1
    assert log.newest == 4


async def test_a_member_comes_back_as_it_was_stored(log: MessageLog) -> None:
    held = msgspec.structs.replace(
        ALICE, present=False, name_held_until=NOW + 600.5, callback=None, accepts=frozenset(), keeps_name=True
    )
    await join(log, BOB)
    await log.append(notice(held, "leave", NOW), held)
    assert {member.id: member for member, _ in await log.members()} == {"a1": held, "b2": BOB}


async def test_an_id_of_another_token_is_taken_and_nothing_is_stored(log: MessageLog) -> None:
    await join(log, ALICE)
    with pytest.raises(Conflict) as caught:
        await join(log, make_member("a1", "Mallory", token=b"another"))
    assert caught.value.field == "id"
    assert list(await log.members()) == [(ALICE, 1)]
    assert (log.newest, seqs(await log.read_after(0, 9))) == (1, [1])


async def test_the_id_of_one_who_is_away_is_taken_too(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE)
    with pytest.raises(Conflict, match="id is taken"):
        await join(log, make_member("a1", "Mallory", token=b"another"))


@pytest.mark.parametrize("name", ["Alice", "aLICE", "Ａlice", "AIice", "\u0430lice"])
async def test_a_name_of_somebody_present_is_taken_and_nothing_is_stored(log: MessageLog, name: str) -> None:
    await join(log, ALICE)
    with pytest.raises(Conflict) as caught:
        await join(log, make_member("c3", name))
    assert caught.value.field == "name"
    assert list(await log.members()) == [(ALICE, 1)]
    assert log.newest == 1


async def test_a_name_that_is_the_same_as_two_others_is_taken_whoever_asks(log: MessageLog) -> None:
    await join(log, make_member("i1", "Ian"))
    await join(log, make_member("l2", "Lan"))
    await join(log, ALICE)
    for member_id in ("i1", "l2", "a1"):
        with pytest.raises(Conflict, match="name is taken"):
            await log.put_member(make_member(member_id, "lan"))


async def test_after_a_refusal_the_next_message_has_the_next_seq(log: MessageLog) -> None:
    await join(log, ALICE)
    with pytest.raises(Conflict):
        await join(log, make_member("c3", "Alice"))
    assert (await log.append(said("hi"))).entry.seq == 2


async def test_the_name_of_one_who_left_is_free(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE)
    await join(log, make_member("c3", "Alice"))
    assert await member_of(log, "c3") is not None


async def test_a_rename_is_stored_with_its_notice_and_frees_the_old_name(log: MessageLog) -> None:
    await join(log, ALICE)
    renamed = msgspec.structs.replace(ALICE, name="Alicia")
    await log.append(notice(renamed, "rename", NOW), renamed)
    await join(log, make_member("c3", "Alice"))
    assert await member_of(log, "a1") == renamed
    assert await cursor_of(log, "a1") == 1


async def test_a_rename_to_a_taken_name_leaves_the_old_one(log: MessageLog) -> None:
    await join(log, ALICE)
    await join(log, BOB)
    renamed = msgspec.structs.replace(ALICE, name="bob")
    with pytest.raises(Conflict, match="name is taken"):
        await log.append(notice(renamed, "rename", NOW), renamed)
    assert await member_of(log, "a1") == ALICE
    assert log.newest == 2


async def test_one_may_change_the_case_of_its_own_name(log: MessageLog) -> None:
    await join(log, ALICE)
    renamed = msgspec.structs.replace(ALICE, name="ALICE")
    await log.append(notice(renamed, "rename", NOW), renamed)
    assert await member_of(log, "a1") == renamed


async def test_the_name_of_an_evicted_one_is_held_for_it(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE, held_until=NOW + NAME_HELD_SECONDS)
    with pytest.raises(Conflict, match="name is taken"):
        await join(log, make_member("c3", "alice"), at=NOW + NAME_HELD_SECONDS - 1)
    await join(log, ALICE, at=NOW + NAME_HELD_SECONDS - 1)
    assert await is_present(log, "a1")


async def test_the_name_of_an_evicted_one_is_free_when_the_hold_is_over(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE, held_until=NOW + NAME_HELD_SECONDS)
    newcomer = make_member("c3", "alice")
    await join(log, newcomer, at=NOW + NAME_HELD_SECONDS)
    assert await is_present(log, "c3")


@pytest.mark.parametrize("name", ["Alice", "aLICE", "AIice"])
async def test_append_held_name_is_refused_with_its_end(log: MessageLog, name: str) -> None:
    await join(log, ALICE)
    await leave(log, ALICE, held_until=NOW + 2_592_000.0)
    other = msgspec.structs.replace(make_member("c3", name), changed_at=NOW + 2_591_999.0)
    renamed = msgspec.structs.replace(BOB, name=name, changed_at=NOW + 2_591_999.0)
    await join(log, BOB)
    for refused in (log.append(notice(other, "join", NOW), other), log.put_member(other), log.put_member(renamed)):
        with pytest.raises(Conflict) as taken:
            await refused
        assert (taken.value.field, taken.value.held_until) == ("name", NOW + 2_592_000.0)
    assert log.newest == 3


async def test_append_name_of_present_member_is_refused_without_an_end(log: MessageLog) -> None:
    await join(log, make_member("l2", "Lan"))
    await leave(log, make_member("l2", "Lan"), held_until=NOW + 600)
    await join(log, make_member("i1", "Ian"))
    with pytest.raises(Conflict) as taken:
        await log.put_member(make_member("c3", "lan"))  # is spelt as the name that is held, and looks like the other
    assert taken.value.held_until is None


async def test_put_member_ends_a_hold(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE, held_until=NOW + 600)
    await log.put_member(msgspec.structs.replace(ALICE, present=False, name_held_until=0.0))
    await join(log, make_member("c3", "Alice"))
    assert await is_present(log, "c3")


async def test_one_whose_hold_is_over_may_find_its_name_taken(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE, held_until=NOW + NAME_HELD_SECONDS)
    await join(log, make_member("c3", "Alice"), at=NOW + NAME_HELD_SECONDS)
    with pytest.raises(Conflict, match="name is taken"):
        await join(log, ALICE, at=NOW + NAME_HELD_SECONDS + 1)


async def test_one_who_leaves_may_do_so_whoever_has_its_name(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE)
    await join(log, make_member("c3", "Alice"))
    await leave(log, ALICE)
    assert log.newest == 4


async def test_of_concurrent_joins_under_one_name_one_is_stored(log: MessageLog) -> None:
    newcomers = [make_member(f"c{number}", "Carol") for number in range(10)]
    outcomes = await asyncio.gather(*(join(log, member) for member in newcomers), return_exceptions=True)
    assert sum(isinstance(outcome, Appended) for outcome in outcomes) == 1
    assert [outcome.field for outcome in outcomes if isinstance(outcome, Conflict)] == ["name"] * 9
    assert len(await log.members()) == log.newest == 1


async def test_a_member_that_changes_without_a_notice_is_stored_and_keeps_its_cursor(log: MessageLog) -> None:
    await join(log, ALICE)
    moved = msgspec.structs.replace(ALICE, callback=None, max_batch=1, secret=bytes(24))
    await log.put_member(moved)
    assert list(await log.members()) == [(moved, 1)]
    assert log.newest == 1


async def test_a_member_is_not_changed_by_whoever_has_another_token(log: MessageLog) -> None:
    await join(log, ALICE)
    with pytest.raises(Conflict) as taken:
        await log.put_member(msgspec.structs.replace(ALICE, token_hash=b"another"))
    assert taken.value.field == "id"
    assert list(await log.members()) == [(ALICE, 1)]


async def test_a_cursor_is_set_together_with_the_member(log: MessageLog) -> None:
    await log.append(said("before", "b2"))
    await log.append(notice(ALICE, "join", NOW), ALICE, cursor=0)
    assert await cursor_of(log, "a1") == 0
    await log.put_member(ALICE, cursor=2)
    assert await cursor_of(log, "a1") == 2


# Cursors


async def test_cursors_are_kept_in_groups_and_those_of_strangers_passed_over(log: MessageLog) -> None:
    await join(log, ALICE)
    await join(log, BOB)
    await fill(log, 3)
    await log.save_cursors({"a1": 5, "b2": 4, "stranger": 3})
    assert {member.id: cursor for member, cursor in await log.members()} == {"a1": 5, "b2": 4}


async def test_the_cursor_of_a_stranger_is_not_kept_for_it(log: MessageLog) -> None:
    await fill(log, 3)
    await log.save_cursors({"a1": 1})
    await join(log, ALICE)
    assert await cursor_of(log, "a1") == 4


async def test_only_the_cursors_that_are_given_move(log: MessageLog) -> None:
    await join(log, ALICE)
    await join(log, BOB)
    await log.save_cursors({"a1": 2})
    await log.save_cursors({})
    assert await cursor_of(log, "b2") == 2


async def test_a_cursor_may_go_back(log: MessageLog) -> None:
    await fill(log, 3)
    await join(log, ALICE)
    await log.save_cursors({"a1": 1})
    assert await cursor_of(log, "a1") == 1


# Reading


@pytest.mark.parametrize(
    ("seq", "limit", "found"),
    [
        (0, 4, [1, 2, 3, 4]),
        (4, 4, [5, 6, 7, 8]),
        (8, 4, [9, 10]),
        (9, 1, [10]),
        (10, 4, []),
        (99, 4, []),
        (2**53, 4, []),
        (0, 300, list(range(1, 11))),
    ],
)
async def test_reading_forward_gives_the_oldest_above(log: MessageLog, seq: int, limit: int, found: list[int]) -> None:
    await fill(log, 10)
    assert seqs(await log.read_after(seq, limit)) == found
    recent = log.recent_after(seq, limit)
    assert recent is None or seqs(recent) == found


@pytest.mark.parametrize(
    ("seq", "limit", "found"),
    [
        (11, 4, [7, 8, 9, 10]),
        (7, 4, [3, 4, 5, 6]),
        (3, 4, [1, 2]),
        (2, 1, [1]),
        (1, 4, []),
        (0, 4, []),
        (99, 2, [9, 10]),
        (2**53, 2, [9, 10]),
        (11, 300, list(range(1, 11))),
    ],
)
async def test_reading_backward_gives_the_newest_below_oldest_first(
    log: MessageLog, seq: int, limit: int, found: list[int]
) -> None:
    await fill(log, 10)
    assert seqs(await log.read_before(seq, limit)) == found


async def test_a_page_stays_as_it_is_when_the_log_grows(log: MessageLog) -> None:
    await fill(log, 3)
    page = await log.read_after(0, 10)
    await fill(log, 3)
    assert seqs(page) == [1, 2, 3]


@pytest.mark.parametrize(("after", "count"), [(0, 4), (1, 4), (2, 3), (6, 1), (7, 0), (99, 0)])
async def test_the_entries_of_one_sender_are_counted_from_a_place_on(log: MessageLog, after: int, count: int) -> None:
    for sender in ("b2", "a1", "a1", "b2", "a1", "b2", "a1"):
        await log.append(said("hi", sender))
    assert await log.count_own({"a1": after}) == {"a1": count}


async def test_notices_of_a_member_count_as_its_own(log: MessageLog) -> None:
    await join(log, ALICE)
    await log.append(said("hi", "a1"))
    assert await log.count_own({"a1": 0, "stranger": 0}) == {"a1": 2, "stranger": 0}


# Marks and forgetting


async def test_recent_marks_gives_those_of_the_last_day(log: MessageLog) -> None:
    assert not await log.recent_marks()
    await log.mark(NOW, NOW + 0.25)
    await log.append(said("one"))
    await log.mark(NOW + 1, NOW + DAY)
    await log.append(said("two"))
    await log.mark(NOW + DAY, 0.0)
    await log.mark(NOW + DAY, 5.5)
    expected = [Mark(NOW, NOW + 0.25, 0), Mark(NOW + 1, NOW + DAY, 1), Mark(NOW + DAY, 0.0, 2), Mark(NOW + DAY, 5.5, 2)]
    assert list(await log.recent_marks()) == expected
    await log.mark(NOW + DAY + 1, 7.0)
    assert list(await log.recent_marks()) == [*expected[1:], Mark(NOW + DAY + 1, 7.0, 2)]


async def test_forget_before_drops_entries_up_to_the_newest_old_mark(log: MessageLog) -> None:
    await fill_with_marks(log, 10)
    assert await log.forget_before(NOW + 4) == Forgotten(4, [])
    assert (log.oldest, log.newest) == (5, 10)
    assert seqs(await log.read_after(0, 99)) == list(range(5, 11))
    assert await log.forget_before(NOW + 4) == Forgotten(0, [])


@pytest.mark.parametrize("wall", [0.0, NOW - 10 * 365 * DAY, NOW + 365 * DAY])
async def test_forget_before_ignores_the_wall_time_of_entries(log: MessageLog, wall: float) -> None:
    await log.append(said("old", at=wall))
    await log.mark(NOW, wall)
    await log.append(said("young", at=wall))
    await log.mark(NOW + 5, wall)
    assert await log.forget_before(NOW + 5) == Forgotten(1, [])
    assert await everything(log) == [(2, "young")]


async def test_forget_before_without_an_old_mark_drops_nothing(log: MessageLog) -> None:
    await log.append(said("before any mark", at=0.0))
    assert await log.forget_before(NOW + 99) == Forgotten(0, [])
    await log.mark(NOW, 0.0)
    assert await log.forget_before(NOW) == Forgotten(0, [])
    assert await everything(log) == [(1, "before any mark")]


async def test_forget_before_keeps_the_last_old_mark(log: MessageLog) -> None:
    """The newest marks must stay even if all of them are old: the store clock goes on from there."""
    await fill_with_marks(log, 3)
    await log.forget_before(NOW + 99)
    assert [mark.seq for mark in await log.recent_marks()] == [3]


@pytest.mark.parametrize(
    ("seq", "forward", "backward"),
    [(0, [5, 6], []), (4, [5, 6], []), (5, [6, 7], []), (6, [7, 8], [5]), (10, [], [8, 9]), (11, [], [9, 10])],
)
async def test_pages_begin_at_the_oldest_that_is_kept(
    log: MessageLog, seq: int, forward: list[int], backward: list[int]
) -> None:
    await fill_with_marks(log, 10)
    await log.forget_before(NOW + 4)
    assert seqs(await log.read_after(seq, 2)) == forward
    assert seqs(await log.read_before(seq, 2)) == backward


async def test_a_log_that_forgot_everything_goes_on_counting(log: MessageLog) -> None:
    await fill_with_marks(log, 3)
    assert (await log.forget_before(NOW + 99)).entries == 3
    assert (log.oldest, log.newest) == (4, 3)
    assert not await log.read_after(0, 9)
    assert not await log.read_before(9, 9)
    assert (await log.append(said("hi"))).entry.seq == 4
    assert (log.oldest, log.newest) == (4, 4)
    assert seqs(await log.read_after(0, 9)) == seqs(await log.read_before(9, 9)) == [4]


async def test_what_is_forgotten_is_not_counted(log: MessageLog) -> None:
    await fill_with_marks(log, 10)
    await log.append(said("other", "b2", at=NOW))
    await log.forget_before(NOW + 4)
    assert await log.count_own({"a1": 0, "b2": 0}) == {"a1": 6, "b2": 1}
    assert await log.count_own({"a1": 7}) == {"a1": 3}


async def test_an_empty_log_forgets_nothing(log: MessageLog) -> None:
    await log.mark(NOW - 1, NOW - 1)
    assert await log.forget_before(NOW) == Forgotten(0, [])
    assert (log.oldest, log.newest) == (1, 0)


async def test_members_away_since_before_a_time_are_forgotten_and_named(log: MessageLog) -> None:
    for member in (ALICE, BOB, make_member("c3", "Carol")):
        await join(log, member)
    await leave(log, ALICE, at=NOW + 1)
    await leave(log, make_member("c3", "Carol"), at=NOW + 2)
    assert list((await log.forget_before(NOW + 2)).members) == ["a1"]
    assert sorted(member.id for member, _ in await log.members()) == ["b2", "c3"]


async def test_an_id_that_is_forgotten_may_be_anothers(log: MessageLog) -> None:
    await join(log, ALICE)
    await leave(log, ALICE)
    await log.forget_before(NOW + 99)
    other = make_member("a1", "Alice", token=b"another")
    seq = (await join(log, other)).entry.seq
    assert list(await log.members()) == [(other, seq)]


# After a restore


async def test_restored_log_goes_on_above_its_gap(restored: MessageLog) -> None:
    assert (restored.epoch, restored.oldest, restored.newest, restored.gaps) == (EPOCH, 1, GAP.up_to, [GAP])
    assert not await restored.read_after(10, 9)
    entry = (await restored.append(said("first"))).entry
    assert (entry.seq, restored.newest) == (GAP.up_to + 1, GAP.up_to + 1)
    assert b'"epoch":"%b"' % EPOCH.encode() in (await restored.read_after(0, 1))[0].request
    assert b'"epoch":"%b"' % EPOCH.encode() in entry.request


async def test_restored_log_is_read_across_its_gap(restored: MessageLog) -> None:
    await fill(restored, 3)
    new = [GAP.up_to + 1, GAP.up_to + 2, GAP.up_to + 3]
    for after, limit, found in [(8, 3, [9, 10, new[0]]), (10, 2, new[:2]), (5000, 9, new), (new[0], 9, new[1:])]:
        assert seqs(await restored.read_after(after, limit)) == found
        recent = restored.recent_after(after, limit)
        assert recent is None or seqs(recent) == found
    for before, limit, found in [(new[1], 3, [9, 10, new[0]]), (new[0], 2, [9, 10]), (5000, 2, [9, 10])]:
        assert seqs(await restored.read_before(before, limit)) == found


async def test_restored_log_counts_entries_and_not_numbers(restored: MessageLog) -> None:
    await fill(restored, 3)
    counts = {(0, restored.newest): 13, (4, restored.newest): 9, (10, restored.newest): 3, (5000, restored.newest): 3}
    counts |= {(0, 5000): 10, (8, GAP.up_to): 2, (20, 5000): 0, (restored.newest, 0): 0}
    assert {(after, up_to): restored.count(after, up_to) for after, up_to in counts} == counts
    assert await restored.count_own({"a1": 8}) == {"a1": 5}


async def test_restored_log_that_forgets_begins_at_the_lowest_that_is_kept(restored: MessageLog) -> None:
    await fill_with_marks(restored, 2, start=NOW + 200)
    await restored.forget_before(NOW + 5)
    assert restored.oldest == 6
    await restored.forget_before(NOW + 200)
    assert (restored.oldest, restored.newest) == (GAP.up_to + 1, GAP.up_to + 2)
    assert restored.count(3, restored.oldest - 1) == 7
    await restored.forget_before(NOW + 999)
    assert (restored.oldest, restored.newest) == (GAP.up_to + 3, GAP.up_to + 2)
    assert (await restored.append(said("next"))).entry.seq == GAP.up_to + 3


async def test_restored_log_knows_its_client_msg_ids_and_cursors(restored: MessageLog) -> None:
    joined = (await join(restored, BOB)).entry.seq
    await restored.put_member(make_member("c3", "Carol"))
    assert await cursor_of(restored, "b2") == await cursor_of(restored, "c3") == joined == GAP.up_to + 1
    first = await restored.append(said("hi", client_msg_id="m-1"))
    assert (await restored.append(said("hi", client_msg_id="m-1"))).entry == first.entry


# Waiting


async def test_one_who_waits_for_what_is_there_does_not_wait(log: MessageLog) -> None:
    await fill(log, 3)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await log.wait_beyond(2)


async def test_all_who_wait_return_when_the_log_grows_beyond(log: MessageLog) -> None:
    await fill(log, 3)
    waiting = [asyncio.create_task(log.wait_beyond(3)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    await log.append(said("hi"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*waiting)


async def test_one_who_waits_for_more_waits_on(log: MessageLog) -> None:
    waiting = asyncio.create_task(log.wait_beyond(1))
    await log.append(said("one"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await log.append(said("two"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await waiting


async def test_what_was_refused_or_repeated_wakes_nobody(log: MessageLog) -> None:
    await log.append(said("hi", client_msg_id="m-1"))
    await join(log, ALICE)
    waiting = asyncio.create_task(log.wait_beyond(2))
    await log.append(said("hi", client_msg_id="m-1"))
    with pytest.raises(Conflict):
        await join(log, make_member("c3", "Alice"))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_one_who_stops_waiting_disturbs_nobody(log: MessageLog) -> None:
    waiting = asyncio.create_task(log.wait_beyond(0))
    await asyncio.sleep(0)
    waiting.cancel()
    await log.append(said("hi"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await log.wait_beyond(0)


def test_a_log_tells_its_state_in_one_line() -> None:
    assert repr(MemoryLog("e")) == "<MemoryLog e 1..0 <Members present=0 known=0>>"
