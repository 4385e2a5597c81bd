"""The sockets of a host, on the real network stack of this machine."""

import re
import socket

import pytest

from runtime.listening import ListenError, listen


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")


def connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=10):
            return True
    except OSError:
        return False


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "at_ipv4", "at_ipv6", "families"),
    [
        ("127.0.0.1", True, False, {socket.AF_INET}),
        ("0.0.0.0", True, False, {socket.AF_INET}),
        ("::1", False, True, {socket.AF_INET6}),
        ("[::1]", False, True, {socket.AF_INET6}),
        ("::", True, True, {socket.AF_INET, socket.AF_INET6}),
        ("localhost", True, True, {socket.AF_INET, socket.AF_INET6}),
    ],
)
def test_listen_host_accepts_callers_of_its_families(
    host: str, at_ipv4: bool, at_ipv6: bool, families: set[int]
) -> None:
    with listen(host, 0) as bound:
        assert (connects("127.0.0.1", bound.port), connects("::1", bound.port)) == (at_ipv4, at_ipv6)
        assert bound.families == families


@pytest.mark.parametrize(
    ("host", "authority"), [("127.0.0.1", "127.0.0.1"), ("::", "[::]"), ("localhost", "localhost")]
)
def test_authority_is_written_as_in_a_url(host: str, authority: str) -> None:
    with listen(host, 0) as bound:
        assert bound.authority == f"{authority}:{bound.port}"


@needs_ipv6
def test_listen_port_in_use_at_one_address_is_refused() -> None:
    """A caller that takes the other address would reach another program."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=rf"^cannot listen on localhost:{port}: Address already in use$"):
            listen("localhost", port)
        assert not connects("127.0.0.1", port)


@pytest.mark.parametrize("host", ["::", "localhost"])
def test_listen_without_ipv6_takes_the_ipv4_half(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server

    def create_server(address: tuple[str, int], *, family: int = socket.AF_INET, **options: object) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return create(address, family=family)

    monkeypatch.setattr(socket, "create_server", create_server)
    with listen(host, 0) as bound:
        assert bound.families == {socket.AF_INET}
        assert connects("127.0.0.1", bound.port)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "Cannot assign requested address"),
        ("no-such-host.invalid", r"[A-Za-z -]+"),
        ("a..b", r"[A-Za-z -]+"),
        (f"{'a' * 64}.b", "that is not a host name"),
    ],
)
def test_listen_address_of_another_machine_is_refused_in_words(host: str, why: str) -> None:
    with pytest.raises(ListenError, match=rf"^cannot listen on {re.escape(host)}:0: {why}$"):
        listen(host, 0)
