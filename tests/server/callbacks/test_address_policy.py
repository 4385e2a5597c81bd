"""Whose address may be called: every family, every disguise."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.callbacks.address_policy import AddressPolicy, allowed_addresses
from server.net.addresses import IPAddress, plain

PORT = 8080
OWN_PORT = 9999
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
EVERYWHERE = AddressPolicy(allow=EVERYTHING, own_port=OWN_PORT)
DEFAULT = AddressPolicy(own_port=OWN_PORT)
NOT_ON_LOOPBACK = AddressPolicy(
    own=frozenset({ip_address("192.168.1.2")}), own_port=OWN_PORT, listens_on_loopback=False
)

NEVER = {
    "unspecified": "0.0.0.0",
    "this network": "0.1.2.3",
    "unspecified v6": "::",
    "link-local": "169.254.1.1",
    "link-local v6": "fe80::1",
    "link-local v6, end": "febf:ffff::1",
    "link-local v6 with a zone": "fe80::1%eth0",
    "metadata": "169.254.169.254",
    "metadata of containers": "169.254.170.2",
    "metadata v6": "fd00:ec2::254",
    "metadata in shared space": "100.100.100.200",
    "multicast": "224.0.0.1",
    "multicast, end": "239.255.255.255",
    "multicast v6": "ff02::1",
    "multicast v6, global": "ff0e::1",
    "reserved": "240.0.0.1",
    "reserved, end": "255.255.255.254",
    "broadcast": "255.255.255.255",
    "NAT64 for local use": "64:ff9b:1::808:808",
}


def disguises(address: str) -> dict[str, str]:
    """The IPv6 forms that lead to an IPv4 address."""
    number = int(IPv4Address(address))
    other = int(IPv4Address("8.8.8.8"))
    return {
        "mapped": f"::ffff:{address}",
        "compatible": f"::{address}",
        "translated": f"::ffff:0:{address}",
        "NAT64": f"64:ff9b::{address}",
        "6to4": str(IPv6Address(0x2002 << 112 | number << 80 | 1)),
        "Teredo client": str(IPv6Address(0x20010000 << 96 | other << 64 | number ^ 0xFFFFFFFF)),
        "Teredo server": str(IPv6Address(0x20010000 << 96 | number << 64 | other ^ 0xFFFFFFFF)),
    }


def table_of_never() -> list[tuple[str, str]]:
    plainly = list(NEVER.items())
    disguised = [
        (f"{what}, {how}", form)
        for what, address in plainly
        if ":" not in address
        for how, form in disguises(address).items()
    ]
    return plainly + disguised


def may_call(address: str, caller: str | None, policy: AddressPolicy, port: int = PORT) -> bool:
    by: IPAddress | None = None if caller is None else ip_address(caller)
    return bool(allowed_addresses([ip_address(address)], port, by, policy))


@pytest.mark.parametrize(("what", "address"), table_of_never())
def test_some_addresses_are_never_called_though_everything_is_allowed(what: str, address: str) -> None:
    assert not may_call(address, None, EVERYWHERE), what


@pytest.mark.parametrize(("what", "address"), table_of_never())
def test_some_addresses_are_never_called_though_they_are_the_callers_own(what: str, address: str) -> None:
    assert not may_call(address, address, DEFAULT), what


ORDINARY = ["8.8.8.8", "10.0.0.1", "172.17.0.2", "192.168.1.7", "100.64.0.1", "2001:db8::1", "fd00::1", "2a00:1450::1"]


@pytest.mark.parametrize("address", ORDINARY)
def test_the_callers_own_address_is_called(address: str) -> None:
    assert may_call(address, address, DEFAULT)


@pytest.mark.parametrize("address", [*ORDINARY, "127.0.0.1", "::1"])
def test_the_address_of_another_is_not_called(address: str) -> None:
    assert not may_call(address, "192.168.1.77", DEFAULT)
    assert not may_call(address, "2001:db8::77", DEFAULT)


@pytest.mark.parametrize("address", [*ORDINARY, "127.0.0.1"])
def test_nobodys_address_is_called_for_an_unknown_caller(address: str) -> None:
    assert not may_call(address, None, DEFAULT)


@pytest.mark.parametrize("address", ORDINARY)
def test_what_is_allowed_is_called_for_anybody(address: str) -> None:
    assert may_call(address, "192.168.1.77", EVERYWHERE)


def test_only_the_networks_that_are_allowed_are_called() -> None:
    policy = AddressPolicy(allow=(ip_network("10.1.0.0/16"), ip_network("fd12::/32")))
    assert may_call("10.1.255.255", None, policy)
    assert may_call("fd12::1", None, policy)
    assert not may_call("10.2.0.0", None, policy)
    assert not may_call("fd13::1", None, policy)


def test_a_mapped_address_is_compared_as_the_ipv4_address_that_it_is() -> None:
    assert may_call("::ffff:192.168.1.7", "192.168.1.7", DEFAULT)
    assert may_call("192.168.1.7", "::ffff:192.168.1.7", DEFAULT)
    assert may_call("::ffff:10.0.0.1", None, AddressPolicy(allow=(ip_network("10.0.0.0/8"),)))
    assert not may_call("::ffff:10.0.0.1", None, AddressPolicy(allow=(ip_network("::/0"),)))


@pytest.mark.parametrize("how", ["compatible", "translated", "NAT64", "6to4", "Teredo client"])
def test_no_other_disguise_of_the_callers_address_is_the_callers_address(how: str) -> None:
    assert not may_call(disguises("192.168.1.7")[how], "192.168.1.7", DEFAULT)


def test_what_is_given_back_is_what_was_checked() -> None:
    addresses = [ip_address("::ffff:192.168.1.7"), ip_address("fe80::1%eth0"), ip_address("2001:db8::1%eth0")]
    allowed = allowed_addresses(addresses, PORT, None, EVERYWHERE)
    assert allowed == [ip_address("192.168.1.7"), ip_address("2001:db8::1")]


def test_of_several_addresses_those_that_may_not_be_called_are_dropped() -> None:
    addresses = [ip_address(text) for text in ("::1", "127.0.0.1", "10.0.0.1", "169.254.169.254")]
    assert allowed_addresses(addresses, PORT, ip_address("127.0.0.1"), DEFAULT) == [ip_address("127.0.0.1")]


LOOPBACKS = ["127.0.0.1", "127.255.255.254", "::1"]


@pytest.mark.parametrize("address", LOOPBACKS)
def test_loopback_is_called_for_itself_when_the_server_listens_there(address: str) -> None:
    assert may_call(address, address, DEFAULT)


@pytest.mark.parametrize("address", [*LOOPBACKS, *disguises("127.0.0.1").values()])
def test_loopback_is_not_called_when_the_server_does_not_listen_there(address: str) -> None:
    assert not may_call(address, address, NOT_ON_LOOPBACK)


def test_loopback_is_called_when_it_is_allowed() -> None:
    policy = AddressPolicy(allow=(ip_network("127.0.0.0/8"),), own_port=OWN_PORT, listens_on_loopback=False)
    assert may_call("127.0.0.1", "192.168.1.7", policy)
    assert may_call("127.0.0.1", "192.168.1.7", policy, OWN_PORT), "it is another's port there"
    assert not may_call("::1", "192.168.1.7", policy)


OWN = AddressPolicy(
    allow=EVERYTHING, own=frozenset({ip_address("192.168.1.2")}), own_port=OWN_PORT, listens_on_loopback=False
)


@pytest.mark.parametrize("address", ["192.168.1.2", *disguises("192.168.1.2").values()])
def test_the_servers_own_address_and_port_are_never_called(address: str) -> None:
    assert not may_call(address, "192.168.1.2", OWN, OWN_PORT)
    assert may_call(address, "192.168.1.2", OWN, PORT)


def test_the_own_port_of_another_address_is_called() -> None:
    assert may_call("192.168.1.3", "192.168.1.3", OWN, OWN_PORT)


@pytest.mark.parametrize("address", [*LOOPBACKS, *disguises("127.0.0.1").values()])
def test_the_own_port_on_loopback_is_never_called_when_the_server_listens_there(address: str) -> None:
    assert not may_call(address, address, EVERYWHERE, OWN_PORT)


@pytest.mark.parametrize(
    ("address", "form"),
    [("::ffff:1.2.3.4", "1.2.3.4"), ("2001:db8::1%eth0", "2001:db8::1"), ("1.2.3.4", "1.2.3.4"), ("::1", "::1")],
)
def test_the_plain_form_has_neither_mapping_nor_zone(address: str, form: str) -> None:
    assert str(plain(ip_address(address))) == form


@given(st.ip_addresses(), st.ip_addresses())
def test_without_settings_nobody_is_called_but_the_caller(address: IPAddress, caller: IPAddress) -> None:
    allowed = allowed_addresses([address], PORT, caller, DEFAULT)
    assert allowed in ([], [plain(caller)])
    assert not allowed or plain(address) == plain(caller)
