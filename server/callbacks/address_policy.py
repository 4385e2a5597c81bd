"""The addresses to which the server may connect for a callback: by default only the caller's own address.

The tables are explicit because `ipaddress.is_private` and `is_global` differ between Python versions and omit some of
these networks.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from typing import Final

from server.net.addresses import IPAddress, IPNetwork, is_within, plain

NEVER: Final = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # unspecified, "this network" (RFC 1122)
        "100.100.100.200/32",  # metadata
        "169.254.0.0/16",  # link-local (RFC 3927), metadata at 169.254.169.254
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved (RFC 1112), broadcast
        "::/128",  # unspecified
        "64:ff9b:1::/48",  # NAT64 for local use (RFC 8215): where the IPv4 address stands is up to its network
        "fd00:ec2::254/128",  # metadata
        "fe80::/10",  # link-local (RFC 4291)
        "ff00::/8",  # multicast (RFC 4291)
    )
)
LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
V4_IN_LAST_32_BITS: Final = (
    ip_network("::/96"),  # IPv4-compatible (RFC 4291), deprecated
    ip_network("::ffff:0:0:0/96"),  # IPv4-translated (RFC 2765)
    ip_network("64:ff9b::/96"),  # NAT64 (RFC 6052)
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """`allow`: networks allowed besides the caller's address. `own`, `own_port`: where this server listens."""

    allow: tuple[IPNetwork, ...] = ()
    own: Container[IPAddress] = frozenset()
    own_port: int = 0
    listens_on_loopback: bool = True


def allowed_addresses(
    addresses: Iterable[IPAddress], port: int, caller: IPAddress | None, policy: AddressPolicy
) -> list[IPAddress]:
    """Return those of `addresses` to which the server may connect on behalf of `caller`; if none, answer -32005.

    They are returned in the form of `plain`, so that the server connects to exactly the address that was checked.
    """
    return [address for address in map(plain, addresses) if _may_call(address, port, caller, policy)]


def _may_call(address: IPAddress, port: int, caller: IPAddress | None, policy: AddressPolicy) -> bool:
    forms = [address, *_embedded(address)]
    if any(is_within(form, NEVER) for form in forms):
        return False
    if port == policy.own_port and any(form in policy.own or _is_own_loopback(form, policy) for form in forms):
        return False
    if is_within(address, policy.allow):
        return True
    if any(is_within(form, LOOPBACK) for form in forms) and not policy.listens_on_loopback:
        return False
    return caller is not None and address == plain(caller)


def _is_own_loopback(address: IPAddress, policy: AddressPolicy) -> bool:
    return policy.listens_on_loopback and is_within(address, LOOPBACK)


def _embedded(address: IPAddress) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address of a translation or tunnelling mechanism leads to."""
    if isinstance(address, IPv4Address):
        return []
    found = [*(address.teredo or ()), address.sixtofour]
    if is_within(address, V4_IN_LAST_32_BITS) and int(address) > 1:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [form for form in found if form is not None]
