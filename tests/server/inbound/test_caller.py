"""From which address a call comes, and who is believed about it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from server.inbound.caller import Caller, find_caller
from server.net.addresses import network_of

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY, CLIENT, LIAR = "10.0.0.1", "203.0.113.7", "198.51.100.9"


def find(peer: str, **headers: str) -> Caller:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return find_caller(peer, CIMultiDict(lines), TRUSTED)


def address_of(caller: Caller) -> str:
    assert not caller.proxied
    return str(caller.address)


def test_without_a_proxy_the_peer_is_the_caller() -> None:
    assert find(CLIENT) == Caller(ip_address(CLIENT))


def test_a_trusted_peer_may_call_for_itself() -> None:
    assert find(PROXY) == Caller(ip_address(PROXY))


@pytest.mark.parametrize(
    ("peer", "address"), [("::ffff:203.0.113.7", CLIENT), ("fe80::1%eth0", "fe80::1"), ("2001:db8::1", "2001:db8::1")]
)
def test_a_peer_is_known_by_its_plain_address(peer: str, address: str) -> None:
    assert address_of(find(peer)) == address


@pytest.mark.parametrize("peer", ["", "somewhere"])
def test_a_peer_without_an_address_is_unknown(peer: str) -> None:
    assert find(peer) == Caller(None)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-for", "Forwarded", "X-Real-IP", "x-real-ip"])
def test_one_who_is_not_trusted_is_seen_to_speak_for_another(name: str) -> None:
    value = f"for={LIAR}" if name == "Forwarded" else LIAR
    assert find_caller(CLIENT, CIMultiDict({name: value}), TRUSTED) == Caller(ip_address(CLIENT), proxied=True)


@pytest.mark.parametrize("value", ["unknown", "", "x"])
def test_one_who_is_not_trusted_cannot_hide_it_behind_garbage(value: str) -> None:
    assert find(CLIENT, X_Forwarded_For=f",{value}").proxied


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (CLIENT, CLIENT),
        (f"{LIAR}, {CLIENT}", CLIENT),
        (f"{LIAR},{CLIENT},10.0.0.2 , 10.0.0.3", CLIENT),
        (f"{LIAR}, {CLIENT}, ::ffff:10.0.0.2, fd00::2", CLIENT),
        (f" {CLIENT}:4711 ", CLIENT),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", CLIENT),
        ("10.0.0.2, 10.0.0.3", "10.0.0.2"),
        (f"{LIAR}, unknown", "None"),
        (f"{LIAR}, ", "None"),
        (f"{LIAR}, 10.0.0.999", "None"),
    ],
)
def test_of_x_forwarded_for_the_right_most_untrusted_entry_counts(value: str, address: str) -> None:
    assert address_of(find(PROXY, X_Forwarded_For=value)) == address


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (f"for={CLIENT}", CLIENT),
        (f"For={CLIENT};proto=http;by=10.0.0.1", CLIENT),
        (f"proto=http; for={CLIENT}", CLIENT),
        (f'for="{CLIENT}:4711"', CLIENT),
        ('for="[2001:db8::7]:4711"', "2001:db8::7"),
        (f"for={LIAR}, for={CLIENT}, for=10.0.0.2", CLIENT),
        (f"for={LIAR}, for=unknown", "None"),
        (f"for={LIAR}, for=_hidden", "None"),
        (f"for={LIAR}, proto=https", "None"),
    ],
)
def test_of_forwarded_the_right_most_untrusted_entry_counts(value: str, address: str) -> None:
    assert address_of(find(PROXY, Forwarded=value)) == address


def test_x_real_ip_of_a_trusted_peer_is_believed() -> None:
    assert address_of(find(PROXY, X_Real_IP=CLIENT)) == CLIENT


def test_headers_that_tell_the_same_are_believed() -> None:
    caller = find(PROXY, X_Forwarded_For=f"{LIAR}, {CLIENT}", Forwarded=f"for={CLIENT}", X_Real_IP=CLIENT)
    assert address_of(caller) == CLIENT


def test_a_header_that_names_only_proxies_says_nothing() -> None:
    assert address_of(find(PROXY, X_Forwarded_For=f"{CLIENT}, 10.0.0.2", X_Real_IP="10.0.0.2")) == CLIENT


@pytest.mark.parametrize("invented", [{"X_Forwarded_For": LIAR}, {"Forwarded": f"for={LIAR}"}])
def test_a_header_that_the_proxy_lets_through_does_not_make_another_the_caller(invented: dict[str, str]) -> None:
    assert find(PROXY, X_Real_IP=CLIENT, **invented) == Caller(ip_address(PROXY), proxied=True)


@pytest.mark.parametrize(
    ("caller", "told"), [(Caller(ip_address(CLIENT)), CLIENT), (Caller(None), "an unknown address")]
)
def test_a_caller_tells_where_it_calls_from(caller: Caller, told: str) -> None:
    assert str(caller) == told


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_header_makes_more_than_a_caller(forwarded_for: str, forwarded: str, real_ip: str) -> None:
    caller = find(PROXY, X_Forwarded_For=forwarded_for, Forwarded=forwarded, X_Real_IP=real_ip)
    assert isinstance(caller, Caller)


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("::1", "::/64")],
)
def test_an_ipv4_address_and_a_64_of_ipv6_are_one_place(address: str, network: str) -> None:
    assert network_of(ip_address(address)) == network


def test_an_address_that_is_not_known_is_a_place_too() -> None:
    assert network_of(None) == ""


@pytest.mark.parametrize(
    "name", ["Via", "X-Forwarded-Proto", "X-Forwarded-Host", "CF-Connecting-IP", "X-Forwarded-For", "Forwarded"]
)
@pytest.mark.parametrize("value", ["", "1.1 proxy", "https"])
def test_who_says_that_there_is_a_proxy_without_saying_for_whom_is_proxied(name: str, value: str) -> None:
    assert find_caller("192.0.2.7", CIMultiDict({name: value}), ()).proxied
