"""Token buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.rate_limit import SWEEP_FROM, RateLimit

NOW = 1000.0


def taken(limit: RateLimit, tries: int, now: float = NOW) -> int:
    return sum(limit.take("alice", now) == 0 for _ in range(tries))


def test_a_burst_is_let_through_and_no_more() -> None:
    assert taken(RateLimit(20, 100), 300) == 100


def test_what_is_refused_is_told_how_long_to_wait() -> None:
    limit = RateLimit(20, 2)
    taken(limit, 2)
    assert limit.take("alice", NOW) == pytest.approx(0.05)
    assert limit.take("alice", NOW + 0.04) == pytest.approx(0.01)
    assert limit.take("alice", NOW + 0.05) == 0


def test_to_be_refused_costs_nothing() -> None:
    limit = RateLimit(20, 2)
    taken(limit, 1000)
    assert limit.take("alice", NOW + 0.05) == 0


def test_a_bucket_fills_with_time_and_not_above_its_rim() -> None:
    limit = RateLimit(20, 100)
    taken(limit, 100)
    assert taken(limit, 300, NOW + 1) == 20
    assert taken(limit, 300, NOW + 1000) == 100


def test_everybody_has_a_bucket_of_ones_own() -> None:
    limit = RateLimit(20, 1)
    assert limit.take("alice", NOW) == 0
    assert limit.take("bob", NOW) == 0
    assert limit.take("alice", NOW) > 0


def test_a_rate_of_0_is_no_limit() -> None:
    assert taken(RateLimit(0, 0), 1000) == 1000


def test_a_bucket_of_less_than_one_has_one_all_the_same() -> None:
    limit = RateLimit(0.1, 0.5)
    assert limit.take("alice", NOW) == 0
    assert limit.take("alice", NOW) == pytest.approx(10)


def test_what_counts_for_many_takes_as_many() -> None:
    limit = RateLimit(20, 100)
    assert limit.take("alice", NOW, 60) == 0
    assert limit.take("alice", NOW, 60) == pytest.approx(1)
    assert limit.take("alice", NOW, 40) == 0


def test_what_counts_for_more_than_a_burst_takes_all_of_it() -> None:
    limit = RateLimit(1, 5)
    assert limit.take("alice", NOW, 11) == 0
    assert limit.take("alice", NOW, 11) == pytest.approx(5)


def test_what_is_owed_is_waited_for_in_turn() -> None:
    limit = RateLimit(2, 8)
    assert [limit.owe("alice", NOW, 4) for _ in range(4)] == pytest.approx([0, 0, 2, 4])
    assert limit.owe("alice", NOW + 100, 8) == 0


def test_full_buckets_are_forgotten() -> None:
    limit = RateLimit(10, 10)
    for number in range(10 * SWEEP_FROM):
        limit.take(number, NOW + number)
    assert f"keys={10 * SWEEP_FROM}" not in repr(limit)
    assert int(repr(limit).partition("keys=")[2].rstrip(">")) <= SWEEP_FROM


@given(st.lists(st.floats(0, 10), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_in_no_stretch_of_time_more_is_taken_than_burst_and_rate_allow(
    pauses: list[float], rate: int, burst: int
) -> None:
    limit, now, at = RateLimit(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        if limit.take("alice", now) == 0:
            at.append(now)
    for first, begin in enumerate(at):
        for last, end in enumerate(at[first:]):
            assert last + 1 <= burst + rate * (end - begin) + 1e-6
