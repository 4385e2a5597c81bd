"""The terminal as a person has it: the program in a pseudo-terminal, and a real server."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.faces.terminal.conftest import Opens
from tests.client.fake_server import free_port
from tests.client.processes import ENVIRONMENT, ROOT, ServerProcess
from tests.client.window import Window


def test_three_people_chat_as_in_the_original(server: ServerProcess, opens: Opens) -> None:
    windows = {name: opens() for name in ("Alice", "Bob", "Charlie")}
    for name, window in windows.items():
        window.gets("Enter your name: ")
        window.enters(name)
        window.gets(f"Welcome, {name}! (ID: {name.lower()}-")
        window.sees(f"Connected to chat server at {server.url}")
        window.sees("Type your messages below (type 'exit' to quit)")
        window.gets("You: ")
        server.wait_for(f"[JOIN] User {name} (ID: {name.lower()}-")
    windows["Alice"].sees("HH:MM [SYSTEM] Charlie joined the chat")
    windows["Alice"].enters("Hello everyone!")
    for name in ("Bob", "Charlie"):
        windows[name].sees_last("HH:MM Alice: Hello everyone!", "You:")
    server.wait_for("[BROADCAST] Alice: Hello everyone!")
    for window in windows.values():
        window.enters("exit")
        assert window.ends() == 0


def test_what_is_being_typed_is_not_torn(opens: Opens) -> None:
    dora, eve = opens("--name", "Dora"), opens("--name", "Eve")
    dora.sees("You:")
    eve.sees("You:")
    dora.types("half a thou")
    dora.sees("You: half a thou")
    eve.enters("me first")
    dora.sees_last("HH:MM Eve: me first", "You: half a thou")
    dora.enters("ght")
    dora.sees_last("HH:MM You: half a thought", "You:")
    eve.sees_last("HH:MM Dora: half a thought", "You:")


def test_whoever_comes_again_under_the_same_name_reads_what_was_missed(opens: Opens, tmp_path: Path) -> None:
    here = opens("--name", "Rita")
    here.sees("You:")
    away = opens("--state-dir", str(tmp_path))
    for _ in range(2):
        away.gets("Enter your name: ")
        away.enters("Sue")
        away.gets("You: ")
        here.enters("while she is here")
        away.sees("HH:MM Rita: while she is here")
        away.enters("exit")
        assert away.ends() == 0
        here.sees_last("HH:MM [SYSTEM] Sue left the chat", "You:")
        here.enters("while she is away")
        here.sees_last("HH:MM You: while she is away", "You:")
        away = opens("--state-dir", str(tmp_path))
    away.gets("Enter your name: ")
    away.enters("sue")
    away.sees("HH:MM Rita: while she is away")
    assert "Rita: while she is here" not in away.written


def test_a_name_in_use_is_asked_for_again(opens: Opens) -> None:
    first, second = opens("--name", "Fred"), opens()
    first.sees("You:")
    second.gets("Enter your name: ")
    second.enters("fred")
    second.sees("That name is in use. Choose another.")
    second.enters("a:b")
    second.gets("That name must not contain")
    second.enters("Freda")
    second.gets("Welcome, Freda!")


def test_a_name_that_is_half_a_character_is_asked_for_again(opens: Opens) -> None:
    window = opens()
    window.gets("Enter your name: ")
    os.write(window.child.fileno(), b"Ev\xe9a\r")
    window.reads("That name holds characters that are not valid Unicode.")
    window.enters("Eva")
    window.gets("Welcome, Eva!")


def test_a_name_in_use_that_was_not_typed_ends_it(opens: Opens) -> None:
    first = opens("--name", "Gina")
    first.sees("You:")
    second = opens("--name", "Gina")
    assert second.ends() == 1
    assert second.lines() == ["That name is in use. Choose another."]


@pytest.mark.parametrize("way", ["exit\r", "\x04", "\x03"], ids=["exit", "Ctrl-D", "Ctrl-C"])
def test_it_is_left_by(server: ServerProcess, opens: Opens, way: str) -> None:
    window = opens("--name", "Hans")
    window.sees("You:")
    window.types(way)
    assert window.ends() == 0
    server.wait_for("[LEAVE] User Hans")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_it_and_the_others_are_told(server: ServerProcess, opens: Opens, number: signal.Signals) -> None:
    window = opens("--name", "Ida")
    window.sees("You:")
    window.child.kill(number)
    assert window.ends() == 0
    server.wait_for("[LEAVE] User Ida")


def test_ctrl_c_clears_a_line_that_was_begun(opens: Opens) -> None:
    window = opens("--name", "Jan")
    window.sees("You:")
    window.types("never mind")
    window.sees("You: never mind")
    window.types("\x03")
    window.sees_last("You:")
    window.types("\x03")
    assert window.ends() == 0


@pytest.mark.parametrize("way", ["\x04", "\x03"], ids=["Ctrl-D", "Ctrl-C"])
def test_it_can_be_left_at_the_question_for_the_name(opens: Opens, way: str) -> None:
    window = opens()
    window.gets("Enter your name: ")
    window.types(way)
    assert window.ends() == 0


def test_hostile_text_does_not_reach_the_terminal(server: ServerProcess, opens: Opens) -> None:
    window = opens("--name", "Kim")
    window.sees("You:")
    mallory = subprocess.run(
        [sys.executable, "-m", "client", "--server", server.url, "--face", "terminal", "--name", "Mallory"],
        cwd=ROOT,
        env=ENVIRONMENT,
        input="\x1b[2J\x1b]0;gotcha\x07\u202etxt\n",
        text=True,
        timeout=60,
        check=False,
    )
    assert mallory.returncode == 0
    window.sees(r"HH:MM Mallory: \u{1b}[2J\u{1b}]0;gotcha\u{7}\u{202e}txt")


def test_a_colour_that_is_pasted_does_no_harm(opens: Opens) -> None:
    left, right = opens("--name", "Lena"), opens("--name", "Max")
    left.sees("You:")
    right.sees("You:")
    left.enters("a\x1b[31mb")
    right.sees("HH:MM Lena: ab")


def test_a_pipe_says_its_lines_and_hears_the_chat(server: ServerProcess, opens: Opens) -> None:
    window = opens("--name", "Nina")
    window.sees("You:")
    with subprocess.Popen(
        [sys.executable, "-m", "client", "--server", server.url, "--face", "terminal", "--name", "Otto"],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as pipe:
        assert pipe.stdin is not None
        assert pipe.stdout is not None
        pipe.stdin.write("from a pipe\n")
        pipe.stdin.flush()
        window.sees("HH:MM Otto: from a pipe")
        window.enters("hello pipe")
        # Notices may come in between: of somebody whom an earlier test left behind, say.
        assert next(line for line in pipe.stdout if not line.startswith("[SYSTEM]")) == "Nina: hello pipe\n"
        pipe.stdin.close()
        assert "Nina" not in pipe.stdout.read()
    assert pipe.returncode == 0
    window.sees("HH:MM [SYSTEM] Otto left the chat")


def test_a_server_that_is_not_there_is_told_and_ends_it() -> None:
    window = Window("--server", f"http://localhost:{free_port()}", "--name", "Paul")
    assert window.ends() == 1
    assert "cannot be reached" in " ".join(window.lines())


def test_what_is_typed_while_the_server_is_away_is_sent_once_when_it_is_back() -> None:
    first = ServerProcess(free_port())
    window = Window("--server", first.url, "--name", "Quinn")
    try:
        window.sees("You:")
        first.stop()
        window.enters("into the void")
        window.reads("is the port right? Trying again in ")
        second = ServerProcess(first.port)
        try:
            window.sees("HH:MM [CLIENT] back, no new messages")
            second.wait_for("[BROADCAST] Quinn: into the void")
            window.enters("exit")
            assert window.ends() == 0
            assert "Quinn: into the void" not in second.stop()
        finally:
            second.stop()
    finally:
        first.stop()
        window.close()
