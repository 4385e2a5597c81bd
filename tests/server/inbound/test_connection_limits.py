"""Who may have a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.inbound.connection_limits import Admission, Verdict


def filled(limit: int, **held: int) -> Admission:
    admission = Admission(limit)
    for network, count in held.items():
        for _ in range(count):
            admission.enter(network)
    return admission


def test_while_there_is_room_anybody_may_have_as_many_as_there_are() -> None:
    assert filled(10, a=9).judge("a") is Verdict.ADMIT


@pytest.mark.parametrize("held", [{"a": 10}, {"a": 6, "b": 4}, {"a": 5, "b": 5}, {"a": 3, "b": 3, "d": 4}])
def test_when_full_whoever_has_most_gives_one_up_for_another(held: dict[str, int]) -> None:
    admission = filled(10, **held)
    assert admission.judge("c") is Verdict.DISPLACE
    assert held[admission.heaviest] == max(held.values())


def test_when_full_whoever_has_most_gets_no_more() -> None:
    assert filled(10, a=6, b=4).judge("a") is Verdict.REFUSE


@pytest.mark.parametrize("held", [{"a": 5, "c": 5}, {"a": 6, "c": 5}, dict.fromkeys("abdefghijk", 1)])
def test_when_full_nobody_gives_one_up_for_one_who_would_have_as_many(held: dict[str, int]) -> None:
    assert filled(sum(held.values()), **held).judge("c") is Verdict.REFUSE


def test_who_leaves_makes_room() -> None:
    admission = filled(10, a=5, b=5)
    admission.leave("a")
    assert admission.judge("c") is Verdict.ADMIT
    assert admission.judge("a") is Verdict.ADMIT


@given(st.lists(st.sampled_from("aaaabbc"), max_size=60), st.integers(2, 12))
def test_there_are_never_more_than_the_limit(callers: list[str], limit: int) -> None:
    admission, total = Admission(limit), 0
    for network in callers:
        match admission.judge(network):
            case Verdict.ADMIT:
                admission.enter(network)
                total += 1
            case Verdict.DISPLACE:
                assert admission.heaviest != network
                admission.leave(admission.heaviest)
                admission.enter(network)
    assert total <= limit
    assert repr(admission) == f"<Admission {total} of {limit}>"
