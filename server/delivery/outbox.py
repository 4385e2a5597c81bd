"""The outbox: the state machine of the delivery to a recipient, without I/O.

`Delivery` asks `step` for the next step, carries it out, and reports the outcome with `loaded`, `responded`, `narrow`,
`refused`, `probed`, `failed` or `left`. Times are seconds of a monotonic clock.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from protocol.methods import MAX_PUSH_BYTES
from server.delivery.states import (
    MAX_RETRY_AFTER_SECONDS,
    PROBE_AFTER_SECONDS,
    REFUSALS_BEFORE_PASSING,
    RETRY_DELAYS,
    TRANSITIONS,
    UNREACHABLE_FROM,
    DeliveryEvent,
    DeliveryState,
    retry_delay,
)
from server.message_log.entry import Entry

# The minimum page size, also with a `max_batch` of 1: a long run of the recipient's own messages takes few reads.
LEAST_PAGE: Final = 32
# A recipient that refuses message after message may be faulty itself, so few messages are set aside at a time. An HTTP
# status is weaker evidence against the message than a JSON-RPC error.
MAX_ASIDE_BY_STATUS: Final = 1
MAX_ASIDE_BY_ERROR: Final = 8
# After a pause this long the recipient may work again: messages set aside are sent again before new messages.
PAUSE_SECONDS: Final = 1.0
SMALLER_FOR_SECONDS: Final = 600.0  # after a 413, batches stay below the refused size for this long


class Fetch(Struct, frozen=True):
    """Read up to `limit` entries of the log after `after`, and report them with `loaded`."""

    after: int
    limit: int


class Post(Struct, frozen=True):
    """Post these entries as a single request, and report the outcome."""

    entries: tuple[Entry, ...]


class Probe(Struct, frozen=True):
    """Check with `VerifyCallback` whether the recipient responds, and report the outcome."""


class Wait(Struct, frozen=True):
    """Wait until `until`, or until the log grows (if `idle`) or the recipient asks for a retry."""

    until: float
    idle: bool


Step = Fetch | Post | Probe | Wait


class Refusals(Struct):
    """The messages that the recipient refused since it last accepted a message.

    A message that is refused too often is set aside, and the next message is sent. If the recipient accepts that
    message, the messages set aside are passed over. Otherwise the recipient is at fault, and the delivery goes back to
    the first message that was set aside.

    `tries` counts refusals by `seq`. `aside` lists each `seq` that was refused too often, in order. In the current
    round, messages up to `position` are set aside (0 when a round starts); `at` is the time of its last refusal.
    """

    tries: dict[int, int] = field(default_factory=dict)
    aside: list[int] = field(default_factory=list)
    position: int = 0
    at: float = 0.0

    @property
    def passed_over(self) -> int:
        """The number of messages that are passed over if the recipient accepts the next message."""
        return sum(seq <= self.position for seq in self.aside)

    def count(self, seq: int) -> int:
        """Count a refusal of the message `seq`; return how many refusals it has."""
        self.tries[seq] = times = self.tries.get(seq, 0) + 1
        return times


class Outbox:
    """The state machine of the delivery to a recipient.

    `cursor` is the last `seq` that the recipient acknowledged. `given_up` counts the messages that were passed over.
    """

    __slots__ = (
        "_doubted", "_evict_after", "_excused_until", "_failing_since", "_last_contact", "_last_success", "_max_batch",
        "_max_bytes", "_most", "_next_try", "_page", "_refusals", "_smaller_until", "_waiting",
        "cursor", "failures", "given_up", "recipient", "state",
    )  # fmt: skip

    def __init__(self, recipient: str, cursor: int, max_batch: int, evict_after: float, now: float) -> None:
        """Start after `cursor`, in the state READY.

        `max_batch` is the highest number of messages in a POST. After `evict_after` seconds of failures the recipient
        is to be evicted.
        """
        self.recipient = recipient
        self.cursor = cursor
        self.state = DeliveryState.READY
        self.failures = 0
        self._max_batch = max_batch
        self._most = max_batch  # lower for a while after a whole batch was refused
        self._max_bytes = MAX_PUSH_BYTES  # lower for a while after 413
        self._smaller_until = now
        self._page = max(max_batch, LEAST_PAGE)
        self._evict_after = evict_after
        self._waiting: tuple[Entry, ...] = ()
        self._refusals: Refusals | None = None
        self._doubted = False  # probe before the next POST: the first waiting message was refused too often
        self.given_up = 0
        self._next_try = now
        self._failing_since: float | None = None
        self._excused_until = now
        self._last_success = now
        self._last_contact = now

    def __repr__(self) -> str:
        return f"<Outbox {self.recipient} {self.state.value} cursor={self.cursor} failures={self.failures}>"

    @property
    def is_unreachable(self) -> bool:
        """True from the third failure in a row."""
        return self.failures >= UNREACHABLE_FROM

    @property
    def passed_over(self) -> int:
        """The number of messages passed over; includes those set aside now, which may still be sent again."""
        return self.given_up + (self._refusals.passed_over if self._refusals is not None else 0)

    def record_activity(self, now: float) -> None:
        """Record a request from this participant. The request proves that it is alive, so a probe is not due yet."""
        self._last_contact = now

    def retry_now(self, now: float) -> None:
        """Retry now: the recipient reports that it is reachable."""
        self._next_try = now

    def step(self, newest: int, now: float) -> Step:
        """Return the next step. Must not be called while a request is in flight."""
        if self.state is DeliveryState.BACKING_OFF:
            if now < self._next_try:
                return Wait(self._next_try, idle=False)
            self.state = TRANSITIONS[self.state, DeliveryEvent.DUE]
        if self._waiting:
            self.state = TRANSITIONS[self.state, DeliveryEvent.POST]
            return Probe() if self._doubted else Post(self._waiting)
        position = self._position(newest, now)
        if position < newest:
            if self._max_bytes < MAX_PUSH_BYTES and now >= self._smaller_until:
                self._max_bytes = MAX_PUSH_BYTES
            return Fetch(position, self._page)
        probe_at = self._last_contact + PROBE_AFTER_SECONDS
        if self.failures or now >= probe_at:
            self.state = TRANSITIONS[self.state, DeliveryEvent.POST]
            return Probe()
        return Wait(probe_at, idle=True)

    def _position(self, newest: int, now: float) -> int:
        """Return the `seq` after which to read. After a pause, messages set aside come again before new messages."""
        refusals = self._refusals
        if refusals is None:
            return self.cursor
        if refusals.position < newest and now - refusals.at >= PAUSE_SECONDS:
            refusals.position = 0
        return max(self.cursor, refusals.position)

    def loaded(self, entries: Sequence[Entry], newest: int) -> None:
        """Build the next batch from `entries`, the result of `Fetch`; skip the recipient's own messages.

        If `entries` is empty, the log no longer keeps the entries up to `newest`, and they are skipped.
        """
        if not entries:
            self._skip(newest)
        size = 1  # the two brackets, and one comma fewer than there are entries
        batch: list[Entry] = []
        for entry in entries:
            if entry.sender_id == self.recipient:
                if not batch:
                    self._skip(entry.seq)
                continue
            size += len(entry.request) + 1
            if len(batch) == self._most or (batch and size > self._max_bytes):
                break
            batch.append(entry)
        self._waiting = tuple(batch)

    def responded(self, taken: int, refusal: int | None, now: float, spread: float) -> Entry | None:
        """Record a JSON-RPC response: the first `taken` messages were accepted.

        If `refusal` is given, the next message was refused with that error code. Return the entry that this refusal
        sets aside, or None. `spread` is as in `failed`.
        """
        self._alive(now)
        if taken:
            self.cursor = self._waiting[taken - 1].seq
            if self._refusals is not None or self._most < self._max_batch:
                self._recover()
        if refusal is None:
            self._waiting = ()
            self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]
            return None
        refused = self._waiting[taken]
        # If some messages were accepted, the rest is fetched again as a new batch. If none was, the same bytes are sent
        # again.
        self._waiting = self._waiting if taken == 0 else ()
        refusals = self._refusals = self._refusals or Refusals()
        if refused.seq in refusals.aside:
            self._set_aside(refusals, refused.seq, now)
            return None
        times = refusals.count(refused.seq)
        if times >= REFUSALS_BEFORE_PASSING and len(refusals.aside) < MAX_ASIDE_BY_ERROR:
            self._set_aside(refusals, refused.seq, now)
            return refused
        self._go_back()
        self._back_off(now + retry_delay(times, spread))
        return None

    def narrow(self, now: float, *, too_large: bool) -> bool:
        """Record that a whole batch was refused; half of it is sent at once. Return False for a single message."""
        if len(self._waiting) == 1:
            return False
        self._most = len(self._waiting) // 2
        self._waiting = self._waiting[: self._most]
        if too_large:
            self._alive(now)
            # An eighth of headroom: otherwise a `seq` with an additional digit would make the next batch smaller.
            self._max_bytes = sum(len(entry.request) for entry in self._waiting) * 9 // 8
            self._smaller_until = now + SMALLER_FOR_SECONDS
        self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]
        return True

    def refused(self, now: float, spread: float) -> bool:
        """Record that a single message was refused with an HTTP status. Return value and `spread` are as in `failed`.

        The refusal is a failure. From the fifth refusal on, the recipient is probed at once (see `probed`), and only a
        probe that fails as well may evict it. If another message is set aside already, each refusal may evict.
        """
        seq = self._waiting[0].seq
        refusals = self._refusals = self._refusals or Refusals()
        if seq in refusals.aside:
            self._set_aside(refusals, seq, now)
            return False
        times = refusals.count(seq)
        overdue = self.failed(now, spread)
        if len(refusals.aside) >= MAX_ASIDE_BY_STATUS:
            return overdue
        if times >= REFUSALS_BEFORE_PASSING:
            self._doubted = True
            self._next_try = now
        return False

    def probed(self, now: float) -> Entry | None:
        """Record that the recipient answered the probe. Return the entry that is set aside as a result, or None."""
        self._alive(now)
        if not self._doubted:
            self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]
            return None
        self._doubted = False
        refused = self._waiting[0]
        self._set_aside(self._refusals or Refusals(), refused.seq, now)
        return refused

    def failed(self, now: float, spread: float, retry_after: float | None = None) -> bool:
        """Record a failed request. Return True when failures have lasted for `evict_after` seconds: evict.

        `spread` in [0, 1) is the random part of the wait. `retry_after` is the wait in seconds that the recipient asked
        for; during it the eviction clock stands still, but at most until an hour after the last success.
        """
        self.failures += 1
        self._doubted = False
        self._go_back()
        if self._failing_since is None:
            self._failing_since = self._excused_until = now
        overdue = now - self._failing_since >= self._evict_after
        if retry_after is None:
            next_try = self._not_past_eviction(now, now + retry_delay(self.failures, spread))
        else:
            # At least the first retry delay: a `retry_after` of 0 would cause retries without a pause.
            next_try = now + min(max(retry_after, RETRY_DELAYS[0]), MAX_RETRY_AFTER_SECONDS)
            self._failing_since += self._excuse(now, next_try)
        self._back_off(next_try)
        return overdue

    def left(self) -> None:
        """Record that the recipient has gone or is evicted: no more requests are sent to it."""
        self.state = TRANSITIONS[self.state, DeliveryEvent.LEAVE]

    def _skip(self, seq: int) -> None:
        """Skip entries up to `seq`, which are not for the recipient. The cursor stays before a message set aside."""
        if self._refusals is not None and self._refusals.position:
            self._refusals.position = seq
        else:
            self.cursor = seq

    def _recover(self) -> None:
        """Record that the recipient accepted a message after a refusal.

        The messages set aside are passed over for good, and the batch size doubles up to `max_batch`.
        """
        if self._refusals is not None:
            self.given_up += self._refusals.passed_over
            self._refusals = None
        if self._most < self._max_batch:
            self._most = min(2 * self._most, self._max_batch)

    def _set_aside(self, refusals: Refusals, seq: int, now: float) -> None:
        """Set the message `seq` aside, and continue after it."""
        if seq not in refusals.aside:
            refusals.aside.append(seq)
        refusals.position, refusals.at = seq, now
        self._waiting = ()
        self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]

    def _go_back(self) -> None:
        """Go back to the first message that was set aside, if any."""
        if self._refusals is not None and self._refusals.position:
            self._refusals.position = 0
            self._waiting = ()

    def _alive(self, now: float) -> None:
        self.failures = 0
        self._failing_since = None
        self._last_success = self._last_contact = now

    def _not_past_eviction(self, now: float, next_try: float) -> float:
        """Return `next_try`, but at most the eviction deadline: the last try is due then, not a long wait later."""
        deadline = (self._failing_since or now) + self._evict_after
        return min(next_try, deadline) if deadline > now else next_try

    def _excuse(self, now: float, until: float) -> float:
        """Return the seconds for which the eviction clock stands still, beyond those already granted."""
        begin = max(now, self._excused_until)
        self._excused_until = max(begin, min(until, self._last_success + MAX_RETRY_AFTER_SECONDS))
        return self._excused_until - begin

    def _back_off(self, until: float) -> None:
        self._next_try = until
        self.state = TRANSITIONS[self.state, DeliveryEvent.FAIL]
