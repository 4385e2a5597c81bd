"""Which address a call comes from, when proxies may stand in between."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from server.core.address_policy import IPAddress, IPNetwork, plain

# Whoever sends one of these speaks for somebody else; only the first three tell for whom.
HEADERS_OF_PROXIES: Final = (
    "X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
    "X-Forwarded-Server", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` is None when it cannot be known. `proxied`: somebody not trusted says that it speaks for another."""

    address: IPAddress | None
    proxied: bool = False

    def __str__(self) -> str:
        return str(self.address or "an unknown address")


def network_of(address: IPAddress | None) -> str:
    """Give what counts as one place when limits are kept: an IPv4 address, or an IPv6 network of 64 bits.

    So many, at least, a household or a rented machine has (RFC 6177), and could call from each of its addresses.
    """
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address or "")


def find_caller(peer: str, headers: Mapping[str, str], trusted: Sequence[IPNetwork]) -> Caller:
    """Give the caller of a request whose connection is from `peer`; header names are looked up without case.

    From a trusted peer the right-most entry that is not itself trusted counts (RFC 7239, section 7.4). Where two of the
    headers tell of different callers, the proxy writes one and has let the other through: nobody knows which.
    """
    address = _read_address(peer)
    chains = [[_read_address(entry) for entry in chain] for chain in _forwarded_chains(headers)]
    if not chains:
        return Caller(address, proxied=any(name in headers for name in HEADERS_OF_PROXIES))
    if not _is_trusted(address, trusted):
        return Caller(address, proxied=True)
    untrusted = [[hop for hop in chain if not _is_trusted(hop, trusted)] for chain in chains]
    callers = {hops[-1] for hops in untrusted if hops} or {chains[0][0]}
    return Caller(callers.pop()) if len(callers) == 1 else Caller(address, proxied=True)


def _forwarded_chains(headers: Mapping[str, str]) -> Iterator[list[str]]:
    if value := headers.get("X-Forwarded-For"):
        yield value.split(",")
    if value := headers.get("Forwarded"):
        yield [_forwarded_for(element) for element in value.split(",")]
    if value := headers.get("X-Real-IP"):
        yield [value]


def _forwarded_for(element: str) -> str:
    pairs = (pair.partition("=") for pair in element.split(";"))
    return next((text for name, _, text in pairs if name.strip().lower() == "for"), "")


def _is_trusted(address: IPAddress | None, trusted: Sequence[IPNetwork]) -> bool:
    return address is not None and any(address.version == net.version and address in net for net in trusted)


def _read_address(text: str) -> IPAddress | None:
    """Read an address as proxies write it: bare, quoted, in brackets, with a port."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return plain(ip_address(text))
    except ValueError:
        return None
