"""From what a participant gives as `callback` to what is dialled."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.callbacks.callback_url import CallbackProblem, CallbackUrl, parse_callback, resolve_callback
from server.net.addresses import literal_address

V4 = ip_address("192.168.1.7")
V6 = ip_address("2001:db8::7")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://host", ("http", "host", 80, "/", "host")),
        ("https://host", ("https", "host", 443, "/", "host")),
        ("http://host:80/rpc", ("http", "host", 80, "/rpc", "host")),
        ("https://host:80/rpc", ("https", "host", 80, "/rpc", "host:80")),
        ("http://Host.Example:8080/RPC/a?b=c&d", ("http", "host.example", 8080, "/RPC/a?b=c&d", "host.example:8080")),
        ("HTTP://host/%7Ea%20b;c", ("http", "host", 80, "/%7Ea%20b;c", "host")),
        ("http://host?x=1", ("http", "host", 80, "/?x=1", "host")),
        ("http://10.0.0.1:65535/", ("http", "10.0.0.1", 65535, "/", "10.0.0.1:65535")),
        ("http://[2001:DB8::1]/", ("http", "2001:db8::1", 80, "/", "[2001:db8::1]")),
        ("https://[::1]:8443/x", ("https", "::1", 8443, "/x", "[::1]:8443")),
        ("http://host//evil/../a", ("http", "host", 80, "//evil/../a", "host")),
    ],
)
def test_a_url_is_read_into_what_is_dialled(text: str, parts: tuple[str, str, int, str, str]) -> None:
    url = parse_callback(text)
    assert (url.scheme, url.host, url.port, url.target, url.authority) == parts
    assert url.text == text


@pytest.mark.parametrize(
    ("text", "caller", "settled"),
    [
        (":8080", V4, "http://192.168.1.7:8080"),
        (":8080/rpc", V4, "http://192.168.1.7:8080/rpc"),
        (":8080/rpc?key=1", V6, "http://[2001:db8::7]:8080/rpc?key=1"),
        ("https://host/rpc", V4, "https://host/rpc"),
        ("https://host/rpc", None, "https://host/rpc"),
    ],
)
def test_a_callback_that_begins_with_a_colon_is_at_the_callers_address(text: str, caller: object, settled: str) -> None:
    assert resolve_callback(text, caller).text == settled  # type: ignore[arg-type]


def test_a_settled_callback_is_read_again_as_the_same() -> None:
    url = resolve_callback(":8080/rpc", V6)
    assert parse_callback(url.text) == url == CallbackUrl(url.text, "http", "2001:db8::7", 8080, "/rpc")


def test_without_a_known_caller_a_colon_leads_nowhere() -> None:
    with pytest.raises(CallbackProblem, match="the address that you call from is unknown"):
        resolve_callback(":8080/rpc", None)


SCHEME, HOST, USER = "must begin with", "has no host", "must not contain a user name or password"
PORT, NOT_A_URL, CHARACTER = "must have a port from 1 to 65535", "is not a URL", "contains a character"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ftp://host/", SCHEME),
        ("//host/", SCHEME),
        ("host:8080/rpc", SCHEME),
        ("host/rpc", SCHEME),
        ("javascript:alert(1)", SCHEME),
        ("file:///etc/passwd", SCHEME),
        ("ws://host/", SCHEME),
        ("http:", HOST),
        ("http:///rpc", HOST),
        ("http://:8080/rpc", HOST),
        ("http://user@host/", USER),
        ("http://user:password@host/", USER),
        ("http://@host/", USER),
        ("http://192.168.1.7:80@evil.example/", USER),
        ("http://host/#part", "must not have a fragment"),
        ("http://host:0/", PORT),
        ("http://host:/", PORT),
        ("http://host:", PORT),
        ("http://host:65536/", NOT_A_URL),
        ("http://host:-1/", NOT_A_URL),
        ("http://host:8o/", NOT_A_URL),
        ("http://host:80:80/", NOT_A_URL),
        ("http://[::1/", NOT_A_URL),
        ("http://[host]/", NOT_A_URL),
        ("http://[1.2.3.4]/", NOT_A_URL),
        (" http://host/", CHARACTER),
        ("http://host/ ", CHARACTER),
        ("http://ho st/", CHARACTER),
        ("http://host/\r\nX-Evil: 1", CHARACTER),
        ("ht\ntp://host/", CHARACTER),
        ("http://host\\@evil.example/", CHARACTER),
        ("http://hóst/", CHARACTER),
        ("http://host/ž", CHARACTER),
        ("http://host／evil/", CHARACTER),
        ("http://host/\x00", CHARACTER),
        ("http://host/<a>", CHARACTER),
        ("http://host/\ud800", CHARACTER),
        ("", SCHEME),
    ],
)
def test_what_is_no_callback_is_refused_in_words(text: str, problem: str) -> None:
    with pytest.raises(CallbackProblem, match=problem):
        parse_callback(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (":", PORT),
        (":/rpc", PORT),
        (":0/rpc", PORT),
        (":65536/rpc", NOT_A_URL),
        (":rpc", NOT_A_URL),
        ("::1", NOT_A_URL),
        (":8080@evil.example/rpc", USER),
        (":@evil.example/", USER),
        (":80#a", "must not have a fragment"),
        (": 80", CHARACTER),
        (":80\r\nHost: evil", CHARACTER),
    ],
)
def test_nothing_behind_a_colon_leads_to_another_host(text: str, problem: str) -> None:
    with pytest.raises(CallbackProblem, match=problem):
        resolve_callback(text, V4)


@given(st.text(max_size=30))
def test_whatever_stands_behind_a_colon_the_host_is_the_caller(rest: str) -> None:
    try:
        url = resolve_callback(f":{rest}", V4)
    except CallbackProblem:
        return
    assert (url.scheme, url.host) == ("http", str(V4))
    assert 1 <= url.port <= 65535


@given(st.text(max_size=30) | st.text("htps:/@[]?#%.:0189af\\ ", max_size=30).map("http://{}".format))
def test_any_text_is_a_callback_or_a_callback_problem(text: str) -> None:
    try:
        url = parse_callback(text)
    except CallbackProblem:
        return
    assert url.host
    assert url.target.startswith("/")
    assert f"{url.host}{url.target}{url.authority}".isprintable()


@pytest.mark.parametrize(("host", "address"), [("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("::ffff:1.2.3.4",) * 2])
def test_a_host_that_is_an_address_needs_no_look_up(host: str, address: str) -> None:
    assert literal_address(host) == ip_address(address)


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "1.2.3.4.", "", "[::1]"])
def test_any_other_host_is_a_name_for_the_resolver(host: str) -> None:
    assert literal_address(host) is None
