"""The client in a pipe, as a shell script has it."""

import subprocess
import sys
from collections.abc import Iterator

import pexpect
import pytest

from tests.client.fake_server import free_port
from tests.client.processes import ENVIRONMENT, ROOT, ServerProcess

CLIENT = f"{sys.executable} -m client --face terminal"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    running = ServerProcess()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def locked() -> Iterator[ServerProcess]:
    running = ServerProcess(options=("--join-key", "sesame"))
    yield running
    running.stop()


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False
    )


def test_what_is_echoed_into_it_is_sent_and_it_exits_with_0(server: ServerProcess) -> None:
    done = shell(f'echo "deploy done" | {CLIENT} --name ci --server {server.url}')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.wait_for("[BROADCAST] ci: deploy done")


def test_a_server_that_is_not_there_is_one_clear_line_and_no_success() -> None:
    port = free_port()
    done = shell(f'echo "deploy done" | {CLIENT} --name ci --server http://localhost:{port}')
    told = f"[CLIENT] The chat server at http://localhost:{port} cannot be reached: Connection refused.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_a_join_key_that_is_missing_is_one_clear_line_and_no_success(locked: ServerProcess) -> None:
    done = shell(f'echo "deploy done" | {CLIENT} --name ci --server {locked.url}')
    told = "[CLIENT] This chat wants a join key, and it was missing or wrong (CHAT_JOIN_KEY).\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)
    assert shell(f"echo hi | {CLIENT} --name ci --join-key sesame --server {locked.url}").returncode == 0


def test_a_name_that_is_refused_is_one_clear_line_and_no_success(server: ServerProcess) -> None:
    done = shell(f"echo hi | {CLIENT} --name system --server {server.url}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("[CLIENT] The server does not accept the name: ")
    assert done.stderr.count("\n") == 1


def test_a_text_that_is_refused_is_one_clear_line_and_no_success(server: ServerProcess) -> None:
    done = shell(f"printf '%04097d\\nshort\\n' 0 | {CLIENT} --name ci --server {server.url}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"[CLIENT] Not sent: {'0' * 60}…: The text is too long: at most 4096 characters.\n"
    server.wait_for("[BROADCAST] ci: short")


def test_lines_come_out_as_they_come_and_nothing_else_though_somebody_types(server: ServerProcess) -> None:
    command = f"{CLIENT} --name Typist --server {server.url} | grep --line-buffered ': '"
    typist = pexpect.spawn("/bin/sh", ["-c", command], cwd=str(ROOT), env=ENVIRONMENT, encoding="utf-8", timeout=20)
    server.wait_for("[JOIN] User Typist")
    shell(f"printf 'hello typist\\n/me waves: so\\n' | {CLIENT} --name ci --server {server.url}")
    typist.expect_exact("ci: hello typist\r\n")
    typist.expect_exact("* ci waves: so\r\n")
    typist.sendline("typed")
    server.wait_for("[BROADCAST] Typist: typed")
    typist.sendline("exit")
    typist.expect(pexpect.EOF)
    typist.close()
    assert typist.exitstatus == 0
    assert "\x1b" not in f"{typist.before}"


def test_somebody_who_types_into_it_is_asked_for_the_name_beside_the_pipe(server: ServerProcess) -> None:
    command = f"{CLIENT} --server {server.url} | sed 's/^/out: /'"
    typist = pexpect.spawn("/bin/sh", ["-c", command], cwd=str(ROOT), env=ENVIRONMENT, encoding="utf-8", timeout=20)
    typist.expect_exact("Enter your name: ")
    assert typist.before == ""
    typist.sendline("Asked")
    server.wait_for("[JOIN] User Asked")
    typist.sendeof()
    typist.expect(pexpect.EOF)
    typist.close()
