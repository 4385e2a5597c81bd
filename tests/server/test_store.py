"""`python -m server` and its store as processes and files: refused, full, copied, stopped under load."""

import asyncio
import os
import resource
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes import Recipient, hang, take
from tests.processes import Program, start_server

Json = Any


@dataclass
class Server:
    """A server process that keeps its log in a file, and calls to it."""

    program: Program
    url: str
    session: aiohttp.ClientSession

    async def answer(self, method: str, token: str = "", **params: Any) -> Json:
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.post(f"{self.url}/rpc", json=request, headers=headers) as response:
            return await response.json()

    async def call(self, method: str, token: str = "", **params: Any) -> Json:
        return (await self.answer(method, token, **params))["result"]

    async def code(self, method: str, token: str = "", **params: Any) -> int:
        """Call what is to be refused; gives the code of the error."""
        return int((await self.answer(method, token, **params))["error"]["code"])

    async def register(self, name: str, recipient: Recipient | None = None, **params: Any) -> Json:
        if recipient is not None:
            params |= {"callback": recipient.callback, "secret": recipient.secret}
        return await self.call("Register", name=name, **params)

    async def say(self, seat: Json, text: str) -> Json:
        return await self.answer("SendMessage", seat["token"], user_id=seat["id"], text=text)

    def limit_file_size(self, size: int) -> None:
        """Let none of its files grow beyond this, as a full disk would."""
        resource.prlimit(self.program.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@asynccontextmanager
async def serving(store: Path, session: aiohttp.ClientSession) -> AsyncIterator[Server]:
    """Run a server on this store, and end it well."""
    program, url = await start_server("--store", f"sqlite:{store}")
    try:
        yield Server(program, url, session)
        await program.stop()
        assert "Traceback" not in str(program)
    finally:
        await program.kill()


async def ended(*arguments: str) -> tuple[int, list[str]]:
    """Run what ends by itself; gives the exit code and what it printed."""
    program = await Program.start("-m", "server", *arguments)
    try:
        return await program.end(), program.lines
    finally:
        await program.kill()


def make_diary(directory: Path) -> Path:
    diary = directory / "diary.txt"
    diary.write_text("Dear diary")
    return diary


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
async def server(store: Path, session: aiohttp.ClientSession) -> AsyncIterator[Server]:
    async with serving(store, session) as server:
        yield server


async def test_a_store_that_cannot_be_used_ends_it_with_a_sentence(tmp_path: Path) -> None:
    store = make_diary(tmp_path)
    code, lines = await ended("--port", "0", "--store", f"sqlite:{store}")
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith(f"[ERROR] {store} is not a store of Ringback; give another CHAT_STORE")


async def test_a_second_server_on_the_same_store_ends_and_the_first_goes_on(store: Path, server: Server) -> None:
    code, lines = await ended("--port", "0", "--store", f"sqlite:{store}")
    assert (code, len(lines)) == (1, 1)
    assert "is in use by another server" in lines[0]
    assert (await server.register("Alice"))["success"]


async def test_the_store_of_a_running_server_is_copied_by_a_command(
    store: Path, server: Server, session: aiohttp.ClientSession
) -> None:
    alice = await server.register("Alice")
    await server.say(alice, "hi")
    copy = store.with_name("copy.db")
    command = ("--store", f"sqlite:{store}", "backup", str(copy))
    assert await ended(*command) == (0, [f"sqlite:{store} is copied to {copy}"])
    assert await ended(*command) == (1, [f"[ERROR] {copy} already exists and was not changed; give another name"])
    async with serving(copy, session) as other:
        history = await other.call("GetHistory", alice["token"])
        assert [message["text"] for message in history["messages"]] == ["Alice joined the chat", "hi"]
        assert history["epoch"] != alice["epoch"]


async def test_a_log_in_memory_cannot_be_copied(tmp_path: Path) -> None:
    command = ("--store", "memory:", "backup", str(tmp_path / "copy.db"))
    assert await ended(*command) == (1, ["[ERROR] a log in memory cannot be copied; CHAT_STORE is memory:"])


async def test_without_room_nothing_is_acknowledged_and_it_recovers_by_itself(
    server: Server, recipient: Recipient
) -> None:
    alice = await server.register("Alice")
    await server.register("Bob", recipient)
    last = (await server.say(alice, "there is room"))["result"]["seq"]
    server.limit_file_size(150_000)
    answers = [await server.say(alice, f"{number} {'x' * 4000}") for number in range(60)]
    seqs = [answer["result"]["seq"] for answer in answers if "result" in answer]
    assert {answer["error"]["code"] for answer in answers if "error" in answer} == {-32010}
    assert seqs == list(range(last + 1, last + 1 + len(seqs)))
    assert await server.code("Register", name="Carol") == -32010
    assert await server.code("Unregister", alice["token"], id=alice["id"]) == -32010
    history = await server.call("GetHistory", alice["token"], limit=300)
    assert (history["seq"], len(history["messages"])) == (last + len(seqs), last + len(seqs))

    server.limit_file_size(resource.RLIM_INFINITY)
    again = (await server.say(alice, "there is room again"))["result"]["seq"]
    assert again == last + len(seqs) + 1
    await recipient.has("there is room again")
    assert [message["seq"] for message in recipient.messages] == list(range(last, again + 1))


async def test_one_that_can_save_nothing_ends_well_all_the_same(server: Server) -> None:
    await server.register("Alice")
    server.limit_file_size(0)
    await server.program.stop()


async def test_a_stop_under_load_takes_less_than_ten_seconds_and_loses_nothing(
    store: Path, session: aiohttp.ClientSession, recipient: Recipient
) -> None:
    answered: dict[int, str] = {}

    async def talk(server: Server, seat: Json) -> None:
        for number in range(1_000_000):
            try:
                answer = await server.say(seat, f"{seat['name']} {number}")
            except aiohttp.ClientError:  # the connection ended: it stops
                return
            if "error" in answer:
                assert answer["error"]["data"]["detail"] == "the server is stopping"
                return
            answered[answer["result"]["seq"]] = f"{seat['name']} {number}"

    async with Recipient() as stuck:
        async with serving(store, session) as server:
            await server.register("Bob", recipient, max_batch=16)
            await server.register("Stuck", stuck)
            stuck.behaviour = hang
            seats = [await server.register(f"Sender {number}") for number in range(8)]
            talking = [asyncio.create_task(talk(server, seat)) for seat in seats]
            await recipient.until(lambda: len(recipient.messages) > 200)
            await server.program.stop()
            await asyncio.gather(*talking)
        stuck.behaviour = take
        async with serving(store, session):  # it listens elsewhere, and rings Bob where he was
            await recipient.until(lambda: answered.keys() <= {message["seq"] for message in recipient.messages})
    got = {message["seq"]: message["text"] for message in recipient.messages}
    assert {seq: got[seq] for seq in answered} == answered


async def test_store_goes_from_one_machine_to_another_by_standard_streams(
    store: Path, server: Server, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    alice = await server.register("Alice")
    await server.say(alice, "hi")
    backup, there = tmp_path / "backup.db", tmp_path / "there" / "chat.db"
    python = shlex.quote(sys.executable)
    taken = await piped(f"{python} -m server --store sqlite:{store} backup - > {backup}")
    assert taken == (0, [])
    assert await piped(f"{python} -m server --store sqlite:{store} restore - < {backup}") == (
        1, [f"[ERROR] {store} is in use by another server; stop it, or give another CHAT_STORE"]
    )  # fmt: skip
    restored = await piped(f"{python} -m server --store sqlite:{there} restore - < {backup}")
    assert restored == (0, [f"sqlite:{there} is restored; start the server"])
    async with serving(there, session) as other:
        assert (await other.call("GetHistory", alice["token"], limit=1))["messages"][0]["text"] == "hi"
    again = await ended("--store", f"sqlite:{there}", "restore", str(backup))
    assert again[1][-1] == f"The store that was there is kept as {there}-replaced until the next restore"
    missing = await ended("--store", f"sqlite:{there}", "restore", str(tmp_path / "nothing"))
    assert missing == (1, [f"[ERROR] cannot read {tmp_path}/nothing: No such file or directory"])


async def test_backup_by_way_of_a_terminal_is_refused(store: Path, server: Server) -> None:
    """A terminal writes CR LF for LF, and the file that `docker exec -t` makes of it is no backup."""
    await server.register("Alice")
    command = f"{shlex.quote(sys.executable)} -m server --store sqlite:{store}"
    master, terminal = os.openpty()
    name = os.ttyname(terminal)
    for arguments, stream in ((f"backup - > {name}", "output"), (f"restore - < {name}", "input")):
        code, [line] = await piped(f"{command} {arguments}")
        assert (code, line.startswith(f"[ERROR] standard {stream} is a terminal")) == (1, True)
    for fd in (master, terminal):
        os.close(fd)


async def piped(command: str) -> tuple[int | None, list[str]]:
    """Run a line of a shell; gives its exit code and what it printed."""
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode().splitlines()
