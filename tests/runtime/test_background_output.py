import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.background_output import TOO_SLOW, BackgroundOutput, lost_lines
from tests.fakes import PATIENCE_SECONDS

FULL = "x" * 99 + "\n"


class Pipe:
    """A pipe; `out` writes into it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.out = BackgroundOutput(self.writing, lost_lines, max_waiting=200_000)

    def read(self, size: int) -> str:
        """Read until so many bytes have come."""
        got = b""
        while len(got) < size:
            got += os.read(self.reading, size - len(got))
        return got.decode()

    def line(self) -> str:
        """Read a line."""
        got = ""
        while not got.endswith("\n"):
            got += self.read(1)
        return got

    def write(self, text: str) -> None:
        """Write, and wait until it is written or refused."""
        self.out.write(text)
        assert self.out.drain(PATIENCE_SECONDS)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reading)
    assert made.out.drain(PATIENCE_SECONDS)
    os.close(made.writing)


def test_write_keeps_the_order_of_lines(pipe: Pipe) -> None:
    text = "".join(f"{number}\n" for number in range(10_000))
    for line in text.splitlines(keepends=True):
        pipe.out.write(line)
    assert pipe.read(len(text)) == text


def test_write_without_a_reader_returns_and_keeps_a_bounded_number_of_bytes(pipe: Pipe) -> None:
    for _ in range(10_000):
        pipe.out.write(FULL)
    assert pipe.out._waiting_bytes <= 200_000
    assert not pipe.out.drain(0)


def test_lines_that_were_dropped_are_reported_behind_those_that_were_kept(pipe: Pipe) -> None:
    for _ in range(10_000):
        pipe.out.write(FULL)
    kept, reported = 0, 0
    while kept + reported < 10_000:
        if (line := pipe.line()) == FULL:
            kept += 1
        else:
            lost = int(line.split()[0].replace(",", ""))
            assert line == f"{lost_lines(lost, TOO_SLOW)}\n"
            reported += lost
    assert reported
    pipe.out.write("next\n")
    assert pipe.line() == "next\n"


def test_lines_after_the_reader_has_gone_are_reported_with_the_next_that_can_be_written(tmp_path: Path) -> None:
    pipe = Pipe()
    os.close(pipe.reading)
    pipe.write("one\ntwo\n")
    pipe.write("three\n")
    with (tmp_path / "log").open("wb") as file:
        os.dup2(file.fileno(), pipe.writing)
    pipe.write("four\n")
    os.close(pipe.writing)
    assert (tmp_path / "log").read_text() == f"{lost_lines(3, 'broken pipe')}\nfour\n"


def test_line_that_was_begun_on_a_full_disk_is_ended_before_the_report(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        out = BackgroundOutput(file.fileno(), lost_lines)
        out.write("begun")  # as a disk leaves a line that still had room for a part of it
        assert out.drain(PATIENCE_SECONDS)
        with open("/dev/full", "wb") as full:
            kept = os.dup(file.fileno())
            os.dup2(full.fileno(), file.fileno())
        out.write(" and the rest\n")
        assert out.drain(PATIENCE_SECONDS)
        os.dup2(kept, file.fileno())
        os.close(kept)
        out.write("next\n")
        assert out.drain(PATIENCE_SECONDS)
    assert path.read_text() == f"begun\n{lost_lines(1, 'no space left on device')}\nnext\n"


def test_pipe_that_another_process_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    for _ in range(1_500):  # more than a pipe holds
        pipe.out.write(FULL)
    assert pipe.read(1_500 * len(FULL)) == FULL * 1_500


def test_writers_in_many_threads_lose_nothing_and_tear_no_line(pipe: Pipe) -> None:
    threads = [threading.Thread(target=lambda: [pipe.out.write(FULL) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert pipe.read(1_600 * len(FULL)) == FULL * 1_600
    for thread in threads:
        thread.join(PATIENCE_SECONDS)


def test_characters_that_the_encoding_lacks_are_escaped(pipe: Pipe) -> None:
    out = BackgroundOutput(pipe.writing, lost_lines, "ascii")
    out.write("Zoë \ud800\n")
    assert out.drain(PATIENCE_SECONDS)
    assert pipe.read(len("Zo\\xeb \\ud800\n")) == "Zo\\xeb \\ud800\n"
