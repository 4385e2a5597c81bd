"""The client as a process, without a terminal."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.client.processes import ENVIRONMENT, ROOT, ServerProcess


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    running = ServerProcess()
    yield running
    running.stop()


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "client", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def page_of(client: "subprocess.Popen[str]") -> str:
    assert client.stdout is not None
    found = re.search(r"http://localhost:\d+", client.stdout.readline())
    assert found is not None
    return found[0]


def test_headless_takes_a_seat_serves_its_page_and_leaves_at_sigterm(server: ServerProcess) -> None:
    with start("--server", server.url, "--client-port", "0", "--name", "Head") as client:
        page = page_of(client)
        server.wait_for("[JOIN] User Head")
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert answer.status == 200
        client.send_signal(signal.SIGTERM)
        assert client.wait(timeout=10) == 0
    server.wait_for("[LEAVE] User Head")


def test_the_page_alone_takes_no_seat_and_ends_at_ctrl_c(server: ServerProcess) -> None:
    with start("--server", server.url, "--client-port", "0", "--face", "page") as client:
        with urllib.request.urlopen(page_of(client), timeout=10) as answer:
            assert answer.status == 200
        client.send_signal(signal.SIGINT)
        assert client.wait(timeout=10) == 0


def test_a_port_in_use_is_told_in_words(server: ServerProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with start("--server", server.url, "--client-port", str(port)) as client:
            told, _ = client.communicate(timeout=10)
    assert client.returncode == 1
    assert told == (
        f"[CLIENT] [ERROR] Cannot listen on 127.0.0.1:{port}: Address already in use."
        " Choose another CHAT_CLIENT_HOST or CHAT_CLIENT_PORT (0: any free port).\n"
    )


def test_a_bad_setting_ends_it_with_exit_code_2() -> None:
    with start("--server", "nowhere") as client:
        told, _ = client.communicate(timeout=10)
    assert client.returncode == 2
    assert "CHAT_SERVER" in told
