"""A page whose container is started anew, with real participants: the browser goes on with its cookie."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from client.faces.web.page import Page
from client.session.registration_file import RegistrationFiles
from tests.client.faces.web.conftest import COOKIE, HOSTS, Browser, FakeTab
from tests.client.fake_server import Rig, rig, ring_message


@contextlib.asynccontextmanager
async def container(room: Rig, port: int = 0) -> AsyncIterator[int]:
    """A page, and its port."""
    page = Page(room.participant, hosts=HOSTS, server=room.server.url, cookie_name=COOKIE, sleep=room.sleep)
    app = web.Application()
    page.add_to(app)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def state(tab: FakeTab, wanted: str) -> dict[str, object]:
    """Read on to the first time that the session is in this state."""
    while True:
        method, params = await tab.notice()
        if (method, params.get("state")) == ("Session", wanted):
            return params


async def test_after_a_restart_a_browser_has_its_seat_and_what_it_missed(tmp_path: Path) -> None:
    async with rig() as room:
        room.registration_files = RegistrationFiles(tmp_path, room.server.url)
        async with container(room) as port:
            browser = Browser(f"http://127.0.0.1:{port}")
            await (await browser.tab()).joined("Alice")
            await room.server.post(room.server.only_member, ring_message(2, "two"))
        async with container(room, port):
            tab = await browser.tab()
            assert (await state(tab, "reconnecting"))["id"] == "alice-1"
            assert (await state(tab, "online"))["name"] == "Alice"
            await room.server.post(room.server.only_member, [ring_message(2, "two"), ring_message(3, "three")])
            assert (await tab.notice())[1]["message"]["text"] == "three"
        assert room.server.methods()[:3] == ["Register", "Unregister", "Register"]
        await browser.close()


async def test_another_browser_that_takes_the_name_does_not_get_the_seat(tmp_path: Path) -> None:
    async with rig() as room:
        room.registration_files = RegistrationFiles(tmp_path, room.server.url)
        async with container(room) as port:
            browser = Browser(f"http://127.0.0.1:{port}")
            await (await browser.tab()).joined("Alice")
        async with container(room, port):
            other = Browser(f"http://127.0.0.1:{port}")
            await (await other.tab()).joined("Alice")
        assert len(room.server.members) == 2
        for one in (browser, other):
            await one.close()


async def test_a_browser_whose_file_is_damaged_begins_anew_and_is_remembered_from_then_on(tmp_path: Path) -> None:
    async with rig() as room:
        room.registration_files = RegistrationFiles(tmp_path, room.server.url)
        async with container(room) as port:
            browser = Browser(f"http://127.0.0.1:{port}")
            await (await browser.tab()).joined("Alice")
        damage(tmp_path)
        room.server.members.clear()
        async with container(room, port):
            await (await browser.tab()).joined("Alice")
        async with container(room, port):
            assert (await state(await browser.tab(), "reconnecting"))["name"] == "Alice"
        await browser.close()


def damage(directory: Path) -> None:
    (file,) = directory.iterdir()
    file.write_bytes(b"{")
