"""Rate limiting with a token bucket per key, each stored as one number (GCRA, ITU-T I.371)."""

from collections.abc import Hashable
from typing import Final

SWEEP_FROM: Final = 1024  # keys
TOLERANCE: Final = 1e-9  # seconds, for rounding errors of sums


class RateLimit:
    """Allows `rate` tokens per second for each key, in bursts of up to `burst`. A rate of 0 means unlimited."""

    def __init__(self, rate: float, burst: float) -> None:
        """Start with full buckets. `burst` counts as 1 at least: a smaller bucket would never hold a token."""
        self._interval = 1 / rate if rate else 0.0
        self._depth = max(burst, 1) * self._interval
        self._full_at: dict[Hashable, float] = {}  # when a bucket is full again; a full bucket needs no entry
        self._sweep_at = SWEEP_FROM

    def __repr__(self) -> str:
        return f"<RateLimit interval={self._interval} depth={self._depth} keys={len(self._full_at)}>"

    def take(self, key: Hashable, now: float, count: int = 1) -> float:
        """Take `count` tokens of `key` and return 0; if it has fewer, take none and return the seconds to wait.

        A `count` above the burst takes the whole burst.
        """
        if not self._interval:
            return 0.0
        full_at = max(self._full_at.get(key, now), now) + min(count * self._interval, self._depth)
        wait = full_at - now - self._depth
        if wait > TOLERANCE:
            return wait
        self._put(key, full_at, now)
        return 0.0

    def owe(self, key: Hashable, now: float, count: int) -> float:
        """Take `count` tokens even if there are fewer; return the seconds until the bucket is not in debt."""
        full_at = max(self._full_at.get(key, now), now) + count * self._interval
        self._put(key, full_at, now)
        return max(0.0, full_at - now - self._depth)

    def _put(self, key: Hashable, full_at: float, now: float) -> None:
        self._full_at[key] = full_at
        if len(self._full_at) >= self._sweep_at:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            self._sweep_at = max(SWEEP_FROM, 2 * len(self._full_at))
