"""Limits on the requests, registrations and callbacks of a participant, and of a network."""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator
from typing import Final
from weakref import WeakValueDictionary

from protocol.errors import ContractError, ErrorCode
from server.chat.members import Members
from server.chat.rate_limit import RateLimit
from server.clock import Clock

BURST_SECONDS: Final = 5  # the burst of a participant, as seconds at its rate
READS_FOR_ONE_WRITE: Final = 10  # a read is cheaper than an entry that the server delivers to all recipients
REGISTRATIONS_PER_SECOND: Final = 10
REGISTRATIONS_IN_A_BURST: Final = 1000  # all the clients of a network may register again after a server restart
VERIFICATIONS_AT_ONCE: Final = 64
VERIFICATIONS_PER_NETWORK: Final = 16  # of these: a callback that hangs delays only verifications of the same network
PLACE_RETRY_SECONDS: Final = 10.0
MAX_KNOWN_PER_NETWORK: Final = 10_000  # present or away: each member takes about 2 KiB of memory
KNOWN_RETRY_SECONDS: Final = 3600.0


class Limits:
    """The limits. Methods raise -32006 when a limit is reached. A network is a string returned by `network_of`."""

    def __init__(self, clock: Clock, *, rate: float, max_per_network: int, max_callbacks: float = math.inf) -> None:
        """`rate` is in messages a second for each participant; 0 turns off all rates. `max_per_network` 0: no limit."""
        self._clock = clock
        self._writes = RateLimit(rate, BURST_SECONDS * rate)
        self._reads = RateLimit(READS_FOR_ONE_WRITE * rate, READS_FOR_ONE_WRITE * BURST_SECONDS * rate)
        self._registrations = RateLimit(REGISTRATIONS_PER_SECOND if rate else 0, REGISTRATIONS_IN_A_BURST)
        self._max_per_network = max_per_network
        self._max_known = MAX_KNOWN_PER_NETWORK if rate else math.inf
        self._max_callbacks = max_callbacks
        self._reserved: dict[str, Counter[str]] = {}  # network -> ids
        self._verifications = asyncio.Semaphore(VERIFICATIONS_AT_ONCE)
        self._verifications_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def charge_write(self, member_id: str) -> None:
        """Charge a request that adds an entry or a notification for other members."""
        self._charge(self._writes, member_id)

    def charge_read(self, member_id: str, cost: int) -> None:
        """Charge `cost` for a request that only reads."""
        self._charge(self._reads, member_id, cost)

    def charge_registration(self, network: str) -> None:
        """Charge a registration, whether it succeeds or not."""
        self._charge(self._registrations, network)

    def check_newcomers(self, network: str, known: int) -> None:
        """Reject a newcomer if its network has `known` members at the limit, present or away."""
        if known >= self._max_known:
            detail = "too many participants from your address have registered; use the token of an earlier one"
            raise _rate_limited(KNOWN_RETRY_SECONDS, detail)

    def check_callbacks(self, callbacks: int) -> None:
        """Reject another callback if `callbacks` has reached the limit."""
        if callbacks >= self._max_callbacks:
            raise _rate_limited(PLACE_RETRY_SECONDS, "this server cannot serve more callbacks; register without one")

    @contextlib.contextmanager
    def reserve_place(self, network: str, member_id: str, members: Members) -> Iterator[None]:
        """Reserve a place in the network's limit for a member that is about to be present, while the block runs."""
        if self._max_per_network and self._places_in_use(network, member_id, members) >= self._max_per_network:
            detail = f"at most {self._max_per_network} participants may be present from one address"
            raise _rate_limited(PLACE_RETRY_SECONDS, detail)
        about_to = self._reserved.setdefault(network, Counter())
        about_to[member_id] += 1
        try:
            yield
        finally:
            about_to -= Counter((member_id,))
            if not about_to:
                del self._reserved[network]

    @contextlib.asynccontextmanager
    async def verification(self, network: str) -> AsyncIterator[bool]:
        """Wait for a verification slot. Yield whether the caller had to wait."""
        share = self._verifications_of.setdefault(network, asyncio.Semaphore(VERIFICATIONS_PER_NETWORK))
        had_to_wait = share.locked() or self._verifications.locked()
        async with share, self._verifications:
            yield had_to_wait

    def _places_in_use(self, network: str, member_id: str, members: Members) -> int:
        """Return how many other members of the network are present, or about to be."""
        others = {one for one in self._reserved.get(network, ()) if not members.is_present_from(network, one)}
        mine = members.is_present_from(network, member_id)
        return members.present_from(network) - mine + len(others - {member_id})

    def _charge(self, limit: RateLimit, key: Hashable, count: int = 1) -> None:
        wait = limit.take(key, self._clock.monotonic(), count)
        if wait:
            raise _rate_limited(wait, "rate limit exceeded")


def _rate_limited(seconds: float, detail: str) -> ContractError:
    return ContractError(ErrorCode.RATE_LIMITED, {"retry_after_ms": math.ceil(seconds * 1000), "detail": detail})
