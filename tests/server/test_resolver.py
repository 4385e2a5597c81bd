"""From hosts to addresses, with the system's own resolver and no name server asked."""

import asyncio
from ipaddress import ip_address

import pytest

from server.resolver import ResolveError, SystemResolver


@pytest.fixture
def resolver() -> SystemResolver:
    return SystemResolver()


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.7", "::1", "2001:db8::1", "::ffff:192.0.2.7"])
async def test_an_address_is_itself(resolver: SystemResolver, host: str) -> None:
    assert await resolver.resolve(host, "192.0.2.7") == [ip_address(host)]


async def test_an_address_needs_no_look_up(resolver: SystemResolver) -> None:
    assert await resolver.resolve("192.0.2.7", "192.0.2.7") == [ip_address("192.0.2.7")]


async def test_a_name_has_each_of_its_addresses_once(resolver: SystemResolver) -> None:
    addresses = await resolver.resolve("localhost", "192.0.2.7")
    assert addresses
    assert all(address.is_loopback for address in addresses)
    assert len(addresses) == len(set(addresses))


@pytest.mark.parametrize(
    ("host", "address"), [("127.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f.1", "127.0.0.1")]
)
async def test_an_address_in_an_old_form_is_shown_for_what_it_is(
    resolver: SystemResolver, host: str, address: str
) -> None:
    assert await resolver.resolve(host, "192.0.2.7") == [ip_address(address)]


@pytest.mark.parametrize("host", ["a" * 64, "a..b", ".example", "a" * 64 + ".example", "\ud800", "a\x00b", ""])
async def test_what_cannot_be_a_name_has_no_address(resolver: SystemResolver, host: str) -> None:
    with pytest.raises(ResolveError, match="the name has no address"):
        await resolver.resolve(host, "192.0.2.7")


async def test_many_look_ups_at_once_are_all_answered(resolver: SystemResolver) -> None:
    found = await asyncio.gather(*(resolver.resolve("localhost", "192.0.2.7") for _ in range(100)))
    assert len({tuple(addresses) for addresses in found}) == 1
