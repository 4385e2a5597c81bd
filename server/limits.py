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
from server.core.members import Members
from server.core.rate_limit import RateLimit

BURST_SECONDS: Final = 5  # a participant may do at once what it may do in so many seconds
ASKED_FOR_ONE_SAID: Final = 10  # to ask is cheaper than to be heard by everybody
REGISTRATIONS_PER_SECOND: Final = 10
REGISTRATIONS_IN_A_BURST: Final = 1000  # all the clients of a place, when the server was away
VERIFICATIONS_AT_ONCE: Final = 64
VERIFICATIONS_PER_NETWORK: Final = 16  # of these: callbacks that hang hold up only those from the same place
SEAT_RETRY_SECONDS: Final = 10.0
MAX_KNOWN_PER_NETWORK: Final = 10_000  # who have left are kept in memory, too, 2 KiB each: so much one place may fill
KNOWN_RETRY_SECONDS: Final = 3600.0


class Limits:
    """Raises -32006 when it is too much. A network is what `network_of` gives."""

    def __init__(self, clock: Clock, *, rate: float, max_per_network: int, max_callbacks: float = math.inf) -> None:
        """Let a participant speak `rate` times a second; 0 turns all rates off. 0 of `max_per_network`: any number."""
        self._clock = clock
        self._speaking = RateLimit(rate, BURST_SECONDS * rate)
        self._asking = RateLimit(ASKED_FOR_ONE_SAID * rate, ASKED_FOR_ONE_SAID * BURST_SECONDS * rate)
        self._registering = RateLimit(REGISTRATIONS_PER_SECOND if rate else 0, REGISTRATIONS_IN_A_BURST)
        self._max_per_network = max_per_network
        self._max_known = MAX_KNOWN_PER_NETWORK if rate else math.inf
        self._max_callbacks = max_callbacks
        self._entering: dict[str, Counter[str]] = {}  # network -> ids
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

    def settle(self, network: str, known: int) -> None:
        """Let one more be of a network of which so many are known, those included who have left."""
        if known >= self._max_known:
            detail = "too many from your address have come and left; come back with the token of one of them"
            raise _rate_limited(KNOWN_RETRY_SECONDS, detail)

    def ring(self, callbacks: int) -> None:
        """Let one more be rung beside so many."""
        if callbacks >= self._max_callbacks:
            raise _rate_limited(SEAT_RETRY_SECONDS, "this server can ring no more participants; leave the callback out")

    @contextlib.contextmanager
    def entering(self, network: str, member_id: str, members: Members) -> Iterator[None]:
        """Keep a seat for one who is about to be present from a network, whoever leaves or enters meanwhile."""
        if self._max_per_network and self._taken(network, member_id, members) >= self._max_per_network:
            detail = f"this server lets at most {self._max_per_network} participants in from one address"
            raise _rate_limited(SEAT_RETRY_SECONDS, detail)
        about_to = self._entering.setdefault(network, Counter())
        about_to[member_id] += 1
        try:
            yield
        finally:
            about_to -= Counter((member_id,))
            if not about_to:
                del self._entering[network]

    @contextlib.asynccontextmanager
    async def verification(self, network: str) -> AsyncIterator[bool]:
        """Wait until a callback may be verified; gives whether it had to wait."""
        share = self._verifications_of.setdefault(network, asyncio.Semaphore(VERIFICATIONS_PER_NETWORK))
        had_to_wait = share.locked() or self._verifications.locked()
        async with share, self._verifications:
            yield had_to_wait

    def _taken(self, network: str, member_id: str, members: Members) -> int:
        """Count the seats of a network that others have, or are about to have."""
        others = {one for one in self._entering.get(network, ()) if not members.is_present_from(network, one)}
        mine = members.is_present_from(network, member_id)
        return members.present_from(network) - mine + len(others - {member_id})

    def _take(self, limit: RateLimit, key: Hashable, count: int = 1) -> None:
        wait = limit.take(key, self._clock.monotonic(), count)
        if wait:
            raise _rate_limited(wait, "that was too much at once; wait, and do it again")


def _rate_limited(seconds: float, detail: str) -> ContractError:
    return ContractError(ErrorCode.RATE_LIMITED, {"retry_after_ms": math.ceil(seconds * 1000), "detail": detail})
