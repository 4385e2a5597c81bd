"""Which pages may open the WebSocket, as their requests arrive directly and through proxies."""

import pytest

from client.faces.web.hosts import PageHosts, host_of

HOSTS = PageHosts(("localhost", "chat.example", "Wiki.example:8443", "localhost:9000"))


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8080", "[::1]:1", "CHAT.example", "chat.example:1", "wiki.example:8443"]
)
def test_include_of_a_named_host_is_true(host: str) -> None:
    assert HOSTS.include(host)


@pytest.mark.parametrize("host", ["", "evil.example", "wiki.example", "wiki.example:1", "[::2]", "chat.example.evil"])
def test_include_of_another_host_is_false(host: str) -> None:
    assert not HOSTS.include(host)


@pytest.mark.parametrize(
    ("origin", "host", "forwarded"),
    [
        pytest.param("http://localhost:8081", "localhost:8081", (), id="direct"),
        pytest.param("https://chat.example", "chat.example", (), id="proxy passes Host on"),
        pytest.param("https://chat.example", "chat.example:443", (), id="proxy adds the default port"),
        pytest.param("https://chat.example:8443", "chat.example", (), id="nginx $host drops the port"),
        pytest.param("http://127.0.0.1:9000", "127.0.0.1", (), id="nginx $host on loopback"),
        pytest.param("https://chat.example", "localhost:8080", (), id="nginx default: Host is the upstream's"),
        pytest.param("https://wiki.example:8443", "localhost:8080", (), id="named with its port"),
        pytest.param("http://localhost:9000", "127.0.0.1:8080", (), id="loopback named with its port"),
        pytest.param("http://localhost:7000", "127.0.0.1:8080", ("localhost:7000",), id="Apache: X-Forwarded-Host"),
        pytest.param("https://chat.example", "chat.example:8080", (), id="proxy passes its own port on"),
        pytest.param("HTTPS://Chat.Example", "chat.example", (), id="case"),
    ],
)
def test_let_of_the_page_itself_is_true(origin: str, host: str, forwarded: tuple[str, ...]) -> None:
    assert HOSTS.let(origin, host, forwarded)


@pytest.mark.parametrize(
    ("origin", "host", "forwarded"),
    [
        pytest.param("http://evil.example", "localhost:8080", (), id="page of others"),
        pytest.param("http://evil.example", "localhost:8080", ("evil.example",), id="rebound name through a proxy"),
        pytest.param("http://localhost:3000", "localhost:8080", (), id="another port of this computer"),
        pytest.param("http://localhost", "localhost:8080", (), id="the default port of this computer"),
        pytest.param("http://localhost:3000", "127.0.0.1:8080", (), id="another name of this computer"),
        pytest.param("https://chat.example:3000", "chat.example:8443", (), id="another port of the same host"),
        pytest.param("https://wiki.example", "localhost:8080", (), id="named at another port only"),
        pytest.param("https://chat.example.evil", "localhost:8080", (), id="longer name"),
        pytest.param("https://evil@chat.example", "chat.example", (), id="user in the origin"),
        pytest.param("null", "localhost:8080", (), id="sandboxed"),
        pytest.param("chrome-extension://chat.example", "chat.example", (), id="other scheme"),
        pytest.param("", "localhost:8080", (), id="none"),
    ],
)
def test_let_of_a_page_of_others_is_false(origin: str, host: str, forwarded: tuple[str, ...]) -> None:
    assert not HOSTS.let(origin, host, forwarded)


def test_host_of_an_origin_is_what_the_setting_takes() -> None:
    assert host_of("https://chat.example:8443") == "chat.example:8443"
    assert host_of("null") == "null"
