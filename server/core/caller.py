"""Which address a call comes from, when proxies may stand in between."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from server.core.address_policy import IPAddress, IPNetwork, plain


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` is None when it cannot be known. `proxied`: somebody not trusted says that it speaks for another."""

    address: IPAddress | None
    proxied: bool = False

    def __str__(self) -> str:
        return str(self.address or "an unknown address")


def find_caller(peer: str, headers: Mapping[str, str], trusted: Sequence[IPNetwork]) -> Caller:
    """Give the caller of a request whose connection is from `peer`; header names are looked up without case.

    From a trusted peer the right-most entry that is not itself trusted counts (RFC 7239, section 7.4).
    """
    address = _read_address(peer)
    chain = list(_forwarded_chain(headers))
    if not chain:
        return Caller(address)
    if not _is_trusted(address, trusted):
        return Caller(address, proxied=True)
    for entry in reversed(chain):
        hop = _read_address(entry)
        if not _is_trusted(hop, trusted):
            return Caller(hop)
    return Caller(_read_address(chain[0]))


def _forwarded_chain(headers: Mapping[str, str]) -> Iterator[str]:
    if value := headers.get("X-Forwarded-For"):
        yield from value.split(",")
    elif value := headers.get("Forwarded"):
        for element in value.split(","):
            pairs = (pair.partition("=") for pair in element.split(";"))
            yield next((text for name, _, text in pairs if name.strip().lower() == "for"), "")
    elif value := headers.get("X-Real-IP"):
        yield value


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
