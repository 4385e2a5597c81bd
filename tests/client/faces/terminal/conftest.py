from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeAlias

import pytest

from tests.client.fake_server import FakeServer, running_server
from tests.client.processes import ServerProcess
from tests.client.window import Window

Opens: TypeAlias = Callable[..., Window]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    running = ServerProcess()
    yield running
    running.stop()


@pytest.fixture
def windows() -> Iterator[list[Window]]:
    """The windows that a test opens; they are closed at its end."""
    opened: list[Window] = []
    yield opened
    for window in opened:
        window.close()


@pytest.fixture
def opens(server: ServerProcess, windows: list[Window]) -> Opens:
    """Open a window with a client of the real server in it."""

    def open_window(*arguments: str, **environment: str) -> Window:
        windows.append(Window("--server", server.url, *arguments, **environment))
        return windows[-1]

    return open_window


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
def ann(opens: Opens) -> Window:
    window = opens("--name", "Ann")
    window.sees("You:")
    return window


@pytest.fixture
def ben(opens: Opens, ann: Window) -> Window:
    window = opens("--name", "Ben")
    window.sees("You:")
    ann.sees("HH:MM [SYSTEM] Ben joined the chat")
    return window
