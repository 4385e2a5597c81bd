"""A bug in the terminal itself: it ends, and says so."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from client.faces.terminal import face
from client.faces.terminal.commands import Commands
from client.faces.terminal.dumb import DumbConsole
from tests.client.fake_server import Rig, rig


@pytest.fixture
async def room() -> AsyncIterator[Rig]:
    async with rig() as made:
        yield made


class Patient(DumbConsole):
    """A terminal at which somebody asks for help, and waits."""

    async def read(self, on_entered: Callable[[str], bool]) -> None:
        on_entered("/help")
        await asyncio.Event().wait()


async def test_a_bug_is_told_and_is_no_success(
    room: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("oh\x1b[2J")

    monkeypatch.setattr(face, "is_dumb_terminal", lambda: True)
    monkeypatch.setattr(face, "DumbConsole", Patient)
    monkeypatch.setattr(Commands, "carry_out", fail)
    assert await face.Terminal(room.participant, room.server.url, "Alice").run() == 1
    assert capsys.readouterr().err.startswith("[CLIENT] [ERROR] Internal error in this client: RuntimeError('oh")
    assert room.server.methods()[-1] == "Unregister"
