"""What people at the page notice when the server, or their container, is killed and started again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from server.message_log.store_file import back_up
from tests.e2e.conftest import NewPerson, Person, Stack, running
from tests.e2e.script import Script
from tests.e2e.terminal import Terminal
from tests.processes import Program

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A server and a page that both find again, after a crash, what they knew."""
    remembering = Stack(
        server_options=["--store", f"sqlite:{tmp_path}/chat.db"], client_options=["--state-dir", f"{tmp_path}/state"]
    )
    async with running(remembering) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="session")
async def listener(stack: Stack) -> AsyncIterator[Program]:
    """A headless client."""
    where = ("--server", stack.server_address, "--client-port", "0", "--state-dir", "none")
    program = await Program.start("-m", "client", "--face", "headless", "--name", "Listener", *where)
    await program.after("Joined as Listener")
    yield program
    await program.stop()


async def sees_that_the_server_is_away(person: Person) -> None:
    await expect(person.status).to_have_text("Offline")
    await expect(person.banner).to_contain_text("cannot be reached")


async def sees_that_the_server_is_back(person: Person) -> None:
    await expect(person.status).to_have_text("Online")
    await expect(person.banner).to_have_text("Connected again.")


async def test_when_the_server_was_killed_everybody_carries_on(
    stack: Stack, new_person: NewPerson, script: Script, listener: Program
) -> None:
    alice = await (await new_person()).join("Alice")
    bob = await (await new_person()).join("Bob")
    terminal = await Terminal(stack.server_address).join("Charlie")
    await (await script.join("Curl")).say("before")
    for person in (alice, bob, terminal):
        await person.sees("before")
    await stack.kill_server()
    for text in ("first", "second", "third"):
        await alice.say(text)
    await bob.say("from Bob")
    await terminal.say("from a terminal")
    await asyncio.gather(*map(sees_that_the_server_is_away, (alice, bob)))
    await expect(alice.waiting).to_have_text(["first", "second", "third"])
    await stack.start_server()
    await asyncio.gather(*map(sees_that_the_server_is_back, (alice, bob)))
    await expect(alice.own).to_have_text(["first", "second", "third"])
    for person in (alice, bob):
        await person.sees("from Bob")
        await person.sees("from a terminal")
    await script.say("after")  # its token of before will do
    for person in (alice, bob, terminal):
        await person.sees("after")
    await listener.after("Curl: after")

    said = await script.texts()
    mine = [text for text in said if text in ("first", "second", "third")]
    assert mine == ["first", "second", "third"]
    assert len(set(said)) == len(said)
    assert await alice.texts() == said
    assert await bob.texts() == said
    heard = [line.partition(": ")[2] for line in listener.lines if not line.startswith(("[CLIENT]", "[SYSTEM]"))]
    assert heard == [text for text in said if not text.endswith("joined the chat")]
    await alice.sees_people("Alice", "Bob", "Charlie", "Curl", "Listener")
    await terminal.leave()


async def test_what_waits_outlives_a_reload_of_the_page(stack: Stack, new_person: NewPerson, script: Script) -> None:
    alice = await (await new_person()).join("Alice")
    await stack.kill_server()
    await alice.say("one")
    await alice.say("two")
    await alice.tab.reload()
    await expect(alice.waiting).to_have_text(["one", "two"])
    await alice.say("three")
    await stack.start_server()
    await expect(alice.own).to_have_text(["one", "two", "three"])
    await alice.tab.reload()
    await expect(alice.own).to_have_text(["one", "two", "three"])
    await expect(alice.waiting).to_have_count(0)
    assert await alice.texts() == (await (await script.join("Curl")).texts())[:-1]


async def test_what_was_written_while_the_container_was_away_is_sent_when_it_is_back(
    stack: Stack, new_person: NewPerson, script: Script
) -> None:
    alice = await (await new_person()).join("Alice")
    await script.join("Curl")
    await stack.kill_client()
    await expect(alice.banner).to_contain_text("no connection to the chat")
    await alice.say("one")
    await alice.say("two")
    await script.say("from outside")
    await expect(alice.waiting).to_have_text(["one", "two"])
    await stack.start_client()
    await expect(alice.status).to_have_text("Online")
    await expect(alice.own).to_have_text(["one", "two"])
    await alice.sees("from outside")
    assert await alice.texts() == await script.texts()


async def test_one_who_leaves_is_told_of_what_still_waited(stack: Stack, new_person: NewPerson) -> None:
    alice = await (await new_person()).join("Alice")
    await stack.kill_server()
    await alice.say("never said")
    await expect(alice.waiting).to_have_text(["never said"])
    await alice.tab.get_by_role("button", name="Leave").click()
    await expect(alice.tab.get_by_text("What still waited to be sent is dropped (1).")).to_be_visible()
    await stack.start_server()
    await alice.join("Alicia")
    await alice.say("said")
    await expect(alice.own).to_have_text(["said"])


async def test_page_after_a_restore_says_so_and_shows_what_is_said_next(
    stack: Stack, new_person: NewPerson, script: Script, tmp_path: Path
) -> None:
    alice = await (await new_person()).join("Alice")
    curl = await script.join("Curl")
    await curl.say("before the backup")
    await alice.sees("before the backup")
    await asyncio.to_thread(back_up, tmp_path / "chat.db", tmp_path / "backup.db")
    await curl.say("after the backup")
    await alice.sees("after the backup")
    await stack.stop_server()
    (tmp_path / "backup.db").replace(tmp_path / "chat.db")
    await stack.start_server()
    await curl.say("after the restore")
    await alice.sees("after the restore")
    await expect(alice.log).to_contain_text("The server was restored from a backup. What was said after that")
    await alice.say("I see")
    await expect(alice.own).to_have_text(["I see"])
    assert [text for text in await alice.texts() if "joined" not in text] == [
        "before the backup", "after the restore", "I see"
    ]  # fmt: skip
