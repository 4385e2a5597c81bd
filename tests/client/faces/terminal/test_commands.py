"""The commands, as two people see them."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.client.fake_server import FakeServer, Member
from tests.client.processes import ServerProcess
from tests.client.window import Window


def test_help_tells_the_commands_and_the_keys(ann: Window) -> None:
    ann.enters("/help")
    for line in ("  /who           who is here", "  Ctrl-C         clear the line; on an empty line: leave"):
        ann.sees(line)


def test_who_tells_who_is_here(ann: Window, ben: Window) -> None:
    ann.enters("/who")
    ann.sees_last("HH:MM [CLIENT] 2 are here: Ann (you), Ben", "You:")


def test_me_tells_what_one_does(ann: Window, ben: Window) -> None:
    ann.enters("/me waves")
    ann.sees_last("HH:MM * Ann waves", "You:")
    ben.sees_last("HH:MM * Ann waves", "You:")


def test_two_slashes_say_one(ann: Window, ben: Window) -> None:
    ann.enters("//usr/bin")
    ann.sees_last("HH:MM You: /usr/bin", "You:")
    ben.sees_last("HH:MM Ann: /usr/bin", "You:")
    ann.enters("//me is a command")
    ben.sees_last("HH:MM Ann:  /me is a command", "You:")


def test_nick_gives_another_name(ann: Window, ben: Window) -> None:
    ann.enters("/nick Annabel")
    ann.sees_last("HH:MM [CLIENT] You are Annabel now.", "You:")
    ben.sees_last("HH:MM [SYSTEM] Ann is now Annabel", "You:")
    ann.enters("hi")
    ben.sees_last("HH:MM Annabel: hi", "You:")


def test_a_name_that_is_refused_is_told(ann: Window, ben: Window) -> None:
    ann.enters("/nick ben")
    ann.sees_last("HH:MM [CLIENT] [ERROR] That name is in use. Choose another.", "You:")


def test_an_unknown_command_is_an_error_and_not_sent(ann: Window, ben: Window) -> None:
    ann.enters("/whoo")
    ann.reads("[CLIENT] [ERROR] There is no command /whoo. Did you mean /who? Nothing was sent.")
    ann.enters("next")
    ben.sees_last("HH:MM Ann: next", "You:")
    assert "whoo" not in ben.written


def test_quit_says_a_last_word_and_leaves(ann: Window, ben: Window) -> None:
    ann.enters("/quit good night")
    assert ann.ends() == 0
    ben.sees_last("HH:MM Ann: good night", "HH:MM [SYSTEM] Ann left the chat", "You:")


def test_quit_without_a_word_just_leaves(ann: Window, server: ServerProcess) -> None:
    ann.enters("/quit")
    assert ann.ends() == 0
    server.wait_for("[LEAVE] User Ann")


class BigRoom(FakeServer):
    """A server with many members, two to a page."""

    def _perform_as(self, me: Member, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method != "ListMembers":
            return super()._perform_as(me, method, params)
        members = [{"id": me.id, "name": me.name, "state": "online", "behind": 0}]
        members += [{"id": f"b{number}", "name": f"B{number}", "state": "online", "behind": 0} for number in range(3)]
        members += [{"id": "z1", "name": "Z\x1b[2J", "state": "unreachable", "behind": 1234}]
        page = [member for member in members if str(member["id"]) > params.get("after_id", "")][:2]
        return {"members": page, "member_count": len(members), "seq": self.seq}


async def test_who_reads_all_pages_and_tells_who_cannot_be_reached(windows: list[Window]) -> None:
    fake, app = BigRoom(), web.Application()
    app.router.add_post("/rpc", fake.handle)
    async with TestServer(app) as http:
        windows.append(window := Window("--server", f"http://127.0.0.1:{http.port}", "--name", "Alice"))
        await asyncio.to_thread(window.sees, "You:")
        window.enters("/who")
        told = r"5 are here: Alice (you), B0, B1, B2, Z\u{1b}[2J (unreachable, 1,234 behind)"
        await asyncio.to_thread(window.reads, told)
