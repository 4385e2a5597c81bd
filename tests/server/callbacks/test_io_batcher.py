"""What is read and written in a turn of the loop: all that has come is read before anything is written."""

import asyncio
import logging
from collections.abc import Callable, Iterable

import pytest

from server.callbacks.io_batcher import AT_ONCE, IoBatcher
from tests.server.net.frozen_loop import let_happen


class Worker:
    """Writes down what it is to read and write; it does something of its own when it reads."""

    def __init__(self, name: str, done: list[str], then: Callable[[], None] | None = None) -> None:
        self._name = name
        self._done = done
        self._then = then

    def read(self, data: bytes) -> None:
        self._done.append(f"{self._name} reads {data.decode()}")
        if self._then is not None:
            self._then()

    def write(self, pieces: Iterable[bytes]) -> None:
        self._done.append(f"{self._name} writes {b''.join(pieces).decode()}")


@pytest.fixture
async def batcher() -> IoBatcher:
    return IoBatcher()


@pytest.fixture
def done() -> list[str]:
    return []


async def test_nothing_is_done_at_once(batcher: IoBatcher, done: list[str]) -> None:
    batcher.read_later(Worker("a", done), b"1")
    batcher.write_later(Worker("a", done), [b"2"])
    assert done == []
    await let_happen()
    assert done == ["a reads 1", "a writes 2"]


async def test_all_that_has_come_is_read_in_its_order_before_anything_is_written(
    batcher: IoBatcher, done: list[str]
) -> None:
    a, b = Worker("a", done), Worker("b", done)
    batcher.write_later(a, [b"1", b"2"])
    batcher.read_later(b, b"3")
    batcher.read_later(a, b"4")
    batcher.write_later(b, [b"5"])
    batcher.read_later(b, b"")
    await let_happen()
    assert done == ["b reads 3", "a reads 4", "b reads ", "a writes 12", "b writes 5"]


async def test_what_comes_of_reading_is_written_in_the_same_turn(batcher: IoBatcher, done: list[str]) -> None:
    a = Worker("a", done, lambda: batcher.write_later(a, [b"2"]))
    batcher.read_later(a, b"1")
    asyncio.get_running_loop().call_soon(done.append, "next")
    await let_happen()
    assert done == ["a reads 1", "a writes 2", "next"]


async def test_each_turn_has_the_next_after_it(batcher: IoBatcher, done: list[str]) -> None:
    for number in range(3):
        batcher.read_later(Worker("a", done), b"%d" % number)
        await let_happen()
    assert done == ["a reads 0", "a reads 1", "a reads 2"]


async def test_the_first_of_many_do_not_wait_for_all_the_others(batcher: IoBatcher, done: list[str]) -> None:
    readers = [Worker("a", done, lambda: batcher.write_later(Worker("a", done), [b"!"])) for _ in range(AT_ONCE + 1)]
    for reader in readers:
        batcher.read_later(reader, b"?")
    await let_happen()
    assert done == ["a reads ?"] * AT_ONCE + ["a writes !"] * AT_ONCE + ["a reads ?", "a writes !"]


def stumble(*_: object) -> None:
    raise RuntimeError("stumbled")


async def test_one_that_stumbles_when_it_reads_holds_up_nobody(
    batcher: IoBatcher, done: list[str], expected_tracebacks: list[logging.LogRecord]
) -> None:
    batcher.read_later(Worker("a", done, stumble), b"1")
    batcher.read_later(Worker("b", done), b"2")
    batcher.write_later(Worker("c", done), [b"3"])
    await let_happen()
    batcher.read_later(Worker("d", done), b"4")
    await let_happen()
    assert done == ["a reads 1", "b reads 2", "c writes 3", "d reads 4"]
    assert len(expected_tracebacks) == 1


async def test_one_that_stumbles_when_it_writes_holds_up_nobody(
    batcher: IoBatcher, done: list[str], expected_tracebacks: list[logging.LogRecord]
) -> None:
    class Stumbling(Worker):
        def write(self, pieces: Iterable[bytes]) -> None:
            stumble()

    batcher.write_later(Stumbling("a", done), [b"1"])
    batcher.write_later(Worker("b", done), [b"2"])
    await let_happen()
    batcher.read_later(Worker("c", done), b"3")
    await let_happen()
    assert done == ["b writes 2", "c reads 3"]
    assert len(expected_tracebacks) == 1
