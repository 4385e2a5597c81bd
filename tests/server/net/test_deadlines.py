"""When what takes too long is ended: on a loop on which time stands still until a test lets it pass."""

import logging
from collections.abc import Callable

import pytest

from server.net.deadlines import GRAIN_SECONDS, Deadlines
from tests.server.net.frozen_loop import frozen_loop, let_happen

pytestmark = pytest.mark.asyncio(loop_factories=["frozen"])

SECONDS = 5.0


class Exchange:
    """Something that takes its time, and writes down when that is over; then it does something of its own."""

    def __init__(self, name: str, expired: list[str], then: Callable[[], object] | None = None) -> None:
        self._name = name
        self._expired = expired
        self.then = then

    def expire(self) -> None:
        self._expired.append(self._name)
        if self.then is not None:
            self.then()


@pytest.fixture
async def deadlines() -> Deadlines:
    return Deadlines(SECONDS)


@pytest.fixture
def expired() -> list[str]:
    return []


async def test_nothing_expires_before_its_time(deadlines: Deadlines, expired: list[str]) -> None:
    deadlines.start(Exchange("a", expired))
    await frozen_loop().pass_time(SECONDS - 0.001)
    assert expired == []
    await frozen_loop().pass_time(0.001)
    assert expired == ["a"]


async def test_each_expires_once(deadlines: Deadlines, expired: list[str]) -> None:
    deadlines.start(Exchange("a", expired))
    await frozen_loop().pass_time(SECONDS)
    await frozen_loop().pass_time(10 * SECONDS)
    assert expired == ["a"]


async def test_what_has_begun_first_expires_first_and_the_others_in_their_time(
    deadlines: Deadlines, expired: list[str]
) -> None:
    for name in "abc":
        deadlines.start(Exchange(name, expired))
        await frozen_loop().pass_time(1)
    await frozen_loop().pass_time(SECONDS - 3)
    assert expired == ["a"]
    await frozen_loop().pass_time(1)
    assert expired == ["a", "b"]
    await frozen_loop().pass_time(1)
    assert expired == ["a", "b", "c"]


async def test_those_that_are_late_together_expire_together_in_their_order(
    deadlines: Deadlines, expired: list[str]
) -> None:
    for name in "abc":
        deadlines.start(Exchange(name, expired))
        await frozen_loop().pass_time(0.1)
    await frozen_loop().pass_time(SECONDS)
    assert expired == ["a", "b", "c"]


async def test_what_has_been_stopped_does_not_expire(deadlines: Deadlines, expired: list[str]) -> None:
    stopped = Exchange("a", expired)
    deadlines.start(stopped)
    deadlines.start(Exchange("b", expired))
    deadlines.stop(stopped)
    await frozen_loop().pass_time(SECONDS)
    assert expired == ["b"]


async def test_what_was_never_started_may_be_stopped(deadlines: Deadlines, expired: list[str]) -> None:
    deadlines.stop(Exchange("a", expired))
    await frozen_loop().pass_time(SECONDS)
    assert expired == []


async def test_what_is_started_anew_has_all_its_time_again(deadlines: Deadlines, expired: list[str]) -> None:
    again = Exchange("a", expired)
    deadlines.start(again)
    deadlines.start(Exchange("b", expired))
    await frozen_loop().pass_time(SECONDS - 1)
    deadlines.stop(again)
    deadlines.start(again)
    await frozen_loop().pass_time(SECONDS - 1)
    assert expired == ["b"]
    await frozen_loop().pass_time(1)
    assert expired == ["b", "a"]


async def test_what_starts_anew_when_it_expires_has_all_its_time_again(
    deadlines: Deadlines, expired: list[str]
) -> None:
    again = Exchange("a", expired)
    again.then = lambda: deadlines.start(again)
    deadlines.start(again)
    for times in (1, 2, 3):
        await frozen_loop().pass_time(SECONDS - 0.001)
        assert expired == ["a"] * (times - 1)
        await frozen_loop().pass_time(0.001)
        assert expired == ["a"] * times


async def test_what_starts_another_when_it_expires_has_that_expire_in_its_time(
    deadlines: Deadlines, expired: list[str]
) -> None:
    another = Exchange("b", expired)
    deadlines.start(Exchange("a", expired, lambda: deadlines.start(another)))
    await frozen_loop().pass_time(SECONDS)
    assert expired == ["a"]
    await frozen_loop().pass_time(SECONDS)
    assert expired == ["a", "b"]


async def test_what_is_stopped_by_one_that_expires_does_not_expire(deadlines: Deadlines, expired: list[str]) -> None:
    stopped = Exchange("b", expired)
    deadlines.start(Exchange("a", expired, lambda: deadlines.stop(stopped)))
    deadlines.start(stopped)
    await frozen_loop().pass_time(SECONDS)
    assert expired == ["a"]


async def test_what_is_started_anew_by_one_that_expires_has_all_its_time_again(
    deadlines: Deadlines, expired: list[str]
) -> None:
    again = Exchange("b", expired)

    def start_again() -> None:
        deadlines.stop(again)
        deadlines.start(again)

    deadlines.start(Exchange("a", expired, start_again))
    deadlines.start(again)
    await frozen_loop().pass_time(SECONDS)
    assert expired == ["a"]
    await frozen_loop().pass_time(SECONDS)
    assert expired == ["a", "b"]


async def test_one_that_stumbles_when_it_expires_holds_up_nobody(
    deadlines: Deadlines, expired: list[str], expected_tracebacks: list[logging.LogRecord]
) -> None:
    def stumble() -> None:
        raise RuntimeError("stumbled")

    deadlines.start(Exchange("a", expired, stumble))
    deadlines.start(Exchange("b", expired))
    await frozen_loop().pass_time(1)
    deadlines.start(Exchange("c", expired))
    await frozen_loop().pass_time(SECONDS)
    deadlines.start(Exchange("d", expired))
    await frozen_loop().pass_time(SECONDS)
    assert expired == ["a", "b", "c", "d"]
    assert len(expected_tracebacks) == 1


async def test_there_is_one_timer_however_many_there_are(deadlines: Deadlines, expired: list[str]) -> None:
    before = frozen_loop().timers
    for number in range(1000):
        deadlines.start(Exchange(str(number), expired))
    assert frozen_loop().timers == before + 1
    await frozen_loop().pass_time(SECONDS)
    assert len(expired) == 1000
    assert frozen_loop().timers == before + 1


async def test_exchanges_that_end_in_time_set_no_timers(deadlines: Deadlines, expired: list[str]) -> None:
    before = frozen_loop().timers
    for _ in range(1000):
        exchange = Exchange("a", expired)
        deadlines.start(exchange)
        deadlines.stop(exchange)
        await frozen_loop().pass_time(SECONDS / 1000)
    await let_happen()
    assert frozen_loop().timers <= before + 2


async def test_the_timer_goes_off_at_most_once_in_its_grain(deadlines: Deadlines, expired: list[str]) -> None:
    for number in range(100):
        deadlines.start(Exchange(str(number), expired))
        await frozen_loop().pass_time(GRAIN_SECONDS / 10)
    before = frozen_loop().timers
    await frozen_loop().pass_time(SECONDS - 10 * GRAIN_SECONDS)
    for _ in range(110):
        await frozen_loop().pass_time(GRAIN_SECONDS / 10)
    assert expired == [str(number) for number in range(100)]
    assert frozen_loop().timers <= before + 11


async def test_none_is_late_by_more_than_the_grain(deadlines: Deadlines, expired: list[str]) -> None:
    for name in "ab":
        deadlines.start(Exchange(name, expired))
        await frozen_loop().pass_time(GRAIN_SECONDS / 100)
    await frozen_loop().pass_time(SECONDS - 2 * GRAIN_SECONDS / 100)
    assert expired == ["a"]
    await frozen_loop().pass_time(GRAIN_SECONDS)
    assert expired == ["a", "b"]
