import contextlib
import os
import select
from collections.abc import Iterator
from typing import TextIO

import pytest

from client.faces.pipe.lines_out import LinesOut, lost
from client.session.inbox import NotNow
from runtime.background_output import TOO_SLOW

LONG = "x" * 100_000  # more than a pipe holds


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="ascii", errors="backslashreplace") as out:
        yield reading, out
    os.close(reading)


def test_a_line_is_in_the_encoding_of_the_stream(pipe: tuple[int, TextIO]) -> None:
    reading, out = pipe
    LinesOut(out).write("Grüße")
    assert os.read(reading, 100) == b"Gr\\xfc\\xdfe\n"


@pytest.mark.parametrize("follower", [LONG, "another"], ids=["again", "passed over"])
def test_a_line_for_which_there_is_no_room_is_written_once(pipe: tuple[int, TextIO], follower: str) -> None:
    reading, out = pipe
    lines = LinesOut(out)
    with pytest.raises(NotNow):
        lines.write(LONG)
    read = b""
    for _ in range(2):
        read += os.read(reading, 1_000_000)
        with contextlib.suppress(NotNow):
            lines.write(follower)
            break
    read += os.read(reading, 1_000_000)
    assert read.decode().split("\n") == [LONG, *([follower] if follower != LONG else []), ""]


def test_a_file_that_cannot_grow_is_an_error() -> None:
    with open("/dev/full", "w") as full, pytest.raises(OSError, match="No space left"):
        LinesOut(full).write("hi")


def test_what_nobody_wants_is_written_nowhere() -> None:
    LinesOut(None).write("hi")


def test_tell_without_room_is_written_before_the_next_line(pipe: tuple[int, TextIO]) -> None:
    reading, out = pipe
    lines = LinesOut(out)
    with pytest.raises(NotNow):
        lines.write(LONG)
    with pytest.raises(NotNow):
        lines.tell("told")
    read = b""
    while not read.endswith(b"told\n"):
        read += os.read(reading, 1_000_000)
        with contextlib.suppress(NotNow):
            lines.write_rest()
    assert read.decode() == f"{LONG}\ntold\n"


def test_tell_with_too_much_waiting_is_dropped_and_counted(pipe: tuple[int, TextIO]) -> None:
    reading, out = pipe
    lines = LinesOut(out)
    for _ in range(5):
        with contextlib.suppress(NotNow):
            lines.tell("x" * 40_000)  # the first fits into the pipe
    read = b""
    while not read.endswith(b"enough\n"):
        read += os.read(reading, 1_000_000)
        with contextlib.suppress(NotNow):
            lines.write_rest()
    *kept, report = read.decode().splitlines()
    assert set(kept) == {"x" * 40_000}
    assert report == lost(5 - len(kept), TOO_SLOW)


def test_pipe_that_fills_up_between_look_and_write_is_not_waited_for(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out = pipe
    lines = LinesOut(out)
    with pytest.raises(NotNow):
        lines.write(LONG)
    monkeypatch.setattr(select, "select", lambda reads, writes, *_: (reads, writes, []))
    with pytest.raises(NotNow):
        lines.write(LONG)
