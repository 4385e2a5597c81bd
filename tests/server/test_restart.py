"""What a restart changes for those in the room: nothing. One server after the other runs on the same file."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from protocol.errors import ErrorCode
from server.app import ROOM
from server.chat.members import SILENT_SECONDS
from server.message_log.store_file import back_up
from tests.fakes import START, Recipient, RunningServer, Seat, answer_status, local_settings, refusal, take


class House:
    """A store, and one server after the other on it."""

    def __init__(self, session: aiohttp.ClientSession, path: Path) -> None:
        self.path = path
        self.start = 0.0  # seconds that the clock of the next server is ahead
        self._session = session

    @contextlib.asynccontextmanager
    async def server(self) -> AsyncIterator[RunningServer]:
        server = RunningServer(self._session, local_settings(store=f"sqlite:{self.path}"))
        server.clock.advance(self.start)
        async with server:
            yield server

    async def change(self, statement: str) -> None:
        """Do something to the store while no server runs."""
        await asyncio.to_thread(self._change, statement)

    def _change(self, statement: str) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.execute(statement)
            db.commit()


@pytest.fixture
def house(session: aiohttp.ClientSession, tmp_path: Path) -> House:
    return House(session, tmp_path / "chat.db")


def at(server: RunningServer, seat: Seat) -> Seat:
    """Give a seat as it is held at the server that came after."""
    return Seat(server, seat.result)


async def texts(seat: Seat) -> list[str]:
    return [message["text"] for message in (await seat.call("GetHistory"))["messages"]]


async def test_everybody_is_still_here_and_is_rung_and_nothing_comes_twice(house: House, recipient: Recipient) -> None:
    async with house.server() as server:
        bob, alice = await server.register("Bob", recipient), await server.register("Alice")
        await recipient.has("Alice joined the chat")
    async with house.server() as server:
        members = (await at(server, bob).call("ListMembers"))["members"]
        assert [(member["name"], member["behind"]) for member in members] == [("Alice", None), ("Bob", 0)]
        assert await at(server, alice).say("Still here?") == 3
        await recipient.has("Still here?")
    assert recipient.texts == ["Alice joined the chat", "Still here?"]


async def test_what_could_not_be_delivered_before_it_is_delivered_after_it(house: House, recipient: Recipient) -> None:
    async with house.server() as server:
        await server.register("Bob", recipient, max_batch=8)
        alice = await server.register("Alice")
        await recipient.has("Alice joined the chat")
        recipient.behaviour = answer_status(500)
        await alice.say("one")
        await server.clock.someone_waits(0.2, 0.3)
        await alice.say("two")
    recipient.behaviour = take
    recipient.posts.clear()
    async with house.server():
        await recipient.has("one", "two")
    assert len(recipient.posts) == 1


async def test_one_who_was_away_meanwhile_comes_back_with_its_token(house: House, recipient: Recipient) -> None:
    async with house.server() as server:
        bob, alice = await server.register("Bob", recipient), await server.register("Alice")
        await recipient.has("Alice joined the chat")
        await bob.call("Unregister", id=bob.id)
    async with house.server() as server:
        alice = at(server, alice)
        await alice.say("missed")
        result = await server.call("Register", bob.token, name="Bob", callback=recipient.callback)
        assert (result["resumed"], result["id"], result["secret"]) == (True, bob.id, recipient.secret)
        await recipient.has("missed")


async def test_tokens_ids_names_and_message_ids_are_what_they_were(house: House) -> None:
    async with house.server() as server:
        alice = await server.register("Alice", id="alice")
        seq = await alice.say("hi", client_msg_id="m-1")
    async with house.server() as server:
        taken = [
            await refusal(server.register("Mallory", id="alice")),
            await refusal(server.register("ALICE")),
        ]
        assert [(error.code, error.data["field"]) for error in taken] == [
            (ErrorCode.TAKEN, "id"),
            (ErrorCode.TAKEN, "name"),
        ]
        alice = at(server, alice)
        assert await alice.say("hi", client_msg_id="m-1") == seq
        assert (await refusal(alice.say("ho", client_msg_id="m-1"))).code == ErrorCode.INVALID_PARAMS


async def test_the_epoch_is_that_of_the_store_and_who_is_silent_has_its_ten_minutes_again(house: House) -> None:
    async with house.server() as server:
        alice = await server.register("Alice")
        server.clock.advance(SILENT_SECONDS - 1)
    async with house.server() as server:
        server.clock.advance(SILENT_SECONDS - 1)
        assert (await at(server, alice).call("Ping"))["epoch"] == alice.result["epoch"]


async def test_a_restored_copy_is_another_log_with_the_same_members(
    house: House, recipient: Recipient, tmp_path: Path
) -> None:
    async with house.server() as server:
        await server.register("Bob", recipient)
        alice = await server.register("Alice")
        await asyncio.to_thread(back_up, house.path, tmp_path / "copy.db")
        assert await alice.say("before") == 3
        await recipient.has("before")
    house.path = tmp_path / "copy.db"
    async with house.server() as server:
        alice = at(server, alice)
        assert await alice.say("other words") > 2**20
        await recipient.has("other words")
        assert await texts(alice) == ["Bob joined the chat", "Alice joined the chat", "other words"]
        epoch = (await alice.call("Ping"))["epoch"]
    assert epoch != alice.result["epoch"]
    assert recipient.posts[-1].headers["webhook-id"].startswith(f"{epoch}-")
    assert recipient.posts[-1].body["params"]["epoch"] == epoch


async def test_restored_twice_each_message_has_a_seq_never_used_before(
    house: House, recipient: Recipient, tmp_path: Path
) -> None:
    """A recipient that ignores every `seq` up to its last one, and knows no epoch, loses nothing."""
    backup = tmp_path / "backup.db"
    async with house.server() as server:
        await server.register("Bob", recipient)
        alice = await server.register("Alice")
        await asyncio.to_thread(back_up, house.path, backup)
        await alice.say("after the backup")
        await recipient.has("after the backup")
    for number in range(2):
        await asyncio.to_thread(shutil.copy, backup, tmp_path / f"restored {number}.db")
        house.path, house.start = tmp_path / f"restored {number}.db", number + 1.0
        async with house.server() as server:
            await at(server, alice).say(f"after restore {number}")
            await recipient.has(f"after restore {number}")
    taken: dict[int, str] = {}
    for message in recipient.messages:
        if message["seq"] > max(taken, default=0):
            taken[message["seq"]] = message["text"]
    assert list(taken.values())[-3:] == ["after the backup", "after restore 0", "after restore 1"]


async def test_restored_copy_is_told_with_its_last_message(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.server() as server:
        await server.register("Alice")
        await asyncio.to_thread(back_up, house.path, tmp_path / "copy.db")
    house.path = tmp_path / "copy.db"
    caplog.set_level("INFO")
    async with house.server():
        assert "restored from a backup, which ends with message 1; the next message is 1887436800" in caplog.text
        assert "Resuming after message" not in caplog.text


async def test_restored_copy_counts_messages_and_not_numbers(
    house: House, recipient: Recipient, tmp_path: Path
) -> None:
    async with house.server() as server:
        bob, alice = await server.register("Bob", recipient, id="bob"), await server.register("Alice")
        await recipient.has("Alice joined the chat")
        recipient.behaviour = answer_status(503)
        await alice.say("before 1")
        await alice.say("before 2")
        await asyncio.to_thread(back_up, house.path, tmp_path / "copy.db")
    house.path = tmp_path / "copy.db"
    async with house.server() as server:
        alice, bob = at(server, alice), at(server, bob)
        seq = await alice.say("after")
        members = (await alice.call("ListMembers"))["members"]
        assert {member["id"]: member["behind"] for member in members}["bob"] == 4  # the copy has the cursor of the join
        page = await alice.call("GetHistory", limit=1)
        assert (page["messages"][0]["seq"], page["earlier"], page["oldest"]) == (seq, 4, 1)
        assert (await alice.call("GetHistory", after=3))["earlier"] == 3
        assert (await alice.call("GetHistory", after=seq))["earlier"] == 5
        assert (await alice.call("GetHistory", before=1))["earlier"] == 0
        log = server.server.app[ROOM].log
        await log.mark(0.0, wall=0.0)
        await log.forget_before(1.0)
        assert (await alice.call("Register", name="Alice", after=3))["lost"] == 2
        assert (await alice.call("Register", name="Alice", after=5000))["lost"] == 1
        assert (await alice.call("Register", name="Alice", after=seq))["lost"] == 0
        assert (await refusal(alice.call("Register", name="Alice", after=seq + 1))).code == ErrorCode.INVALID_PARAMS


async def test_one_whose_callback_is_no_longer_accepted_stays_while_it_calls(
    house: House, recipient: Recipient
) -> None:
    async with house.server() as server:
        bob, alice = await server.register("Bob", recipient, id="bob"), await server.register("Alice")
        await recipient.has("Alice joined the chat")
    await house.change("UPDATE members SET callback = 'gopher://example' WHERE id = 'bob'")
    async with house.server() as server:
        await at(server, alice).say("hello?")
        server.clock.advance(SILENT_SECONDS - 1)
        assert (await at(server, bob).call("ListMembers"))["member_count"] == 2
        again = {"name": "Bob", "callback": recipient.callback, "secret": recipient.secret}
        assert (await server.call("Register", bob.token, **again))["resumed"]
        await recipient.has("hello?")


async def test_one_whose_callback_is_no_longer_accepted_leaves_when_it_does_not_call(
    house: House, recipient: Recipient
) -> None:
    async with house.server() as server:
        await server.register("Bob", recipient)
    await house.change("UPDATE members SET callback = 'gopher://example'")
    async with house.server() as server:
        await server.register("Carol", recipient)
        server.clock.advance(SILENT_SECONDS + 1)
        await recipient.has("Bob left the chat")


async def test_what_cannot_be_read_is_an_internal_error_and_told_in_one_line(house: House) -> None:
    async with house.server() as server:
        alice = await server.register("Alice")
    await house.change(
        "WITH RECURSIVE more(seq) AS (VALUES (2) UNION ALL SELECT seq + 1 FROM more WHERE seq < 5000) "
        f"INSERT INTO messages SELECT seq, 'x', 'X', 'old', NULL, NULL, {START} FROM more"
    )
    async with house.server() as server:
        alice = at(server, alice)
        await house.change("ALTER TABLE messages RENAME TO elsewhere")
        assert (await refusal(alice.call("GetHistory", before=3))).code == ErrorCode.INTERNAL_ERROR
        assert len((await alice.call("GetHistory"))["messages"]) == 50
        await house.change("ALTER TABLE elsewhere RENAME TO messages")
        assert len((await alice.call("GetHistory", before=3))["messages"]) == 2
