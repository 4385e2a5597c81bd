"""Requests that are large: how much memory they may hold, and how much of the time of all others they may take."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from server.core.rate_limit import RateLimit

LARGE_BYTES: Final = 64 * 1024  # from here on a request is large; a message has far less
ROOM_BYTES: Final = 32 * 1024 * 1024  # for all that are there at a time; no network has more than half
BYTES_PER_SECOND: Final = 2 * 1024 * 1024  # from one network
BYTES_IN_A_BURST: Final = 8 * 1024 * 1024


class NoRoom(Exception):
    """There is no room for more of a request."""


class LargeRequests:
    """Counts bytes by network, as `network_of` gives it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._held: Counter[str] = Counter()
        self._pace = RateLimit(BYTES_PER_SECOND, BYTES_IN_A_BURST)

    def __repr__(self) -> str:
        return f"<LargeRequests {self._held.total()} bytes>"

    def enter(self, network: str, size: int) -> bool:
        """Keep room for a request of so many bytes, if there is some."""
        if self._held.total() + size > ROOM_BYTES or self._held[network] + size > ROOM_BYTES // 2:
            return False
        self._held[network] += size
        return True

    def leave(self, network: str, size: int) -> None:
        """Give the room back."""
        self._held[network] -= size
        if not self._held[network]:
            del self._held[network]

    @contextlib.contextmanager
    def held_by(self, network: str) -> Iterator["Held"]:
        """Give what one request holds, nothing at first; the block's end gives it back."""
        held = Held(self, network)
        try:
            yield held
        finally:
            self.leave(network, held.size)

    def owe(self, network: str, size: int, now: float) -> float:
        """Give the seconds after which a request that has come may be looked at."""
        return self._pace.owe(network, now, size)


class Held:
    """The room of one request; `size` counts its bytes, announced or come so far."""

    def __init__(self, requests: LargeRequests, network: str) -> None:
        """Hold nothing."""
        self._requests = requests
        self.network = network
        self.size = 0

    def grow(self, size: int) -> bool:
        """Hold so many bytes in all, if there is room."""
        if not self._requests.enter(self.network, size - self.size):
            return False
        self.size = size
        return True
