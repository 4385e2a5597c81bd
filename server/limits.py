"""How much of the server one participant, or one place on the network, may take."""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator
from typing import Final
from weakref import WeakValueDictionary

from protocol.errors import ContractError, ErrorCode
from server.clock import Clock
from server.core.rate_limit import RateLimit

BURST_SECONDS: Final = 5  # a participant may do at once what it may do in so many seconds
ASKED_FOR_ONE_SAID: Final = 10  # to ask is cheaper than to be heard by everybody
REGISTRATIONS_PER_SECOND: Final = 10
REGISTRATIONS_IN_A_BURST: Final = 1000  # all the clients of a place, when the server was away
VERIFICATIONS_AT_ONCE: Final = 64
VERIFICATIONS_PER_NETWORK: Final = 16  # of these: callbacks that hang hold up only those from the same place
SEAT_RETRY_SECONDS: Final = 10.0
MAX_AWAY_PER_NETWORK: Final = 10_000  # who have left are kept in memory, 2 KiB each: so much one place may fill
AWAY_RETRY_SECONDS: Final = 3600.0


class Limits:
    """Raises -32006 when it is too much. A network is what `network_of` gives."""

    def __init__(self, clock: Clock, *, rate: float, max_per_network: int) -> None:
        """Let a participant speak `rate` times a second; 0 turns all rates off. 0 of `max_per_network`: any number."""
        self._clock = clock
        self._speaking = RateLimit(rate, BURST_SECONDS * rate)
        self._asking = RateLimit(ASKED_FOR_ONE_SAID * rate, ASKED_FOR_ONE_SAID * BURST_SECONDS * rate)
        self._registering = RateLimit(REGISTRATIONS_PER_SECOND if rate else 0, REGISTRATIONS_IN_A_BURST)
        self._max_per_network = max_per_network
        self._max_away = MAX_AWAY_PER_NETWORK if rate else math.inf
        self._entering: Counter[str] = Counter()
        self._verifications = asyncio.Semaphore(VERIFICATIONS_AT_ONCE)
        self._verifications_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def speak(self, member_id: str) -> None:
        """Count a call that others hear of."""
        self._take(self._speaking, member_id)

    def ask(self, member_id: str, cost: int) -> None:
        """Count a call that only reads, for as many as it costs."""
        self._take(self._asking, member_id, cost)

    def register(self, network: str) -> None:
        """Count a registration, whatever becomes of it."""
        self._take(self._registering, network)

    def newcomer(self, away: int) -> None:
        """Let no more in from where so many have left and are remembered."""
        if away >= self._max_away:
            detail = "too many from your address have left and are remembered; come back with the token of one of them"
            raise _rate_limited(AWAY_RETRY_SECONDS, detail)

    @contextlib.contextmanager
    def entering(self, network: str, present: int) -> Iterator[None]:
        """Keep a seat for one who is about to enter where `present` have one."""
        if self._max_per_network and present + self._entering[network] >= self._max_per_network:
            detail = f"this server lets at most {self._max_per_network} participants in from one address"
            raise _rate_limited(SEAT_RETRY_SECONDS, detail)
        self._entering[network] += 1
        try:
            yield
        finally:
            self._entering[network] -= 1
            if not self._entering[network]:
                del self._entering[network]

    @contextlib.asynccontextmanager
    async def verification(self, network: str) -> AsyncIterator[None]:
        """Wait until a callback may be verified."""
        share = self._verifications_of.setdefault(network, asyncio.Semaphore(VERIFICATIONS_PER_NETWORK))
        async with share, self._verifications:
            yield

    def _take(self, limit: RateLimit, key: Hashable, count: int = 1) -> None:
        wait = limit.take(key, self._clock.monotonic(), count)
        if wait:
            raise _rate_limited(wait, "that was too much at once; wait, and do it again")


def _rate_limited(seconds: float, detail: str) -> ContractError:
    return ContractError(ErrorCode.RATE_LIMITED, {"retry_after_ms": math.ceil(seconds * 1000), "detail": detail})
