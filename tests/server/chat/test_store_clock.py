"""The store clock: what a jump of the wall clock, at a start or while running, can do to ages."""

import pytest

from server.chat.store_clock import DAY, Mark, StoreClock, duration, longest_stop, mark_interval

NOW = 1_800_000_000.0
YEAR = 365 * DAY
MONTH = 30 * DAY


class Machine:
    """Starts and stops a server again and again; `right` is the true time, `marks` is what the store keeps."""

    def __init__(self) -> None:
        self.right = NOW
        self.marks: list[Mark] = []

    def run(self, skew: float = 0.0, hours: float = 0.0, stopped: float = 0.0) -> StoreClock:
        """Run with a wall clock that is wrong by `skew`, then be stopped for so many seconds."""
        recent = [mark for mark in self.marks if mark.at >= self.marks[-1].at - DAY]
        clock = StoreClock(recent, self.right + skew, uptime=5.0, longest=DAY)
        for tick in range(int(hours * 6) + 1):  # a mark every ten minutes
            self.marks.append(Mark(clock.now(5.0 + tick * 600), self.right + skew + tick * 600, 0))
        self.right += hours * 3600 + stopped
        return clock

    @property
    def age(self) -> float:
        """How old is what was stored first."""
        return self.marks[-1].at - self.marks[0].at


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.run(hours=24)
    return machine


def test_store_clock_of_new_store_begins_at_wall_time() -> None:
    clock = StoreClock([], NOW, uptime=77.0, longest=DAY)
    assert (clock.now(77.0), clock.now(177.0)) == (NOW, NOW + 100)
    assert (clock.stopped, clock.counted) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("stopped", "skew", "counted"),
    [
        (3600.0, 0.0, 3600.0),
        (23 * 3600.0, 0.0, 23 * 3600.0),
        (14 * DAY, 0.0, DAY),
        (60.0, YEAR, DAY),
        (60.0, -YEAR, 0.0),
        (60.0, -NOW, 0.0),
    ],
)
def test_stop_counts_as_long_as_it_was_up_to_a_day(
    machine: Machine, stopped: float, skew: float, counted: float
) -> None:
    machine.right += stopped
    clock = machine.run(skew)
    assert (clock.stopped, clock.counted) == (stopped + skew, counted)
    assert machine.age == DAY + counted


def test_laptop_that_runs_an_hour_a_day_ages_by_a_day_a_day(machine: Machine) -> None:
    machine.right += 23 * 3600
    for _ in range(10):
        machine.run(hours=1, stopped=23 * 3600)
    assert machine.age == 11 * DAY - 3600 + 3600  # the last stop is not over yet


@pytest.mark.parametrize("skew", [YEAR, -YEAR])
def test_restarts_with_a_wrong_clock_add_one_day_at_most(machine: Machine, skew: float) -> None:
    for _ in range(100):
        machine.run(skew, stopped=5.0)
    assert machine.age <= 2 * DAY + 500


@pytest.mark.parametrize(
    "skews", [(0.0, YEAR), (YEAR, 2 * YEAR, 0.0), (-YEAR, YEAR, 0.0), (DAY, 2 * DAY, 3 * DAY, 0.0)]
)
def test_alternating_clock_adds_what_it_is_ahead_only_once(machine: Machine, skews: tuple[float, ...]) -> None:
    for _ in range(50):
        for skew in skews:
            machine.run(skew, stopped=5.0)
    assert machine.age <= DAY + len(skews) * DAY + 50 * len(skews) * 5


def test_alternating_clock_cannot_age_faster_than_twice_the_running_time(machine: Machine) -> None:
    for _ in range(10):
        machine.run(YEAR)
        machine.run(hours=24)
    assert machine.age <= 2 * 11 * DAY


def test_after_a_day_of_running_with_the_right_clock_stops_count_again(machine: Machine) -> None:
    machine.run(YEAR)
    machine.run(hours=24.5, stopped=3600.0)
    before = machine.age
    machine.run()
    assert machine.age == before + 3600


def test_sleep_of_the_machine_counts_up_to_a_day() -> None:
    clock = StoreClock([], NOW, uptime=0.0, longest=DAY)
    assert clock.now(8 * 3600.0) == NOW + 8 * 3600
    assert clock.now(8 * 3600.0 + YEAR) == NOW + 8 * 3600 + DAY


def test_store_clock_never_goes_back() -> None:
    clock = StoreClock([], NOW, uptime=100.0, longest=DAY)
    assert clock.now(0.0) == NOW
    assert clock.now(10.0) == NOW + 10


@pytest.mark.parametrize("jump", [YEAR, -YEAR, -NOW, 61.0])
def test_jump_of_the_wall_clock_is_reported_once_and_changes_no_age(jump: float) -> None:
    clock = StoreClock([], NOW, uptime=0.0, longest=DAY)
    assert clock.jump(NOW + 600, 600.0) == 0.0
    assert clock.jump(NOW + 1200 + jump, 1200.0) == jump
    assert clock.jump(NOW + 1800 + jump, 1800.0) == 0.0
    assert clock.now(1800.0) == NOW + 1800


def test_small_corrections_of_the_wall_clock_are_no_jump() -> None:
    assert StoreClock([], NOW, uptime=0.0, longest=DAY).jump(NOW + 659.0, 600.0) == 0.0


@pytest.mark.parametrize("retention", [1.0, 60.0, 3600.0, DAY, MONTH, 10 * YEAR])
def test_marks_are_closer_than_one_stop_counts(retention: float) -> None:
    assert 2 * mark_interval(retention) <= longest_stop(retention)


def test_marks_and_stops_of_the_default_retention() -> None:
    assert (mark_interval(MONTH), longest_stop(MONTH)) == (600.0, DAY)
    assert (mark_interval(DAY), longest_stop(DAY)) == (600.0, DAY / 10)
    assert (mark_interval(2.0), longest_stop(2.0)) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 seconds"),
        (1.0, "1 second"),
        (90.0, "1.5 minutes"),
        (3600.0, "1 hour"),
        (DAY, "1 day"),
        (36 * 3600.0, "1.5 days"),
        (20_000 * DAY, "20,000 days"),
    ],
)
def test_duration_is_told_in_the_largest_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words
