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
    running = ServerProcess(options=("--rate", "0"))  # no limit
    yield running
    running.stop()


@pytest.fixture(scope="module")
def locked() -> Iterator[ServerProcess]:
    running = ServerProcess(options=("--join-key", "sesame"))
    yield running
    running.stop()


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )


def start(command: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=ROOT, env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def test_what_is_echoed_into_it_is_sent_and_it_exits_with_0(server: ServerProcess) -> None:
    done = shell(f'echo "deploy done" | {CLIENT} --name ci --server {server.url}')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.wait_for("[BROADCAST] ci: deploy done")


def test_a_server_that_is_not_there_is_one_clear_line_and_no_success() -> None:
    port = free_port()
    done = shell(f'echo "deploy done" | {CLIENT} --name ci --server http://localhost:{port}')
    why = "the connection was refused. Is the server running, and is the port right?"
    told = f"[CLIENT] The chat server at http://localhost:{port} cannot be reached: {why}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_a_join_key_that_is_missing_is_one_clear_line_and_no_success(locked: ServerProcess) -> None:
    done = shell(f'echo "deploy done" | {CLIENT} --name ci --server {locked.url}')
    told = "[CLIENT] This chat requires a join key, and it was missing or wrong (CHAT_JOIN_KEY).\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)
    assert shell(f"echo hi | {CLIENT} --name ci --join-key sesame --server {locked.url}").returncode == 0


def test_a_name_that_is_refused_is_one_clear_line_and_no_success(server: ServerProcess) -> None:
    done = shell(f"echo hi | {CLIENT} --name system --server {server.url}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("[CLIENT] That name is reserved: ")
    assert done.stderr.count("\n") == 1


def test_a_text_that_is_refused_is_one_clear_line_and_no_success(server: ServerProcess) -> None:
    done = shell(f"printf '%04097d\\nshort\\n' 0 | {CLIENT} --name ci --server {server.url}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"[CLIENT] Not sent: {'0' * 60}…: The text is too long: at most 4096 characters.\n"
    server.wait_for("[BROADCAST] ci: short")


def test_lines_come_out_as_they_come_and_nothing_else_though_somebody_types(server: ServerProcess) -> None:
    command = f"{CLIENT} --name Typist --server {server.url} | grep --line-buffered ': '"
    typist = pexpect.spawn("/bin/sh", ["-c", command], cwd=str(ROOT), env=ENVIRONMENT, encoding="utf-8", timeout=60)
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
    typist = pexpect.spawn("/bin/sh", ["-c", command], cwd=str(ROOT), env=ENVIRONMENT, encoding="utf-8", timeout=60)
    typist.expect_exact("Enter your name: ")
    assert typist.before == ""
    typist.sendline("Asked")
    server.wait_for("[JOIN] User Asked")
    typist.sendeof()
    typist.expect(pexpect.EOF)
    typist.close()


def test_the_end_of_a_line_that_is_too_long_is_no_message(server: ServerProcess) -> None:
    done = shell(f"(printf '%0200000d tail\\nshort\\n' 0) | {CLIENT} --name ci --server {server.url}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"[CLIENT] Not sent: {'0' * 60}…: The text is too long: at most 4096 characters.\n"
    assert "00000" not in server.wait_for("[BROADCAST] ci: ")


def test_what_a_person_types_beside_a_pipe_is_read_as_at_a_prompt(server: ServerProcess) -> None:
    command = f"{CLIENT} --name Typist --server {server.url} | cat"
    typist = pexpect.spawn("/bin/sh", ["-c", command], cwd=str(ROOT), env=ENVIRONMENT, encoding="utf-8", timeout=60)
    server.wait_for("[JOIN] User Typist")
    for typed, told in (
        ("/who", "/who needs a terminal to show its answer. Nothing was sent."),
        ("/quti", "Did you mean /quit? Nothing was sent."),
        ("/nick Typer", "You are Typer now."),
    ):
        typist.sendline(typed)
        typist.expect_exact(told)
    typist.sendline("//usr")
    assert "Typer: /usr" in server.wait_for("[BROADCAST]")
    typist.sendline("/quit good night")
    typist.expect(pexpect.EOF)
    typist.close()
    assert typist.exitstatus == 0
    assert "Typer: good night" in server.wait_for("[BROADCAST]")


def test_in_a_pipe_a_line_with_a_slash_is_said(server: ServerProcess) -> None:
    assert shell(f"echo /who | {CLIENT} --name ci --server {server.url}").returncode == 0
    assert "ci: /who" in server.wait_for("[BROADCAST]")


def test_a_full_disk_is_told_and_no_success(server: ServerProcess) -> None:
    pipe = start(f"exec {CLIENT} --name Reader --server {server.url} > /dev/full")
    server.wait_for("[JOIN] User Reader")
    shell(f"echo hi | {CLIENT} --name ci --server {server.url}")
    _, told = pipe.communicate(timeout=60)
    assert (pipe.returncode, told) == (1, "[CLIENT] Cannot write messages: No space left on device.\n")


def test_a_signal_before_the_end_of_the_input_is_told_and_no_success(server: ServerProcess) -> None:
    pipe = start(f"exec {CLIENT} --name Stopped --server {server.url}")
    server.wait_for("[JOIN] User Stopped")
    pipe.terminate()
    pipe.wait(timeout=60)  # its input ends behind that
    _, told = pipe.communicate()
    assert told == "[CLIENT] Stopped before the end of the input: some lines may not have been sent.\n"
    assert pipe.returncode == 1
    server.wait_for("[LEAVE] User Stopped")


def test_a_reader_that_takes_a_break_misses_nothing(server: ServerProcess) -> None:
    count = 60  # of 4,000 letters: far more than a pipe holds
    pipe = start(f"exec {CLIENT} --name Slow --server {server.url}")
    server.wait_for("[JOIN] User Slow")
    said = f"seq -f '%04000.0f' {count} | {CLIENT} --name ci --server {server.url}"
    assert shell(said).returncode == 0
    assert pipe.stdout is not None
    lines = (line for line in pipe.stdout if line.startswith("ci: "))
    assert [int(next(lines).removeprefix("ci: ")) for _ in range(count)] == list(range(1, count + 1))
    pipe.kill()
    pipe.communicate(timeout=60)


def test_a_client_whose_reader_takes_a_break_heeds_a_signal(server: ServerProcess) -> None:
    pipe = start(f"exec {CLIENT} --name Stuck --server {server.url}")
    server.wait_for("[JOIN] User Stuck")
    assert shell(f"seq -f '%04000.0f' 60 | {CLIENT} --name ci --server {server.url}").returncode == 0
    pipe.terminate()
    assert pipe.wait(timeout=60) == 1
    pipe.communicate(timeout=60)
