"""One recipient's delivery against every line of the contract, with a clock that is a number."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.methods import MAX_PUSH_BYTES
from server.delivery.outbox import PAUSE_SECONDS, Fetch, Outbox, Post, Probe, Wait
from server.delivery.states import DeliveryState, IllegalTransitionError
from server.message_log.entry import Draft, Entry, make_entry

ME = "me"
EVICT_AFTER = 30.0
MIDDLE = 0.5  # the spread that leaves the schedule as it is
SCHEDULE = [0.25, 0.5, 1, 2, 5, 10, 10, 10]
REFUSED = -32000


def entry(seq: int, sender: str = "bob", text: str = "hi") -> Entry:
    return make_entry(Draft(sender_id=sender, sender_name=sender, text=text, at=0.0), seq, "e")


def log_of(senders: Iterable[str]) -> list[Entry]:
    """A log with one letter for each sender; `m` is the recipient itself."""
    return [entry(seq, ME if sender == "m" else sender) for seq, sender in enumerate(senders, 1)]


PAGE = 256


def outbox_at(cursor: int = 0, max_batch: int = 1, now: float = 0.0) -> Outbox:
    return Outbox(ME, cursor, max_batch, EVICT_AFTER, now)


def next_step(outbox: Outbox, log: list[Entry], now: float = 0.0) -> Post | Probe | Wait:
    """What the outbox wants when it has read of the log what it wants to read."""
    while isinstance(step := outbox.step(len(log), now), Fetch):
        outbox.loaded(log[step.after : step.after + PAGE], len(log))
    return step


def offered(outbox: Outbox, log: list[Entry], now: float = 0.0) -> list[int]:
    step = next_step(outbox, log, now)
    assert isinstance(step, Post), step
    return [entry.seq for entry in step.entries]


def waits_until(outbox: Outbox, log: list[Entry], now: float = 0.0) -> float:
    step = next_step(outbox, log, now)
    assert isinstance(step, Wait), step
    return step.until


def fail(outbox: Outbox, log: list[Entry], now: float, retry_after: float | None = None) -> bool:
    assert isinstance(next_step(outbox, log, now), Post | Probe)
    return outbox.failed(now, MIDDLE, retry_after)


def fail_by_schedule(outbox: Outbox, log: list[Entry], now: float = 0.0) -> list[tuple[float, bool]]:
    """Fail every try until the outbox gives up; gives the time of each try and whether it was the last."""
    tries: list[tuple[float, bool]] = []
    while not tries or not tries[-1][1]:
        tries.append((now, fail(outbox, log, now)))
        now = waits_until(outbox, log, now)
    return tries


# What is posted


def test_a_recipient_that_has_everything_is_let_alone() -> None:
    assert outbox_at(3).step(3, 0) == Wait(15, idle=True)


@pytest.mark.parametrize(("max_batch", "limit"), [(1, 32), (32, 32), (256, 256)])
def test_as_much_as_one_post_may_carry_is_fetched_after_the_cursor(max_batch: int, limit: int) -> None:
    assert outbox_at(cursor=41, max_batch=max_batch).step(50, 0) == Fetch(41, limit)


def test_messages_are_posted_one_by_one() -> None:
    outbox, log = outbox_at(), log_of("ab")
    assert offered(outbox, log) == [1]
    outbox.responded(1, None, 0, MIDDLE)
    assert offered(outbox, log) == [2]
    outbox.responded(1, None, 0, MIDDLE)
    assert outbox.cursor == 2
    assert waits_until(outbox, log) == 15


def test_several_go_together_up_to_max_batch() -> None:
    assert offered(outbox_at(max_batch=3), log_of("abab")) == [1, 2, 3]


def test_the_cursor_moves_only_with_an_answer() -> None:
    outbox = outbox_at(max_batch=3)
    offered(outbox, log_of("aaa"))
    assert outbox.cursor == 0


def test_only_one_post_is_in_flight() -> None:
    outbox, log = outbox_at(), log_of("ab")
    offered(outbox, log)
    with pytest.raises(IllegalTransitionError, match="post while in flight"):
        next_step(outbox, log)


@pytest.mark.parametrize(
    ("senders", "max_batch", "posts"),
    [
        ("mmm", 1, []),
        ("mmmmmmm", 3, []),
        ("amb", 3, [[1, 3]]),
        ("mab", 3, [[2, 3]]),
        ("abm", 3, [[1, 2]]),
        ("mmmmab", 2, [[5, 6]]),
        ("ammmmb", 2, [[1, 6]]),
        ("mambm", 1, [[2], [4]]),
    ],
)
def test_nobody_gets_what_it_said_itself(senders: str, max_batch: int, posts: list[list[int]]) -> None:
    outbox, log = outbox_at(max_batch=max_batch), log_of(senders)
    seen = []
    while isinstance(step := next_step(outbox, log), Post):
        seen.append([entry.seq for entry in step.entries])
        outbox.responded(len(step.entries), None, 0, MIDDLE)
    assert seen == posts
    assert outbox.cursor == len(log)


def log_of_sizes(*sizes: int) -> list[Entry]:
    """A log whose requests have these sizes in bytes."""
    bare = len(entry(1, text="").request)
    return [entry(seq, text="x" * (size - bare)) for seq, size in enumerate(sizes, 1)]


HALF = MAX_PUSH_BYTES // 2


@pytest.mark.parametrize(
    ("sizes", "together"),
    [
        ((HALF - 1, HALF - 2, 200), 2),  # two brackets and one comma: the limit to the byte
        ((HALF - 1, HALF - 1, 200), 1),
        ((HALF, HALF - 3, 200), 2),
        ((MAX_PUSH_BYTES, 200), 1),
        ((MAX_PUSH_BYTES + 1, 200), 1),
        ((200, MAX_PUSH_BYTES), 1),
    ],
)
def test_a_batch_has_at_most_512_kib(sizes: tuple[int, ...], together: int) -> None:
    log = log_of_sizes(*sizes)
    assert offered(outbox_at(max_batch=256), log) == list(range(1, together + 1))
    assert together == 1 or len(b"[" + b",".join(entry.request for entry in log[:together]) + b"]") <= MAX_PUSH_BYTES


def test_what_does_not_fit_any_more_comes_next() -> None:
    outbox, log = outbox_at(max_batch=256), log_of_sizes(HALF, HALF, 200)
    offered(outbox, log)
    outbox.responded(1, None, 0, MIDDLE)
    assert offered(outbox, log) == [2, 3]


def test_what_is_no_longer_kept_is_passed_over() -> None:
    outbox = outbox_at(cursor=2)
    assert outbox.step(9, 0) == Fetch(2, 32)
    outbox.loaded([], 9)
    assert outbox.cursor == 9
    assert outbox.step(9, 0) == Wait(15, idle=True)


def test_one_who_is_behind_what_is_kept_goes_on_at_the_oldest() -> None:
    outbox = outbox_at(cursor=2, max_batch=5)
    outbox.step(9, 0)
    outbox.loaded([entry(7), entry(8)], 9)
    step = outbox.step(9, 0)
    assert isinstance(step, Post)
    assert [entry.seq for entry in step.entries] == [7, 8]


# Taken: the longest prefix


def test_the_prefix_that_was_answered_moves_the_cursor_and_the_rest_goes_at_once() -> None:
    outbox, log = outbox_at(max_batch=5), log_of("aaaaa")
    offered(outbox, log)
    assert outbox.responded(2, None, 1, MIDDLE) is None
    assert outbox.cursor == 2
    assert offered(outbox, log, 1) == [3, 4, 5]


def test_the_rest_of_a_batch_is_a_new_one_that_others_may_join() -> None:
    outbox, log = outbox_at(max_batch=3), log_of("aaa")
    offered(outbox, log)
    outbox.responded(1, None, 0, MIDDLE)
    assert offered(outbox, [*log, entry(4)]) == [2, 3, 4]


# Refusals


def test_a_refused_message_is_tried_five_times_and_then_passed_over() -> None:
    outbox, log = outbox_at(), log_of("ab")
    now, passed, waits = 0.0, None, []
    while passed is None:
        assert offered(outbox, log, now) == [1]
        passed = outbox.responded(0, REFUSED, now, MIDDLE)
        if passed is None:
            waits.append(waits_until(outbox, log, now) - now)
            now += waits[-1]
    assert passed.seq == 1
    assert waits == pytest.approx(SCHEDULE[:4])
    assert offered(outbox, log, now) == [2]
    assert (outbox.cursor, outbox.passed_over) == (0, 1), "the message is kept until the next one is taken"
    outbox.responded(1, None, now, MIDDLE)
    assert (outbox.cursor, outbox.passed_over, outbox.given_up) == (2, 1, 1)


def test_a_refused_batch_goes_again_as_it_was() -> None:
    outbox, log = outbox_at(max_batch=3), log_of("aa")
    offered(outbox, log)
    outbox.responded(0, REFUSED, 0, MIDDLE)
    assert offered(outbox, [*log, entry(3)], 1) == [1, 2]


def test_in_a_batch_the_refused_message_goes_first_next_time_and_later() -> None:
    outbox, log = outbox_at(max_batch=4), log_of("aaaa")
    offered(outbox, log)
    outbox.responded(2, REFUSED, 0, MIDDLE)
    assert outbox.cursor == 2
    assert waits_until(outbox, log) == pytest.approx(0.25)
    assert offered(outbox, log, 0.25) == [3, 4]


def test_one_refused_message_of_a_batch_is_passed_over_and_the_others_are_taken() -> None:
    outbox, log = outbox_at(max_batch=3), log_of("aaa")
    offered(outbox, log)
    outbox.responded(1, REFUSED, 0, MIDDLE)
    passed = []
    for now in (10, 20, 30, 40):
        assert offered(outbox, log, now) == [2, 3]
        passed.append(outbox.responded(0, REFUSED, now, MIDDLE))
    assert passed == [None, None, None, log[1]]
    assert offered(outbox, log, 40) == [3]


def test_each_message_has_its_own_five_tries() -> None:
    outbox, log = outbox_at(max_batch=2), log_of("aa")
    for now in (0, 10, 20, 30):
        offered(outbox, log, now)
        assert outbox.responded(0, REFUSED, now, MIDDLE) is None
    offered(outbox, log, 40)
    assert outbox.responded(1, REFUSED, 40, MIDDLE) is None, "this is the first refusal of another message"
    assert waits_until(outbox, log, 40) == pytest.approx(40.25)


def test_the_message_after_one_that_was_forgotten_while_it_was_refused_has_its_own_five_tries() -> None:
    outbox, log = outbox_at(max_batch=3), log_of("aaa")
    offered(outbox, log)
    outbox.responded(1, REFUSED, 0, MIDDLE)
    assert outbox.step(3, 10) == Fetch(1, 32)
    outbox.loaded(log[2:], 3)
    outbox.step(3, 10)
    outbox.responded(0, REFUSED, 10, MIDDLE)
    assert waits_until(outbox, log, 10) == pytest.approx(10.25)


def test_the_message_after_one_that_was_passed_over_has_its_own_five_tries() -> None:
    outbox, log = outbox_at(), log_of("ab")
    for now in range(0, 50, 10):
        offered(outbox, log, now)
        passed = outbox.responded(0, REFUSED, now, MIDDLE)
    assert passed is log[0]
    assert offered(outbox, log, 40) == [2]
    assert outbox.responded(0, REFUSED, 40, MIDDLE) is None


def test_refusals_of_a_whole_day_evict_nobody_and_make_nobody_unreachable() -> None:
    outbox, log = outbox_at(), log_of("a" * 100)
    for now in range(0, 86_400, 864):
        offered(outbox, log, now)
        outbox.responded(0, REFUSED, now, MIDDLE)
        assert not outbox.is_unreachable
    assert not fail(outbox, log, 86_500), "the eviction clock begins with the first failure"


def pass_over(outbox: Outbox, log: list[Entry], seq: int, now: float, by: str = "error") -> float:
    """Refuse this message until it is set aside; gives the time."""
    for tries in range(1, 6):
        assert offered(outbox, log, now) == [seq]
        if by == "error":
            aside = outbox.responded(0, REFUSED, now, MIDDLE)
        else:
            assert not outbox.refused(now, MIDDLE)
            aside = None
        if tries < 5:
            assert aside is None
            now = waits_until(outbox, log, now)
    if by == "status":
        assert next_step(outbox, log, now) == Probe()
        aside = outbox.probed(now)
    assert aside is log[seq - 1]
    return now


@pytest.mark.parametrize("by", ["error", "status"])
def test_recipient_that_takes_the_next_message_has_one_passed_over(by: str) -> None:
    outbox, log = outbox_at(), log_of("ababab")
    now = pass_over(outbox, log, 1, 0, by)
    assert offered(outbox, log, now) == [2]
    outbox.responded(1, None, now, MIDDLE)
    now = pass_over(outbox, log, 3, now, by)
    assert offered(outbox, log, now) == [4]
    outbox.responded(1, None, now, MIDDLE)
    assert (outbox.cursor, outbox.given_up) == (4, 2)


@pytest.mark.parametrize("by", ["error", "status"])
def test_recipient_that_takes_nothing_loses_nothing(by: str) -> None:
    """Its own database is down: as soon as it is back, everything comes, from the first message on."""
    outbox, log = outbox_at(), log_of("abab")
    now = pass_over(outbox, log, 1, 0, by)
    for _ in range(3):
        assert offered(outbox, log, now) == [2]
        if by == "error":
            assert outbox.responded(0, REFUSED, now, MIDDLE) is None
        else:
            assert not outbox.refused(now, MIDDLE)
        assert outbox.passed_over == 0
        now = waits_until(outbox, log, now)
        assert offered(outbox, log, now) == [1], "it begins again with the first"
        if by == "error":
            assert outbox.responded(0, REFUSED, now, MIDDLE) is None
        else:
            assert not outbox.refused(now, MIDDLE)
        assert outbox.passed_over == 1
    assert offered(outbox, log, now) == [2]
    outbox.failed(now, MIDDLE)
    now = waits_until(outbox, log, now)
    for seq in (1, 2, 3, 4):
        assert offered(outbox, log, now) == [seq]
        outbox.responded(1, None, now, MIDDLE)
    assert (outbox.cursor, outbox.given_up, outbox.passed_over) == (4, 0, 0)


@pytest.mark.parametrize("by", ["error", "status"])
def test_message_set_aside_goes_again_before_one_that_comes_after_a_pause(by: str) -> None:
    """In a quiet chat the recipient's own database may be down for as long as one message waits."""
    outbox, log = outbox_at(), log_of("ab")
    now = pass_over(outbox, log[:1], 1, 0, by)
    waits_until(outbox, log[:1], now)
    assert offered(outbox, log, now + PAUSE_SECONDS) == [1]
    outbox.responded(1, None, now + PAUSE_SECONDS, MIDDLE)
    assert offered(outbox, log, now + PAUSE_SECONDS) == [2]
    assert (outbox.cursor, outbox.given_up) == (1, 0)


@pytest.mark.parametrize("by", ["error", "status"])
def test_message_set_aside_and_refused_again_after_a_pause_is_passed_over(by: str) -> None:
    outbox, log = outbox_at(), log_of("ab")
    now = pass_over(outbox, log[:1], 1, 0, by) + PAUSE_SECONDS
    assert offered(outbox, log, now) == [1]
    if by == "error":
        outbox.responded(0, REFUSED, now, MIDDLE)
    else:
        assert not outbox.refused(now, MIDDLE)
    assert offered(outbox, log, now) == [2], "at once"
    outbox.responded(1, None, now, MIDDLE)
    assert (outbox.cursor, outbox.given_up) == (2, 1)


def test_second_message_refused_by_status_evicts_and_passes_over_none() -> None:
    outbox, log = outbox_at(), log_of("abab")
    begin = now = pass_over(outbox, log, 1, 0, "status")
    evicted = False
    while not evicted:
        assert offered(outbox, log, now) == [2]
        evicted = outbox.refused(now, MIDDLE)
        now = waits_until(outbox, log, now)
        if not evicted:
            assert offered(outbox, log, now) == [1]
            assert not outbox.refused(now, MIDDLE)
    assert now - begin >= EVICT_AFTER
    assert (outbox.cursor, outbox.given_up) == (0, 0)


def test_error_answers_set_up_to_eight_messages_aside() -> None:
    outbox, log = outbox_at(), log_of("a" * 20)
    now, asides = 0.0, 0
    for _ in range(400):
        step = next_step(outbox, log, now)
        if isinstance(step, Wait):
            now = step.until
            continue
        asides += outbox.responded(0, REFUSED, now, MIDDLE) is not None
    assert asides == 8
    assert outbox.cursor == 0
    while (step := next_step(outbox, log, now)) != Post((log[8],)):
        now = step.until if isinstance(step, Wait) else now
        if isinstance(step, Post):
            outbox.responded(0, REFUSED, now, MIDDLE)
    outbox.responded(1, None, now, MIDDLE)
    assert (outbox.cursor, outbox.given_up) == (9, 8)


def test_what_the_recipient_says_meanwhile_does_not_give_up_a_message() -> None:
    outbox, log = outbox_at(), log_of("am")
    now = pass_over(outbox, log, 1, 0, "status")
    assert waits_until(outbox, log, now) == now + 15
    assert (outbox.cursor, outbox.passed_over, outbox.is_unreachable) == (0, 1, False)


def test_probe_that_fails_leaves_the_refused_message_where_it_is() -> None:
    outbox, log, now = outbox_at(), log_of("ab"), 0.0
    for _ in range(5):
        assert offered(outbox, log, now) == [1]
        outbox.refused(now, MIDDLE)
        now = waits_until(outbox, log, now) if outbox.step(2, now) != Probe() else now
    assert not outbox.failed(now, MIDDLE)
    now = waits_until(outbox, log, now)
    assert offered(outbox, log, now) == [1]
    outbox.refused(now, MIDDLE)
    assert outbox.step(2, now) == Probe(), "it is asked again"
    assert outbox.failed(now + EVICT_AFTER, MIDDLE)


def test_refusals_by_status_evict_nobody_before_the_probe() -> None:
    outbox, log = Outbox(ME, 0, 1, 0.1, 0.0), log_of("a")
    for now in range(5):
        assert offered(outbox, log, now) == [1]
        assert not outbox.refused(now, MIDDLE)
    assert outbox.step(1, 4) == Probe()


# Batches that are refused as a whole


@pytest.mark.parametrize("too_large", [True, False])
def test_batch_that_is_refused_is_halved_down_to_one_message(*, too_large: bool) -> None:
    outbox, log = outbox_at(max_batch=5), log_of("a" * 9)
    assert offered(outbox, log) == [1, 2, 3, 4, 5]
    assert outbox.narrow(0, too_large=too_large)
    assert offered(outbox, log) == [1, 2]
    assert outbox.narrow(0, too_large=too_large)
    assert offered(outbox, log) == [1]
    assert not outbox.narrow(0, too_large=too_large)
    assert outbox.failures == 0


def test_one_message_of_a_batch_that_is_refused_is_found_and_passed_over_alone() -> None:
    outbox, log, now, taken = outbox_at(max_batch=8), log_of("a" * 20), 0.0, list[int]()
    while outbox.cursor < 20:
        step = next_step(outbox, log, now)
        if isinstance(step, Wait):
            now = step.until
        elif isinstance(step, Probe):
            assert outbox.probed(now) is log[12]
        elif log[12] not in step.entries:
            taken += [entry.seq for entry in step.entries]
            outbox.responded(len(step.entries), None, now, MIDDLE)
        elif not outbox.narrow(now, too_large=False):
            outbox.refused(now, MIDDLE)
    assert taken == [seq for seq in range(1, 21) if seq != 13]
    assert outbox.given_up == 1


def test_batches_grow_again_after_one_that_was_refused() -> None:
    outbox, log = outbox_at(max_batch=8), log_of("a" * 40)
    sizes = []
    offered(outbox, log)
    for _ in range(3):
        outbox.narrow(0, too_large=False)
        offered(outbox, log)
    for _ in range(5):
        sizes.append(len(outbox._waiting))
        outbox.responded(sizes[-1], None, 0, MIDDLE)
        offered(outbox, log)
    assert sizes == [1, 2, 4, 8, 8]


def test_size_that_was_too_large_is_not_tried_for_ten_minutes() -> None:
    log = log_of_sizes(*[1000] * 200)
    outbox, limit, now, refused, sizes = outbox_at(max_batch=8), 3000, 0.0, list[float](), list[int]()
    while outbox.cursor < 190:
        step = next_step(outbox, log, now)
        assert isinstance(step, Post)
        if sum(len(entry.request) for entry in step.entries) > limit:
            assert outbox.narrow(now, too_large=True)
            refused.append(now)
        else:
            outbox.responded(len(step.entries), None, now, MIDDLE)
            sizes.append(len(step.entries))
        now += 10
    assert [second - first for first, second in pairwise(refused)] == [10, 600, 10]
    assert set(sizes) == {2}, "the size that fits"


# Failures


def test_a_failed_try_is_repeated_by_the_schedule() -> None:
    outbox, log = outbox_at(), log_of("a")
    times = [now for now, _ in fail_by_schedule(outbox, log)]
    assert [later - now for now, later in pairwise(times)] == pytest.approx(SCHEDULE[: len(times) - 1])


@pytest.mark.parametrize(("spread", "wait"), [(0, 0.2), (0.5, 0.25), (0.999999, 0.3)])
def test_chance_moves_a_retry(spread: float, wait: float) -> None:
    outbox, log = outbox_at(), log_of("a")
    offered(outbox, log)
    outbox.failed(0, spread)
    assert waits_until(outbox, log) == pytest.approx(wait, abs=1e-6)


def test_a_retry_has_the_same_entries_even_if_more_came() -> None:
    outbox, log = outbox_at(max_batch=5), log_of("amb")
    assert offered(outbox, log) == [1, 3]
    outbox.failed(0, MIDDLE)
    assert offered(outbox, [*log, entry(4), entry(5)], 1) == [1, 3]


def test_while_it_waits_nothing_wakes_it_early() -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, log, 0)
    assert outbox.step(99, 0.1) == Wait(0.25, idle=False)
    outbox.record_activity(0.1)
    assert outbox.step(99, 0.1) == Wait(0.25, idle=False)


def test_the_schedule_begins_anew_after_a_success() -> None:
    outbox, log = outbox_at(), log_of("ab")
    for now in (0, 1, 2):
        fail(outbox, log, now)
    offered(outbox, log, 4)
    outbox.responded(1, None, 4, MIDDLE)
    fail(outbox, log, 4)
    assert waits_until(outbox, log, 4) == pytest.approx(4.25)


def test_a_recipient_is_unreachable_from_the_third_failure_in_a_row() -> None:
    outbox, log = outbox_at(), log_of("a")
    states = []
    for now in range(4):
        fail(outbox, log, now)
        states.append(outbox.is_unreachable)
    assert states == [False, False, True, True]


@pytest.mark.parametrize("refusal", [None, REFUSED])
def test_any_answer_makes_it_reachable_again(refusal: int | None) -> None:
    outbox, log = outbox_at(), log_of("a")
    for now in range(4):
        fail(outbox, log, now)
    offered(outbox, log, 9)
    outbox.responded(int(refusal is None), refusal, 9, MIDDLE)
    assert not outbox.is_unreachable


# Eviction


def test_the_first_failed_try_thirty_seconds_after_the_first_evicts() -> None:
    tries = fail_by_schedule(outbox_at(), log_of("a"), now=1000)
    before_last, last = tries[-2][0] - 1000, tries[-1][0] - 1000
    assert before_last < EVICT_AFTER <= last
    assert [now - 1000 for now, _ in tries] == pytest.approx([0, 0.25, 0.75, 1.75, 3.75, 8.75, 18.75, 28.75, 30])


@pytest.mark.parametrize(("second", "evicts"), [(29.999, False), (30.0, True), (500.0, True)])
def test_what_counts_is_the_time_from_the_first_failure(second: float, evicts: bool) -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, log, 0)
    assert fail(outbox, log, second) is evicts


def test_time_without_a_try_evicts_nobody() -> None:
    outbox, log = outbox_at(now=0), log_of("a")
    assert not fail(outbox, log, 5000)


def test_one_who_may_not_be_evicted_yet_is_tried_on_and_evicted_later() -> None:
    outbox, log = outbox_at(), log_of("a")
    assert fail_by_schedule(outbox, log)[-1][1]
    assert fail(outbox, log, 100)
    outbox.left()
    assert outbox.state is DeliveryState.GONE


@pytest.mark.parametrize(("taken", "refusal"), [(1, None), (2, None), (1, REFUSED), (0, REFUSED)])
def test_progress_in_a_batch_and_error_answers_stop_the_clock(taken: int, refusal: int | None) -> None:
    outbox, log = outbox_at(max_batch=2), log_of("aaa")
    fail(outbox, log, 0)
    offered(outbox, log, 29)
    outbox.responded(taken, refusal, 29, MIDDLE)
    assert not fail(outbox, log, 31)
    assert not fail(outbox, log, 60)
    assert fail(outbox, log, 61)


def test_410_ends_it_at_once() -> None:
    outbox, log = outbox_at(), log_of("a")
    offered(outbox, log)
    outbox.left()
    assert outbox.state is DeliveryState.GONE
    with pytest.raises(IllegalTransitionError):
        next_step(outbox, log)


# Retry-After


@pytest.mark.parametrize(
    ("asked", "wait"), [(1, 1), (7.5, 7.5), (3600, 3600), (3601, 3600), (float("inf"), 3600), (0, 0.25)]
)
def test_the_next_try_is_when_the_recipient_asked_for_it(asked: float, wait: float) -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, log, 0, asked)
    assert waits_until(outbox, log) == wait


def test_after_a_wait_that_was_asked_for_the_schedule_goes_on() -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, log, 0, 100)
    fail(outbox, log, 100)
    assert waits_until(outbox, log, 100) == pytest.approx(100.5)


@pytest.mark.parametrize(("last", "evicts"), [(1010, False), (1029.999, False), (1030, True)])
def test_the_eviction_clock_stands_until_the_time_that_was_asked_for(last: float, evicts: bool) -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, log, 0)
    assert not fail(outbox, log, 10, retry_after=1000)
    assert fail(outbox, log, last) is evicts


def test_the_clock_that_has_run_out_is_not_stopped_by_asking_for_time() -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, log, 0)
    assert fail(outbox, log, 30, retry_after=1000)


def test_a_recipient_that_always_asks_for_time_is_gone_soon_after_an_hour() -> None:
    outbox, log, now = outbox_at(), log_of("a"), 10.0
    while not fail(outbox, log, now, retry_after=20):
        now = waits_until(outbox, log, now)
    assert 3600 + EVICT_AFTER <= now <= 3600 + EVICT_AFTER + 40


def test_the_hour_begins_with_the_last_success() -> None:
    outbox, log = outbox_at(now=0), log_of("ab")
    offered(outbox, log, 10_000)
    outbox.responded(1, None, 10_000, MIDDLE)
    fail(outbox, log, 10_001, retry_after=3600)
    assert not fail(outbox, log, 13_601)
    assert fail(outbox, log, 13_630)


def test_time_that_was_asked_for_twice_counts_once() -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, log, 0, retry_after=100)
    outbox.retry_now(10)
    fail(outbox, log, 10, retry_after=90)
    assert not fail(outbox, log, 129)
    assert fail(outbox, log, 130)


def test_an_early_success_takes_back_the_time_that_was_asked_for() -> None:
    outbox, log = outbox_at(), log_of("ab")
    fail(outbox, log, 0, retry_after=1000)
    outbox.retry_now(10)
    offered(outbox, log, 10)
    outbox.responded(1, None, 10, MIDDLE)
    fail(outbox, log, 20, retry_after=5)
    assert not fail(outbox, log, 54)
    assert fail(outbox, log, 55)


@given(st.lists(st.tuples(st.floats(0, 2000), st.none() | st.floats(0, 5000)), max_size=30), st.floats(0, 5000))
def test_no_eviction_before_its_time_and_none_later_than_an_hour_after_it(
    tries: list[tuple[float, float | None]], begin: float
) -> None:
    outbox, log, now = outbox_at(now=0.0), log_of("a"), begin
    latest = max(begin, 3600.0) + EVICT_AFTER
    for gap, asked in tries:
        outbox.retry_now(now)
        overdue = fail(outbox, log, now, asked)
        assert not (overdue and now < begin + EVICT_AFTER)
        assert overdue or now < latest + 1e-6
        now += gap


# Probes


def test_the_silent_are_probed_after_fifteen_seconds() -> None:
    outbox = outbox_at()
    assert outbox.step(0, 14.9) == Wait(15, idle=True)
    assert outbox.step(0, 15) == Probe()


def test_one_who_was_heard_is_not_probed() -> None:
    outbox = outbox_at()
    outbox.record_activity(10)
    assert outbox.step(0, 15) == Wait(25, idle=True)


def test_one_who_was_reached_is_not_probed() -> None:
    outbox, log = outbox_at(), log_of("a")
    offered(outbox, log, 10)
    outbox.responded(1, None, 11, MIDDLE)
    assert waits_until(outbox, log, 15) == 26


def test_one_who_answers_the_probe_is_let_alone_for_another_while() -> None:
    outbox = outbox_at()
    outbox.step(0, 15)
    outbox.probed(16)
    assert outbox.step(0, 16) == Wait(31, idle=True)


def test_what_waits_goes_before_a_probe() -> None:
    assert offered(outbox_at(), log_of("a"), 100) == [1]


def test_a_failed_probe_is_repeated_by_the_schedule_and_evicts() -> None:
    outbox = outbox_at()
    tries = fail_by_schedule(outbox, [], 15)
    assert [now - 15 for now, _ in tries] == pytest.approx([0, 0.25, 0.75, 1.75, 3.75, 8.75, 18.75, 28.75, 30])
    assert outbox.is_unreachable


def test_a_message_takes_the_place_of_a_probe_that_failed_and_the_clock_runs_on() -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, [], 15)
    assert offered(outbox, log, 20) == [1]
    assert not outbox.failed(20, MIDDLE)
    assert outbox.failures == 2
    assert fail(outbox, log, 45)


def test_one_who_fails_and_calls_is_still_probed() -> None:
    outbox = outbox_at()
    fail(outbox, [], 15)
    outbox.record_activity(15.1)
    assert outbox.step(0, 16) == Probe()


def test_an_answered_probe_ends_a_row_of_failures() -> None:
    outbox = outbox_at()
    for now in (15, 16, 17, 20):
        fail(outbox, [], now)
    outbox.step(0, 30)
    outbox.probed(30)
    assert not outbox.is_unreachable
    assert outbox.step(0, 44) == Wait(45, idle=True)


# Asked to be rung now


@pytest.mark.parametrize("asked", [None, 3600])
def test_one_who_asks_for_it_is_tried_at_once(asked: float | None) -> None:
    outbox, log = outbox_at(), log_of("a")
    fail(outbox, log, 0, asked)
    outbox.retry_now(0.1)
    assert offered(outbox, log, 0.1) == [1]


def test_asking_for_it_does_not_disturb_one_who_is_idle() -> None:
    outbox = outbox_at()
    outbox.retry_now(1)
    assert outbox.step(0, 1) == Wait(15, idle=True)


def test_asking_for_it_during_a_post_does_not_make_another() -> None:
    outbox, log = outbox_at(), log_of("a")
    offered(outbox, log)
    outbox.retry_now(0)
    outbox.failed(0, MIDDLE)
    assert waits_until(outbox, log) == pytest.approx(0.25)


def test_an_outbox_tells_its_state_in_one_line() -> None:
    outbox = outbox_at(cursor=41)
    fail(outbox, [], 15)
    assert repr(outbox) == "<Outbox me backing off cursor=41 failures=1>"
