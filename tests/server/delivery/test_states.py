"""The table of states, the schedule, and who is suspected when everybody fails."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.delivery import states as delivery_state
from server.delivery.states import (
    TRANSITIONS,
    DeliveryEvent,
    DeliveryState,
    IllegalTransitionError,
    Reachability,
    retry_delay,
)

ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"
ROW = re.compile(r"^[\s|`]*([A-Z_]+)[\s|`]+([A-Z]+)[\s|`]+([A-Z_]+)\b", re.MULTILINE)


def table_in(text: str) -> dict[tuple[str, str], str]:
    """Rows whose three first words are a state, an event and a state, whatever lines are drawn between them."""
    states, events = DeliveryState.__members__, DeliveryEvent.__members__
    rows = [row for row in ROW.findall(text) if row[0] in states and row[1] in events and row[2] in states]
    table = {(state, event): after for state, event, after in rows}
    assert len(table) == len(rows), "a row stands there twice"
    return table


def table_in_code() -> dict[tuple[str, str], str]:
    return {(state.name, event.name): after.name for (state, event), after in TRANSITIONS.items()}


def test_the_table_in_the_docstring_is_the_one_in_the_code() -> None:
    assert table_in(delivery_state.__doc__ or "") == table_in_code()


def test_the_table_in_the_architecture_is_the_one_in_the_code() -> None:
    text = ARCHITECTURE.read_text() if ARCHITECTURE.exists() else ""
    if "BACKING_OFF" in text:
        assert table_in(text) == table_in_code()


@pytest.mark.parametrize(("state", "event"), list(product(DeliveryState, DeliveryEvent)))
def test_only_the_steps_of_the_table_can_be_taken(state: DeliveryState, event: DeliveryEvent) -> None:
    if (state, event) not in TRANSITIONS:
        with pytest.raises(IllegalTransitionError, match=f"{event.value} while {state.value}"):
            TRANSITIONS[state, event]


def test_every_state_can_be_reached_and_only_gone_is_final() -> None:
    assert {DeliveryState.READY, *TRANSITIONS.values()} == set(DeliveryState)
    assert {state for state, _ in TRANSITIONS} == set(DeliveryState) - {DeliveryState.GONE}


def test_the_figures_are_those_of_the_contract() -> None:
    assert delivery_state.RETRY_DELAYS == (0.25, 0.5, 1, 2, 5, 10)
    assert delivery_state.RETRY_SPREAD == 0.2
    assert delivery_state.PROBE_AFTER_SECONDS == 15
    assert delivery_state.UNREACHABLE_FROM == 3
    assert delivery_state.REFUSALS_BEFORE_PASSING == 5
    assert delivery_state.MAX_RETRY_AFTER_SECONDS == 3600


def test_the_schedule_is_that_of_the_contract() -> None:
    middle = [retry_delay(attempts, 0.5) for attempts in (1, 2, 3, 4, 5, 6, 7, 1000)]
    assert middle == pytest.approx([0.25, 0.5, 1, 2, 5, 10, 10, 10])


def test_chance_moves_a_retry_by_up_to_a_fifth() -> None:
    assert retry_delay(6, 0) == pytest.approx(8)
    assert retry_delay(6, 0.999999) == pytest.approx(12, abs=1e-3)


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_a_retry_is_never_more_than_a_fifth_from_the_schedule(attempts: int, spread: float) -> None:
    middle = retry_delay(attempts, 0.5)
    assert middle * 0.8 - 1e-9 <= retry_delay(attempts, spread) <= middle * 1.2 + 1e-9


def reachability(recipients: str, failing: str) -> Reachability:
    reachability = Reachability()
    for recipient in recipients:
        reachability.reached(recipient)
    for recipient in failing:
        reachability.failed(recipient)
    return reachability


@pytest.mark.parametrize(("recipients", "failing"), [("abc", "abc"), ("abcd", "abcd"), ("", "abc")])
def test_when_everybody_fails_the_server_suspects_its_own_network(recipients: str, failing: str) -> None:
    assert reachability(recipients, failing).suspect_own_network


@pytest.mark.parametrize(
    ("recipients", "failing"), [("", ""), ("abc", ""), ("abc", "ab"), ("ab", "ab"), ("abc", "aaa")]
)
def test_when_one_answers_or_there_are_only_two_it_does_not(recipients: str, failing: str) -> None:
    assert not reachability(recipients, failing).suspect_own_network


def test_the_suspicion_ends_with_one_success() -> None:
    everybody_fails = reachability("abc", "abc")
    everybody_fails.reached("b")
    assert not everybody_fails.suspect_own_network


def test_one_who_left_is_not_counted() -> None:
    three_of_four_fail = reachability("abcd", "abc")
    three_of_four_fail.left("d")
    assert three_of_four_fail.suspect_own_network


def test_the_suspicion_does_not_end_because_somebody_leaves() -> None:
    everybody_fails = reachability("abc", "abc")
    everybody_fails.left("a")
    assert everybody_fails.suspect_own_network


def test_it_tells_how_many_fail() -> None:
    assert repr(reachability("abc", "ab")) == "<Reachability failing=2 of 3>"
