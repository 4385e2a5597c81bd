"""The states of one delivery and the schedule of its retries.

Every delivery is in one of four states, and only these steps lead from one to the next:

    state         event     next state    meaning
    READY         POST      IN_FLIGHT     something waits (or the silent recipient is probed)
    IN_FLIGHT     ANSWER    READY         the recipient took it, gets half of a batch, or one message is set aside
    IN_FLIGHT     FAIL      BACKING_OFF   no proof of life, or an error answer: the same again later
    IN_FLIGHT     LEAVE     GONE          410
    BACKING_OFF   DUE       READY         the wait is over, or the recipient asked to be rung now
    BACKING_OFF   LEAVE     GONE          evicted: the last try failed, and it was one too many

docs/architecture.md shows the same table; a test compares the two.
"""

from enum import StrEnum
from typing import Final


class DeliveryState(StrEnum):
    """Where one delivery stands."""

    READY = "ready"
    IN_FLIGHT = "in flight"
    BACKING_OFF = "backing off"
    GONE = "gone"


class DeliveryEvent(StrEnum):
    """What happens to one delivery."""

    POST = "post"
    ANSWER = "answer"
    FAIL = "fail"
    LEAVE = "leave"
    DUE = "due"


class IllegalTransitionError(Exception):
    """A step that the table does not have: the caller's mistake."""


class Transitions(dict[tuple[DeliveryState, DeliveryEvent], DeliveryState]):
    """The next state by state and event; any other pair raises `IllegalTransitionError`."""

    def __missing__(self, step: tuple[DeliveryState, DeliveryEvent]) -> DeliveryState:
        """Refuse."""
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
    """Give the seconds to wait after so many tries (1 or more) that came to nothing.

    `spread` in [0, 1) picks a point in the ±20 % around the schedule, so that many recipients of one host that went
    down together are not all rung again in the same moment.
    """
    delay = RETRY_DELAYS[min(attempts, len(RETRY_DELAYS)) - 1]
    return delay * (1 - RETRY_SPREAD + 2 * RETRY_SPREAD * spread)


class Reachability:
    """Who fails at the moment, out of all recipients with a callback: tells a dead recipient from a dead network.

    `suspect_own_network` is True from the moment that all of them fail, if they are three or more, until one try
    succeeds: then it is the server that is cut off, and nobody may be evicted.
    """

    MIN_RECIPIENTS: Final = 3

    def __init__(self) -> None:
        """Begin with nobody."""
        self._recipients: set[str] = set()
        self._failing: set[str] = set()
        self.suspect_own_network = False

    def __repr__(self) -> str:
        return f"<Reachability failing={len(self._failing)} of {len(self._recipients)}>"

    def failed(self, recipient: str) -> None:
        """Note a failed try."""
        self._recipients.add(recipient)
        self._failing.add(recipient)
        self._look()

    def reached(self, recipient: str) -> None:
        """Note a try that succeeded, or a new recipient (its callback has just answered)."""
        self._recipients.add(recipient)
        self._failing.discard(recipient)
        self.suspect_own_network = False

    def left(self, recipient: str) -> None:
        """Forget a recipient that is rung no more."""
        self._recipients.discard(recipient)
        self._failing.discard(recipient)
        self._look()

    def _look(self) -> None:
        if len(self._recipients) >= self.MIN_RECIPIENTS and self._failing == self._recipients:
            self.suspect_own_network = True
