"""One recipient: how far it is, what is on its way, and what to do next.

The shell asks `step` what to do, does it, and reports what came of it with `loaded`, `answered` or `failed`. Times are
seconds of a monotonic clock.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from protocol.methods import MAX_PUSH_BYTES
from server.core.delivery_state import (
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
from server.core.entry import Entry

# Even where one message goes at a time: a long run of the recipient's own, which is passed over, costs few reads.
LEAST_PAGE: Final = 32
# A recipient that refuses one message after the other may be ill itself. A status says less than an error answer.
MAX_ASIDE_BY_STATUS: Final = 1
MAX_ASIDE_BY_ERROR: Final = 8
# After a pause of so long the recipient may be well again: then what is set aside goes once more, before what is new.
PAUSE_SECONDS: Final = 1.0
SMALLER_FOR_SECONDS: Final = 600.0  # a size that was too large (413) is tried again after this long


class Fetch(Struct, frozen=True):
    """Read up to `limit` entries of the log after `after`, and report them with `loaded`."""

    after: int
    limit: int


class Post(Struct, frozen=True):
    """Post these entries as one request and report what came of it."""

    entries: tuple[Entry, ...]


class Probe(Struct, frozen=True):
    """See whether the silent recipient still answers, and report it."""


class Wait(Struct, frozen=True):
    """Nothing to do before `until`, unless something new comes (when `idle`) or the recipient asks for it."""

    until: float
    idle: bool


Step = Fetch | Post | Probe | Wait


class Refusals(Struct):
    """The messages that the recipient has refused since it last took one.

    A message that was refused too often is set aside, and the next one goes. If the recipient takes that one, the
    message is passed over; if not, the fault is the recipient's, and everything comes again from the first message on.

    `tries` counts by `seq`; `aside` holds each `seq` that was refused too often, in order. Up to `position`, messages
    are set aside in this round; 0 at its beginning. `at` is when the last one was refused in it.
    """

    tries: dict[int, int] = field(default_factory=dict)
    aside: list[int] = field(default_factory=list)
    position: int = 0
    at: float = 0.0

    @property
    def passed_over(self) -> int:
        """Count the messages that are passed over if the recipient takes the next one."""
        return sum(seq <= self.position for seq in self.aside)

    def count(self, seq: int) -> int:
        """Note a refusal; return how often this message was refused."""
        self.tries[seq] = times = self.tries.get(seq, 0) + 1
        return times


class Outbox:
    """The delivery to one recipient, as decisions. `cursor` is the last `seq` that it has acknowledged.

    `given_up` counts the messages that were passed over for good.
    """

    __slots__ = (
        "_doubted", "_evict_after", "_excused_until", "_failing_since", "_last_contact", "_last_success", "_max_batch",
        "_max_bytes", "_most", "_next_try", "_page", "_refusals", "_smaller_until", "_waiting",
        "cursor", "failures", "given_up", "recipient", "state",
    )  # fmt: skip

    def __init__(self, recipient: str, cursor: int, max_batch: int, evict_after: float, now: float) -> None:
        """Begin after `cursor`, with a recipient whose callback has just answered."""
        self.recipient = recipient
        self.cursor = cursor
        self.state = DeliveryState.READY
        self.failures = 0
        self._max_batch = max_batch
        self._most = max_batch  # fewer for a while after a batch was refused as a whole
        self._max_bytes = MAX_PUSH_BYTES  # less for a while after 413
        self._smaller_until = now
        self._page = max(max_batch, LEAST_PAGE)
        self._evict_after = evict_after
        self._waiting: tuple[Entry, ...] = ()
        self._refusals: Refusals | None = None
        self._doubted = False  # the recipient has refused what waits too often: does it live?
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
        """Count the messages that were passed over because the recipient refused them too often, as it stands now."""
        return self.given_up + (self._refusals.passed_over if self._refusals is not None else 0)

    def heard(self, now: float) -> None:
        """Note a call by this participant: it lives, so it need not be probed."""
        self._last_contact = now

    def retry_now(self, now: float) -> None:
        """End the wait: the recipient says that it can be rung."""
        self._next_try = now

    def step(self, newest: int, now: float) -> Step:
        """Say what to do next, while nothing is in flight."""
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
        """Return the `seq` after which to go on. After a pause, what is set aside is tried again before what is new."""
        refusals = self._refusals
        if refusals is None:
            return self.cursor
        if refusals.position < newest and now - refusals.at >= PAUSE_SECONDS:
            refusals.position = 0
        return max(self.cursor, refusals.position)

    def loaded(self, entries: Sequence[Entry], newest: int) -> None:
        """Take what the log holds after the cursor; what the recipient said itself is passed over.

        No entries at all means that what was there up to `newest` is no longer kept.
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

    def answered(self, taken: int, refusal: int | None, now: float, spread: float) -> Entry | None:
        """Note an answer: the first `taken` were taken, the next one refused with an error if `refusal` is given.

        Return the entry that is set aside because it was refused too often, if any. `spread` as in `failed`.
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
        # What was taken is behind; the refused one goes again with the very bytes it had only if it was the first.
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
        """Note that a batch was refused as a whole: half of it goes at once. Return False for a single message."""
        if len(self._waiting) == 1:
            return False
        self._most = len(self._waiting) // 2
        self._waiting = self._waiting[: self._most]
        if too_large:
            self._alive(now)
            # An eighth more, or a `seq` with one digit more would make the next batch smaller.
            self._max_bytes = sum(len(entry.request) for entry in self._waiting) * 9 // 8
            self._smaller_until = now + SMALLER_FOR_SECONDS
        self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]
        return True

    def refused(self, now: float, spread: float) -> bool:
        """Note that a single message was refused with an HTTP status. Return and `spread` as in `failed`.

        It is a failure. From the fifth on, the recipient is asked at once whether it lives (see `probed`), and only a
        probe that fails, too, may evict; unless another message is set aside already.
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
        """Note that the recipient answered the probe. Return the entry that is set aside for it, if any."""
        self._alive(now)
        if not self._doubted:
            self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]
            return None
        self._doubted = False
        refused = self._waiting[0]
        self._set_aside(self._refusals or Refusals(), refused.seq, now)
        return refused

    def failed(self, now: float, spread: float, retry_after: float | None = None) -> bool:
        """Note a try that came to nothing; True when it has failed for so long that it is to be evicted.

        `spread` in [0, 1) is the share of chance in the wait. `retry_after` is what the recipient asked for: until then
        the eviction clock stands still, but never for more than an hour after the last success.
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
            # "At once" (0) is not taken at its word: it would be tried as fast as it can answer.
            next_try = now + min(max(retry_after, RETRY_DELAYS[0]), MAX_RETRY_AFTER_SECONDS)
            self._failing_since += self._excuse(now, next_try)
        self._back_off(next_try)
        return overdue

    def left(self) -> None:
        """Note that the recipient is rung no more."""
        self.state = TRANSITIONS[self.state, DeliveryEvent.LEAVE]

    def _skip(self, seq: int) -> None:
        """Go beyond what is not for the recipient. The cursor stays before a message that is set aside."""
        if self._refusals is not None and self._refusals.position:
            self._refusals.position = seq
        else:
            self.cursor = seq

    def _recover(self) -> None:
        """Note that the recipient took something after a refusal: batches grow, and what is set aside is given up."""
        if self._refusals is not None:
            self.given_up += self._refusals.passed_over
            self._refusals = None
        if self._most < self._max_batch:
            self._most = min(2 * self._most, self._max_batch)

    def _set_aside(self, refusals: Refusals, seq: int, now: float) -> None:
        """Go on behind a message that was refused too often."""
        if seq not in refusals.aside:
            refusals.aside.append(seq)
        refusals.position, refusals.at = seq, now
        self._waiting = ()
        self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]

    def _go_back(self) -> None:
        """Begin again with the first message that was set aside, if any."""
        if self._refusals is not None and self._refusals.position:
            self._refusals.position = 0
            self._waiting = ()

    def _alive(self, now: float) -> None:
        self.failures = 0
        self._failing_since = None
        self._last_success = self._last_contact = now

    def _not_past_eviction(self, now: float, next_try: float) -> float:
        """Have the last try when its time has come, and not one long wait later."""
        deadline = (self._failing_since or now) + self._evict_after
        return min(next_try, deadline) if deadline > now else next_try

    def _excuse(self, now: float, until: float) -> float:
        """Give the seconds for which the eviction clock stands still beyond what it does already."""
        begin = max(now, self._excused_until)
        self._excused_until = max(begin, min(until, self._last_success + MAX_RETRY_AFTER_SECONDS))
        return self._excused_until - begin

    def _back_off(self, until: float) -> None:
        self._next_try = until
        self.state = TRANSITIONS[self.state, DeliveryEvent.FAIL]
