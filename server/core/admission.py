"""Who may have one of the connections, of which there are so many and no more."""

from collections import Counter
from enum import Enum


class Verdict(Enum):
    """What becomes of one who would like to have a connection."""

    ADMIT = "admit"
    DISPLACE = "displace"  # the network that has most gives one up
    REFUSE = "refuse"


class Admission:
    """Counts connections by network, as `network_of` gives it.

    When all are taken, the network that has most gives one up for one that would still have fewer; so no network keeps
    more than half, and however few have taken all, there is one for each newcomer.
    """

    def __init__(self, limit: int) -> None:
        """Begin with nobody."""
        self._limit = limit
        self._total = 0
        self._held: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Admission {self._total} of {self._limit}>"

    @property
    def heaviest(self) -> str:
        """The network that has most; there must be one."""
        return max(self._held, key=self._held.__getitem__)

    def judge(self, network: str) -> Verdict:
        """Say whether one from `network` may have a connection."""
        if self._total < self._limit:
            return Verdict.ADMIT
        return Verdict.DISPLACE if self._held[self.heaviest] > self._held[network] + 1 else Verdict.REFUSE

    def enter(self, network: str) -> None:
        """Count a connection."""
        self._total += 1
        self._held[network] += 1

    def leave(self, network: str) -> None:
        """Count it no more."""
        self._total -= 1
        self._held[network] -= 1
        if not self._held[network]:
            del self._held[network]
