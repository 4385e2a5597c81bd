"""The client as a process, without a terminal."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.fake_server import free_port
from tests.client.processes import ENVIRONMENT, ROOT, ServerProcess


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    running = ServerProcess()
    yield running
    running.stop()


def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "client", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | environment,
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
        with urllib.request.urlopen(page, timeout=60) as answer:
            assert answer.status == 200
        client.send_signal(signal.SIGTERM)
        assert client.wait(timeout=60) == 0
    server.wait_for("[LEAVE] User Head")


def test_after_kill_9_it_has_its_seat_again_and_prints_what_it_missed_once(
    server: ServerProcess, tmp_path: Path
) -> None:
    arguments = ("--server", server.url, "--client-port", "0", "--name", "Kay", "--state-dir", str(tmp_path))
    with start(*arguments) as client:
        printed = until(client, "Joined as Kay")
        say(server, "Lea", "while Kay listens")
        printed += until(client, "Lea: while Kay listens")
        client.kill()
    say(server, "Lea", "while Kay is dead")
    with start(*arguments) as client:
        printed += until(client, "Lea: while Kay is dead")
        client.send_signal(signal.SIGTERM)
        assert client.wait(timeout=60) == 0
    assert len([line for line in printed if "while Kay" in line]) == 2


def until(client: "subprocess.Popen[str]", words: str) -> list[str]:
    """Read the lines up to the one that has these words."""
    assert client.stdout is not None
    lines: list[str] = []
    while not lines or words not in lines[-1]:
        lines.append(client.stdout.readline())
        assert lines[-1], f"ended without {words!r}: {lines}"
    return lines


def say(server: ServerProcess, name: str, text: str) -> None:
    """Come, say something, and go."""
    arguments = ["--server", server.url, "--face", "terminal", "--name", name]
    done = subprocess.run(
        [sys.executable, "-m", "client", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        input=f"{text}\n",
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0


def test_the_page_alone_takes_no_seat_and_ends_at_ctrl_c(server: ServerProcess) -> None:
    with start("--server", server.url, "--client-port", "0", "--face", "page") as client:
        with urllib.request.urlopen(page_of(client), timeout=60) as answer:
            assert answer.status == 200
        client.send_signal(signal.SIGINT)
        assert client.wait(timeout=60) == 0


def test_a_port_in_use_is_told_in_words(server: ServerProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with start("--server", server.url, "--client-port", str(port)) as client:
            told, _ = client.communicate(timeout=60)
    assert client.returncode == 1
    assert told == (
        f"[CLIENT] [ERROR] Cannot listen on localhost:{port}: Address already in use."
        " Choose another CHAT_CLIENT_HOST or CHAT_CLIENT_PORT (0: any free port).\n"
    )


def test_a_bad_setting_ends_it_with_exit_code_2() -> None:
    with start("--server", "nowhere") as client:
        told, _ = client.communicate(timeout=60)
    assert client.returncode == 2
    assert "CHAT_SERVER" in told


@pytest.mark.parametrize("face", ["terminal", "headless", "page"])
def test_it_does_not_start_where_http_is_parsed_in_python(face: str) -> None:
    with start("--face", face, "--client-port", "0", AIOHTTP_NO_EXTENSIONS="1") as client:
        told, _ = client.communicate(timeout=60)
    assert client.returncode == 1
    assert re.fullmatch(
        r"\[CLIENT\] \[ERROR\] aiohttp parses HTTP in Python here.* --only-binary aiohttp aiohttp\n", told
    )


@pytest.mark.parametrize("stdout", ["&-", "/dev/full"])
def test_headless_without_a_stdout_ends_with_one_line(server: ServerProcess, stdout: str) -> None:
    told = run(f"--face headless --client-port 0 --name Mute --server {server.url} >{stdout}")
    assert told.returncode == 1
    assert re.fullmatch(r"\[CLIENT\] \[ERROR\] Cannot write to standard output: .*\n", told.stderr)


@pytest.mark.parametrize("outputs", [">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_page_without_stdout_and_stderr_is_served_and_ends_well(server: ServerProcess, outputs: str) -> None:
    port = free_port()
    command = f"exec {sys.executable} -m client --face page --client-port {port} --server {server.url} {outputs}"
    with subprocess.Popen(["/bin/sh", "-c", command], cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL) as client:
        until_it_listens(port, client)
        with urllib.request.urlopen(f"http://localhost:{port}", timeout=60) as answer:
            assert answer.status == 200
        client.send_signal(signal.SIGTERM)
        assert client.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("--server nowhere 2>/dev/full", 2), ("--server nowhere 2>&-", 2), ("--help >&-", 0), ("--help 2>&1 >&-", 0)],
)
def test_command_line_whose_answer_cannot_be_written_keeps_its_exit_code(arguments: str, code: int) -> None:
    done = run(arguments)
    assert (done.returncode, done.stderr) == (code, "")


def test_help_on_a_full_disk_ends_with_a_sentence() -> None:
    done = run("--help >/dev/full")
    assert (done.returncode, done.stderr) == (1, "Error: cannot write to standard output: No space left on device\n")


def test_help_into_a_pipe_whose_reader_has_gone_leaves_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("--help", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def run(arguments: str, stdout: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    """Run the client in a shell, until it ends by itself."""
    command = f"exec {sys.executable} -m client {arguments}"
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, env=ENVIRONMENT,
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip


def until_it_listens(port: int, client: "subprocess.Popen[bytes]") -> None:
    """Return when somebody listens there; a process that says nothing can only be asked."""
    while True:
        assert client.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
