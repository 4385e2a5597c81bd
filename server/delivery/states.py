"""The states of a delivery and the schedule of its retries.

A delivery has four states, with these transitions:

    state         event     next state    meaning
    READY         POST      IN_FLIGHT     messages are sent, or a silent recipient is probed
    IN_FLIGHT     ANSWER    READY         accepted, or half of the batch is sent next, or a message is set aside
    IN_FLIGHT     FAIL      BACKING_OFF   the request failed, or a message was refused: retry later
    IN_FLIGHT     LEAVE     GONE          HTTP status 410
    BACKING_OFF   DUE       READY         the wait is over, or the recipient asked for a retry
    BACKING_OFF   LEAVE     GONE          evicted after the last retry failed

docs/architecture.md shows the same table; a test compares the two.
"""

from enum import StrEnum
from typing import Final


class DeliveryState(StrEnum):
    """The state of a delivery."""

    READY = "ready"
    IN_FLIGHT = "in flight"
    BACKING_OFF = "backing off"
    GONE = "gone"


class DeliveryEvent(StrEnum):
    """An event that changes the state of a delivery."""

    POST = "post"
    ANSWER = "answer"
    FAIL = "fail"
    LEAVE = "leave"
    DUE = "due"


class IllegalTransitionError(Exception):
    """A transition that is not in the table: a bug in the caller."""


class Transitions(dict[tuple[DeliveryState, DeliveryEvent], DeliveryState]):
    """The next state by state and event; any other pair raises `IllegalTransitionError`."""

    def __missing__(self, step: tuple[DeliveryState, DeliveryEvent]) -> DeliveryState:
        state, event = step
        raise IllegalTransitionError(f"{event.value} while {state.value}")


TRANSITIONS: Final = Transitions({
    (DeliveryState.READY, DeliveryEvent.POST): DeliveryState.IN_FLIGHT,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.ANSWER): DeliveryState.READY,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.FAIL): DeliveryState.BACKING_OFF,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.LEAVE): DeliveryState.GONE,
    (DeliveryState.BACKING_OFF, DeliveryEvent.DUE): DeliveryState.READY,
    (DeliveryState.BACKING_OFF, DeliveryEvent.LEAVE): DeliveryState.GONE,
})  # fmt: skip

RETRY_DELAYS: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
RETRY_SPREAD: Final = 0.2
PROBE_AFTER_SECONDS: Final = 15.0
UNREACHABLE_FROM: Final = 3  # failures in a row
REFUSALS_BEFORE_PASSING: Final = 5
MAX_RETRY_AFTER_SECONDS: Final = 3600.0


def retry_delay(attempts: int, spread: float) -> float:
    """Return the seconds to wait after `attempts` (1 or more) failed attempts.

    `spread` in [0, 1) selects a point within ±20 % of the schedule, so that the recipients of a host that went down are
    not all retried at the same moment.
    """
    delay = RETRY_DELAYS[min(attempts, len(RETRY_DELAYS)) - 1]
    return delay * (1 - RETRY_SPREAD + 2 * RETRY_SPREAD * spread)


class Reachability:
    """The recipients that fail now, out of all: distinguishes a failing recipient from a failure of this network.

    `suspect_own_network` becomes True when all recipients fail, if there are at least three, and False when a request
    succeeds. While it is True, the server itself is probably cut off, and no recipient is evicted.
    """

    MIN_RECIPIENTS: Final = 3

    def __init__(self) -> None:
        self._recipients: set[str] = set()
        self._failing: set[str] = set()
        self.suspect_own_network = False

    def __repr__(self) -> str:
        return f"<Reachability failing={len(self._failing)} of {len(self._recipients)}>"

    def failed(self, recipient: str) -> None:
        """Record a failed request."""
        self._recipients.add(recipient)
        self._failing.add(recipient)
        self._look()

    def reached(self, recipient: str) -> None:
        """Record a successful request, or a new recipient."""
        self._recipients.add(recipient)
        self._failing.discard(recipient)
        self.suspect_own_network = False

    def left(self, recipient: str) -> None:
        """Forget a recipient whose delivery has ended."""
        self._recipients.discard(recipient)
        self._failing.discard(recipient)
        self._look()

    def _look(self) -> None:
        if len(self._recipients) >= self.MIN_RECIPIENTS and self._failing == self._recipients:
            self.suspect_own_network = True
