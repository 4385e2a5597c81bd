"""The address from which a request comes, seen through trusted proxies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from server.net.addresses import IPAddress, IPNetwork, is_within, plain

# A proxy sends these headers. Only `X-Forwarded-For`, `Forwarded` and `X-Real-IP` name the client's address.
HEADERS_OF_PROXIES: Final = (
    "X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
    "X-Forwarded-Server", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request. `address` is None if unknown.

    `proxied`: the request came through an untrusted or ambiguous proxy, so `address` may not be the client's.
    """

    address: IPAddress | None
    proxied: bool = False

    def __str__(self) -> str:
        return str(self.address or "an unknown address")


def find_caller(peer: str, headers: Mapping[str, str], trusted: Sequence[IPNetwork]) -> Caller:
    """Return the caller of a request from `peer`; header names are spelled as in `HEADERS_OF_PROXIES`.

    With a trusted peer, the caller is the right-most entry that is not trusted itself (RFC 7239, section 7.4). If two
    headers name different callers, the proxy wrote only one of them, and it is unknown which: the result is the peer,
    with `proxied` set, as for an untrusted peer that sends these headers.
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
    return address is not None and is_within(address, trusted)


def _read_address(text: str) -> IPAddress | None:
    """Return the address in a header entry: bare, quoted, in brackets, or with a port. None if it is not an address."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return plain(ip_address(text))
    except ValueError:
        return None
