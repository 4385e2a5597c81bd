"""Where a restored log goes on, and how many entries lie between two numbers."""

import pytest

from server.message_log.numbering import HIGHEST_START, STEP, Gap, count_entries, gap_at_restore

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("newest", "now", "up_to"),
    [
        (10, NOW, int(NOW) * 2**20),
        (0, NOW, int(NOW) * 2**20),
        (10, 0.0, 10 + 2**20),  # no clock
        (10, 5e11, 10 + 2**20),  # a clock beyond any real time
        (int(NOW + 3600) * 2**20, NOW, int(NOW + 3600) * 2**20 + 2**20),  # the clock was ahead at an earlier restore
    ],
)
def test_gap_at_restore_ends_at_the_clock_or_a_step_further(newest: int, now: float, up_to: int) -> None:
    assert gap_at_restore(newest, now) == Gap(newest, up_to)


def test_gap_at_restore_twice_in_a_second_ends_elsewhere() -> None:
    first, second = gap_at_restore(10, NOW + 0.25), gap_at_restore(10, NOW + 0.5)
    assert second.up_to - first.up_to == STEP / 4


def test_gap_at_restore_stays_exact_in_a_double() -> None:
    assert gap_at_restore(10, HIGHEST_START / STEP).up_to == HIGHEST_START < 2**53
    assert gap_at_restore(10, HIGHEST_START / STEP + 1).up_to == 10 + STEP


@pytest.mark.parametrize(
    ("after", "up_to", "count"),
    [(0, 10, 10), (0, 20, 10), (12, 17, 0), (9, 21, 2), (0, 31, 21), (0, 50, 21), (30, 51, 2), (49, 50, 0), (9, 3, 0)],
)
def test_count_entries_leaves_out_all_gaps(after: int, up_to: int, count: int) -> None:
    assert count_entries(after, up_to, [Gap(10, 20), Gap(31, 40), Gap(40, 50)]) == count
