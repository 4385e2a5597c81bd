"""The members of the room, present and away, indexed by id, token and name."""

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from itertools import islice
from math import inf
from typing import Final

from msgspec import Struct

from server.chat.names import name_keys
from server.net.addresses import literal_address, network_of

NAME_HELD_SECONDS: Final = 600  # after an eviction the name is held this long for its owner
SILENT_SECONDS: Final = 600  # a member without a callback becomes away after this long without a request


class Member(Struct, frozen=True, kw_only=True):
    """A member, present or away: all its state that survives a restart, except the cursor.

    `caller` is the address that registered, `callback` the absolute URL. Times are on the store clock: `changed_at` is
    when the member last joined, left or was renamed; the name of an away member is held until `name_held_until`. A
    `kicked` member is away, and its token is void. `keeps_name`: the member asked at `Register` to keep its name.
    """

    id: str
    name: str
    token_hash: bytes
    secret: bytes
    caller: str
    callback: str | None
    max_batch: int
    accepts: frozenset[str]
    present: bool
    changed_at: float
    name_held_until: float = 0.0
    kicked: bool = False
    keeps_name: bool = False


class Leaving(Enum):
    """Why a member becomes away."""

    UNREGISTERED = auto()
    UNREGISTERED_KEEPING_NAME = auto()
    GONE = auto()  # its callback answered 410
    SILENT = auto()
    EVICTED = auto()
    KICKED = auto()


def held_until(member: Member, leaving: Leaving, now: float, keep_seconds: float) -> float:
    """Return until when the name of a leaving member is held for it; 0 if the name is free at once.

    `keep_seconds` is how long a name is held if its owner asked to keep it.
    """
    if leaving in (Leaving.UNREGISTERED, Leaving.KICKED):
        return 0.0
    keeps = member.keeps_name or leaving is Leaving.UNREGISTERED_KEEPING_NAME
    seconds = max(keep_seconds if keeps else 0.0, NAME_HELD_SECONDS if leaving is Leaving.EVICTED else 0.0)
    return now + seconds if seconds else 0.0


class Members:
    """All members by id, token and name. Members are immutable: to change a member, `put` a new value with its id."""

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._by_id: dict[str, Member] = {}
        self._by_token: dict[bytes, str] = {}
        self._by_name: dict[tuple[str, str], str] = {}  # (field of NameKeys, key) -> id
        self._present: list[str] = []
        self._from: Counter[tuple[str, bool]] = Counter()  # (network, present) -> number of members
        for member in members:
            self.put(member)

    def __repr__(self) -> str:
        return f"<Members present={len(self._present)} known={len(self._by_id)}>"

    @property
    def present_count(self) -> int:
        """The number of present members."""
        return len(self._present)

    def present_from(self, network: str) -> int:
        """Return the number of present members that registered from a network, as `network_of` returns it."""
        return self._from[network, True]

    def known_from(self, network: str) -> int:
        """Return the number of members, present or away, that registered from a network."""
        return self._from[network, True] + self._from[network, False]

    def is_present_from(self, network: str, member_id: str) -> bool:
        """Return whether a member is present and registered from this network."""
        member = self._by_id.get(member_id)
        return member is not None and member.present and network_of_member(member) == network

    def get(self, member_id: str) -> Member | None:
        """Return a member, present or away, by id."""
        return self._by_id.get(member_id)

    def owner_of(self, token_hash: bytes) -> Member | None:
        """Return the member, present or away, with this token hash."""
        member_id = self._by_token.get(token_hash)
        return None if member_id is None else self._by_id[member_id]

    def other_called(self, name: str, member_id: str | None, now: float) -> Member | None:
        """Return the member other than `member_id` that has this name now: present, or away with the name still held.

        If the two keys of the name lead to two members, return the member that has its name for longer.
        """
        found = (self._by_id.get(self._by_name.get(key, "")) for key in name_keys(name)._asdict().items())
        holders = [holder for holder in found if holder and holder.id != member_id and _claim(holder) > now]
        return max(holders, key=_claim, default=None)

    def put(self, member: Member) -> None:
        """Add a member, or replace the member with the same id."""
        self.forget(member.id)
        self._by_id[member.id] = member
        self._by_token[member.token_hash] = member.id
        if member.present:
            insort(self._present, member.id)
        self._from[network_of_member(member), member.present] += 1
        for key in name_keys(member.name)._asdict().items():
            holder = self._by_id.get(self._by_name.get(key, ""))
            if holder is None or _claim(member) >= _claim(holder):
                self._by_name[key] = member.id

    def forget(self, member_id: str) -> None:
        """Delete a member and all its index entries."""
        member = self._by_id.pop(member_id, None)
        if member is None:
            return
        del self._by_token[member.token_hash]
        if member.present:
            self._present.pop(bisect_right(self._present, member_id) - 1)
        origin = (network_of_member(member), member.present)
        self._from[origin] -= 1
        if not self._from[origin]:
            del self._from[origin]
        for key in name_keys(member.name)._asdict().items():
            if self._by_name.get(key) == member_id:
                del self._by_name[key]

    def present(self, after_id: str = "") -> Iterator[Member]:
        """Return the present members, ordered by id, starting after `after_id`."""
        start = bisect_right(self._present, after_id) if after_id else 0
        return (self._by_id[member_id] for member_id in islice(self._present, start, None))

    def away_since_before(self, then: float) -> list[Member]:
        """Return the away members whose last change is older than `then`."""
        return [member for member in self._by_id.values() if not member.present and member.changed_at < then]

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_id.values()))


def network_of_member(member: Member) -> str:
    """Return the network from which a member last registered."""
    return network_of(literal_address(member.caller))


def _claim(member: Member) -> float:
    """Return until when a member owns its name. An expired hold must not hide the member that has the name now."""
    return inf if member.present else member.name_held_until
