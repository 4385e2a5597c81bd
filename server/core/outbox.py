"""One recipient: how far it is, what is on its way, and what to do next.

The shell asks `step` what to do, does it, and reports what came of it with `loaded`, `answered` or `failed`. Times are
seconds of a monotonic clock.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

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


class Outbox:
    """The delivery to one recipient, as decisions. `cursor` is the last `seq` that it has acknowledged."""

    __slots__ = (
        "_evict_after", "_excused_until", "_failing_since", "_last_contact", "_last_success", "_max_batch", "_next_try",
        "_page", "_refusals", "_waiting", "cursor", "failures", "recipient", "state",
    )  # fmt: skip

    def __init__(self, recipient: str, cursor: int, max_batch: int, evict_after: float, now: float) -> None:
        """Begin after `cursor`, with a recipient whose callback has just answered."""
        self.recipient = recipient
        self.cursor = cursor
        self.state = DeliveryState.READY
        self.failures = 0
        self._max_batch = max_batch
        self._page = max(max_batch, LEAST_PAGE)
        self._evict_after = evict_after
        self._waiting: tuple[Entry, ...] = ()
        self._refusals = (0, 0)  # the `seq` that was refused last, and how often
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
            return Post(self._waiting)
        if self.cursor < newest:
            return Fetch(self.cursor, self._page)
        probe_at = self._last_contact + PROBE_AFTER_SECONDS
        if self.failures or now >= probe_at:
            self.state = TRANSITIONS[self.state, DeliveryEvent.POST]
            return Probe()
        return Wait(probe_at, idle=True)

    def loaded(self, entries: Sequence[Entry], newest: int) -> None:
        """Take what the log holds after the cursor; what the recipient said itself is passed over.

        No entries at all means that what was there up to `newest` is no longer kept.
        """
        if not entries:
            self.cursor = newest
        size = 1  # the two brackets, and one comma fewer than there are entries
        batch: list[Entry] = []
        for entry in entries:
            if entry.sender_id == self.recipient:
                if not batch:
                    self.cursor = entry.seq
                continue
            size += len(entry.request) + 1
            if len(batch) == self._max_batch or (batch and size > MAX_PUSH_BYTES):
                break
            batch.append(entry)
        self._waiting = tuple(batch)

    def answered(self, taken: int, refusal: int | None, now: float, spread: float) -> Entry | None:
        """Note an answer: the first `taken` were taken, the next one refused with an error if `refusal` is given.

        Gives the entry that was passed over because it was refused once too often, if any. `spread` as in `failed`.
        """
        self._alive(now)
        if taken:
            self.cursor = self._waiting[taken - 1].seq
        if refusal is None:
            self._waiting = ()
            self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]
            return None
        refused = self._waiting[taken]
        # What was taken is behind; the refused one goes again with the very bytes it had only if it was the first.
        self._waiting = self._waiting if taken == 0 else ()
        seq, times = self._refusals
        times = times + 1 if refused.seq == seq else 1
        self._refusals = (refused.seq, times)
        if times < REFUSALS_BEFORE_PASSING:
            self._back_off(now + retry_delay(times, spread))
            return None
        self.cursor = refused.seq
        self._waiting = ()
        self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]
        return refused

    def probed(self, now: float) -> None:
        """Note that the recipient answered the probe."""
        self._alive(now)
        self.state = TRANSITIONS[self.state, DeliveryEvent.ANSWER]

    def failed(self, now: float, spread: float, retry_after: float | None = None) -> bool:
        """Note a try that came to nothing; True when it has failed for so long that it is to be evicted.

        `spread` in [0, 1) is the share of chance in the wait. `retry_after` is what the recipient asked for: until then
        the eviction clock stands still, but never for more than an hour after the last success.
        """
        self.failures += 1
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
