"""Admission of connections under a global limit, shared fairly between networks."""

from collections import Counter
from enum import Enum


class Verdict(Enum):
    """The decision on a new connection."""

    ADMIT = "admit"
    DISPLACE = "displace"  # the network with the most connections loses a connection
    REFUSE = "refuse"


class Admission:
    """Counts connections by network, as `network_of` returns it.

    At the limit, the network with the most connections loses a connection to a network that has fewer even afterwards.
    So no network keeps more than half, and a new network is admitted even if a few networks hold all connections.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._held: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Admission {self._total} of {self._limit}>"

    @property
    def heaviest(self) -> str:
        """The network with the most connections. Raise `ValueError` if there are none."""
        return max(self._held, key=self._held.__getitem__)

    def judge(self, network: str) -> Verdict:
        """Return the decision on a new connection from `network`."""
        if self._total < self._limit:
            return Verdict.ADMIT
        return Verdict.DISPLACE if self._held[self.heaviest] > self._held[network] + 1 else Verdict.REFUSE

    def enter(self, network: str) -> None:
        """Count a connection."""
        self._total += 1
        self._held[network] += 1

    def leave(self, network: str) -> None:
        """Stop counting a connection."""
        self._total -= 1
        self._held[network] -= 1
        if not self._held[network]:
            del self._held[network]
