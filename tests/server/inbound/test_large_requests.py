"""Room and time for large requests."""

import pytest

from server.inbound.large_requests import BYTES_IN_A_BURST, BYTES_PER_SECOND, ROOM_BYTES, LargeRequests

MIB = 1024 * 1024


def test_a_network_has_half_of_the_room_and_no_more() -> None:
    large = LargeRequests()
    assert sum(large.enter("a", MIB) for _ in range(100)) * MIB == ROOM_BYTES // 2
    assert large.enter("b", MIB)


def test_there_is_so_much_room_for_all() -> None:
    large = LargeRequests()
    assert sum(large.enter(str(number), MIB) for number in range(100)) * MIB == ROOM_BYTES


def test_what_is_left_is_room_again() -> None:
    large = LargeRequests()
    while large.enter("a", MIB):
        pass
    large.leave("a", MIB)
    assert large.enter("a", MIB)
    assert not large.enter("a", 1)


def test_request_that_grows_holds_what_has_come_until_its_end() -> None:
    large = LargeRequests()
    with large.reserve_for("a") as held:
        assert held.grow(MIB)
        assert held.grow(ROOM_BYTES // 2)
        assert not held.grow(ROOM_BYTES // 2 + 1)
        assert not large.enter("a", 1)
    assert large.enter("a", ROOM_BYTES // 2)


def test_after_a_burst_they_are_looked_at_one_after_the_other() -> None:
    large = LargeRequests()
    waits = [large.owe("a", MIB, 1000.0) for _ in range(12)]
    assert waits == pytest.approx(
        [0.0] * (BYTES_IN_A_BURST // MIB) + [n * MIB / BYTES_PER_SECOND for n in (1, 2, 3, 4)]
    )
    assert large.owe("b", MIB, 1000.0) == 0
