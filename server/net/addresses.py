"""IP addresses and networks: the types, the plain form, and the network that counts as one caller."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


def plain(address: IPAddress) -> IPAddress:
    """Return an IPv4-mapped address as IPv4, and an IPv6 address without its zone."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def literal_address(host: str) -> IPAddress | None:
    """Return the IP address that `host` is, or None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def network_of(address: IPAddress | None) -> str:
    """Return the network that counts as a single source for limits: an IPv4 address, or an IPv6 /64.

    A household or a rented machine has a /64 at least (RFC 6177), and can connect from each of its addresses.
    """
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address or "")


def is_within(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
