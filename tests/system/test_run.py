import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from tests.system.stack import Seat

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "run.py"


@pytest.fixture
def ports() -> tuple[int, int]:
    """Two ports that are free: the server's, and the page's."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def run(ports: tuple[int, int], store: str = "memory:") -> Iterator["pexpect.spawn[str]"]:
    """Do what `make run` does, in a terminal."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
    addresses = {"CHAT_PORT": str(ports[0]), "CHAT_CLIENT_PORT": str(ports[1])}
    environment = mine | addresses | {"CHAT_STORE": store, "CHAT_STATE_DIR": "none"}
    running = pexpect.spawn(sys.executable, [str(SCRIPT)], env=environment, encoding="utf-8", timeout=60)
    try:
        yield running
    finally:
        running.kill(signal.SIGTERM)
        running.wait()
        running.close()


def is_listening(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_the_address_that_is_printed_is_that_of_the_page(ports: tuple[int, int]) -> None:
    with run(ports) as running:
        running.expect(rf"Chat in a browser: (http://localhost:{ports[1]})")
        with urllib.request.urlopen(str(running.match[1]), timeout=60) as response:
            assert response.status == 200


def test_what_was_said_is_there_after_a_restart(ports: tuple[int, int], tmp_path: Path) -> None:
    server, store = f"127.0.0.1:{ports[0]}", f"sqlite:{tmp_path}/chat.db"
    with run(ports, store) as running:
        running.expect("Chat server: ")
        curl = Seat(lambda: server, "Curl")
        curl.send("Remember me!")
    with run(ports, store) as running:
        running.expect("Chat server: ")
        assert "Remember me!" in curl.texts()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_stops_both_programs(ports: tuple[int, int], number: signal.Signals) -> None:
    with run(ports) as running:
        running.expect("Chat server: ")
        running.kill(number)
        running.expect(pexpect.EOF)
        assert running.wait() == 0
    assert not any(is_listening(port) for port in ports)


@pytest.mark.parametrize("taken", [0, 1], ids=["server", "page"])
def test_a_port_in_use_is_said_and_ends_both_programs(ports: tuple[int, int], taken: int) -> None:
    with socket.create_server(("127.0.0.1", ports[taken])), run(ports) as running:
        running.expect(rf"[Cc]annot listen on 127\.0\.0\.1:{ports[taken]}")
        told = str(running.before)
        running.expect(pexpect.EOF)
        assert running.wait() == 1
        assert "Chat in a browser" not in told + str(running.before)
        assert not is_listening(ports[1 - taken])
