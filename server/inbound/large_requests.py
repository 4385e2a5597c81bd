"""Limits for large requests: the memory that they hold, and the bytes per second from each network."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from server.chat.rate_limit import RateLimit

LARGE_BYTES: Final = 64 * 1024  # above this size a request is large; a message is far smaller
ROOM_BYTES: Final = 32 * 1024 * 1024  # for all large requests together; a network gets at most half
BYTES_PER_SECOND: Final = 2 * 1024 * 1024  # from each network
BYTES_IN_A_BURST: Final = 8 * 1024 * 1024


class NoCapacity(Exception):
    """The memory limit leaves no room for a request, or for more of it."""


class LargeRequests:
    """Counts the bytes of large requests by network, as `network_of` returns it."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._pace = RateLimit(BYTES_PER_SECOND, BYTES_IN_A_BURST)

    def __repr__(self) -> str:
        return f"<LargeRequests {self._held.total()} bytes>"

    def enter(self, network: str, size: int) -> bool:
        """Reserve `size` bytes. Return False if the limit leaves no room for them."""
        if self._held.total() + size > ROOM_BYTES or self._held[network] + size > ROOM_BYTES // 2:
            return False
        self._held[network] += size
        return True

    def leave(self, network: str, size: int) -> None:
        """Release `size` reserved bytes."""
        self._held[network] -= size
        if not self._held[network]:
            del self._held[network]

    @contextlib.contextmanager
    def reserve_for(self, network: str) -> Iterator["Reservation"]:
        """Yield the reservation of a request, empty at first; the end of the block releases it."""
        held = Reservation(self, network)
        try:
            yield held
        finally:
            self.leave(network, held.size)

    def owe(self, network: str, size: int, now: float) -> float:
        """Count a received request; return the seconds to wait before it may be processed."""
        return self._pace.owe(network, now, size)


class Reservation:
    """The reservation of a request; `size` is its announced or received bytes."""

    def __init__(self, requests: LargeRequests, network: str) -> None:
        self._requests = requests
        self.network = network
        self.size = 0

    def grow(self, size: int) -> bool:
        """Raise the reservation to `size` bytes. Return False if the limit leaves no room for them."""
        if not self._requests.enter(self.network, size - self.size):
            return False
        self.size = size
        return True
