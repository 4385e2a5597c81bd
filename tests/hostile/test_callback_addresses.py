"""Nobody aims the server: what it may not ring, it never connects to, however the address is written or found."""

import asyncio
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Self

import pytest
from aiohttp import ClientSession, TCPConnector
from multidict import CIMultiDict

from server.net.addresses import IPAddress
from tests.fakes import (
    FakeResolver,
    Recipient,
    RpcError,
    RunningServer,
    answer_status,
    drop,
    local_settings,
    refusal,
    take,
)
from tests.hostile.conftest import RealResolver

CALLER, ELSEWHERE, PROXY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
INVALID, UNREACHABLE, NOT_ALLOWED = -32602, -32004, -32005
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Canary:
    """Listens where nobody may connect, counts those who do, and hangs up on them.

    On 127.0.0.1 it listens on ::1 as well, on the same port.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._listeners = [socket.create_server((host, port))]
        self.port = int(self._listeners[0].getsockname()[1])
        self._connections = 0
        if host == "127.0.0.1":
            with suppress(OSError):  # a machine without IPv6
                self._listeners.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))

    async def __aenter__(self) -> Self:
        for listener in self._listeners:
            listener.setblocking(False)
            asyncio.get_running_loop().add_reader(listener, self._take, listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()

    @property
    def connections(self) -> int:
        """How many have been made until now: the system has each in its queue before it tells the other side."""
        for listener in self._listeners:
            self._take(listener)
        return self._connections

    def _take(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
                self._connections += 1


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    """Somebody at 127.0.0.1 and ::1 who has asked for nothing."""
    async with Canary() as canary:
        yield canary


@pytest.fixture
async def stranger() -> AsyncIterator[ClientSession]:
    """Calls from 127.0.0.2."""
    async with calling_from(ELSEWHERE) as session:
        yield session


def calling_from(address: str, headers: Mapping[str, str] | None = None) -> ClientSession:
    return ClientSession(connector=TCPConnector(local_addr=(address, 0)), headers=headers)


async def refused(server: RunningServer, callback: str) -> RpcError:
    """Register a newcomer with this callback, and give the refusal."""
    return await refusal(server.call("Register", name="Eve", callback=callback))


# Each way to write loopback, with the system's own resolver.

WRITTEN_OUT = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f.0.0.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "LocalHost",
]  # fmt: skip
WRITTEN_OUT_V6 = ["[::1]", "[0:0:0:0:0:0:0:1]"]
IN_DISGUISE = {
    "unspecified": "0.0.0.0",
    "unspecified, short": "0",
    "unspecified v6": "[::]",
    "mapped, unspecified": "[::ffff:0.0.0.0]",
    "compatible": "[::127.0.0.1]",
    "translated": "[::ffff:0:127.0.0.1]",
    "NAT64": "[64:ff9b::127.0.0.1]",
    "NAT64 for local use": "[64:ff9b:1::127.0.0.1]",
    "6to4": "[2002:7f00:1::1]",
    "Teredo client": "[2001:0:808:808::80ff:fffe]",
    "Teredo server": "[2001:0:7f00:1::f7f7:f7f7]",
    "with a zone": "[::1%25lo]",
}
NO_URL = {
    "full-width digits": "１２７.０.０.１",
    "full-width stops": "127．0．0．1",
    "ideographic stops": "127。0。0。1",
}


def has_ipv6() -> bool:
    """Tell whether this machine has ::1; a container may not."""
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.parametrize("host", [*WRITTEN_OUT, *(WRITTEN_OUT_V6 if has_ipv6() else [])])
async def test_loopback_is_rung_however_it_is_written_where_that_is_allowed(
    stranger: ClientSession, canary: Canary, host: str
) -> None:
    """So that the canary of the tests below would tell."""
    settings = local_settings(callback_allow=LOOPBACK)
    async with RunningServer(stranger, settings, resolver=RealResolver()) as server:
        error = await refused(server, f"http://{host}:{canary.port}/rpc")
    assert (error.code, error.data["stage"]) == (UNREACHABLE, "http")
    assert canary.connections == 1


@pytest.mark.parametrize("host", [*WRITTEN_OUT, *WRITTEN_OUT_V6, *IN_DISGUISE.values()])
async def test_loopback_is_not_rung_for_a_stranger_however_it_is_written(
    stranger: ClientSession, canary: Canary, host: str
) -> None:
    async with RunningServer(stranger, resolver=RealResolver()) as server:
        error = await refused(server, f"http://{host}:{canary.port}/rpc")
    assert error.code == NOT_ALLOWED
    assert canary.connections == 0


@pytest.mark.parametrize("host", NO_URL.values(), ids=NO_URL)
async def test_digits_and_stops_of_other_scripts_are_no_address(
    stranger: ClientSession, canary: Canary, host: str
) -> None:
    async with RunningServer(stranger, local_settings(callback_allow=LOOPBACK), resolver=RealResolver()) as server:
        error = await refused(server, f"http://{host}:{canary.port}/rpc")
    assert (error.code, error.data["field"]) == (INVALID, "callback")
    assert canary.connections == 0


@pytest.mark.parametrize("host", ["localhost.", "127.0.0.1.", "127.1.", "%31%32%37.0.0.1", "127.0.0.1%00"])
async def test_what_only_some_systems_can_look_up_leads_a_stranger_nowhere(
    stranger: ClientSession, canary: Canary, host: str
) -> None:
    async with RunningServer(stranger, resolver=RealResolver()) as server:
        error = await refused(server, f"http://{host}:{canary.port}/rpc")
    assert (error.code, error.data.get("stage")) in [(NOT_ALLOWED, None), (UNREACHABLE, "dns")]
    assert canary.connections == 0


# Names.

INTERNAL = [
    ["127.0.0.1"], ["::1"], ["::1", "127.0.0.1"], ["::ffff:127.0.0.1"], ["::"], ["0.0.0.0"], ["64:ff9b::7f00:1"],
    ["2002:7f00:1::1"], ["10.20.30.40"], ["10.20.30.40", "192.168.77.1"], ["fd12:3456::1"], ["169.254.169.254"],
]  # fmt: skip


@pytest.mark.parametrize("addresses", INTERNAL, ids=", ".join)
async def test_a_refusal_is_the_same_whatever_the_name_leads_to_and_names_no_address(
    stranger: ClientSession, canary: Canary, addresses: list[str]
) -> None:
    resolver = FakeResolver({"inside.example": addresses, "far.example": ["192.0.2.77"]})
    async with RunningServer(stranger, resolver=resolver) as server:
        error = await refused(server, f"http://inside.example:{canary.port}/rpc")
        other = await refused(server, f"http://far.example:{canary.port}/rpc")
    assert (error.code, error.data["detail"]) == (other.code, other.data["detail"])
    assert error.code == NOT_ALLOWED
    assert not any(address in str(error) for address in addresses)
    assert canary.connections == 0


@pytest.mark.parametrize("addresses", [[ELSEWHERE, "127.0.0.1"], ["127.0.0.1", ELSEWHERE], ["::1", ELSEWHERE]])
async def test_when_the_good_address_of_a_name_does_not_answer_the_bad_one_is_not_tried(
    stranger: ClientSession, canary: Canary, addresses: list[str]
) -> None:
    async with RunningServer(stranger, resolver=FakeResolver({"both.example": addresses})) as server:
        error = await refused(server, f"http://both.example:{canary.port}/rpc")
    assert (error.code, error.data["stage"]) == (UNREACHABLE, "connect")
    assert not any(address in str(error) for address in addresses)
    assert canary.connections == 0


async def test_a_name_that_does_not_resolve_is_told_as_such_and_is_not_tried_later(
    stranger: ClientSession, canary: Canary
) -> None:
    async with RunningServer(stranger) as server:
        error = await refused(server, f"http://later.example:{canary.port}/rpc")
        assert (error.code, error.data["stage"]) == (UNREACHABLE, "dns")
        server.resolver.names["later.example"] = ["127.0.0.1"]
        await server.register("Eve")
        server.clock.advance(3600)
        await server.register("Alice")
        assert server.resolver.asked == ["later.example"]
    assert canary.connections == 0


class TurningResolver(FakeResolver):
    """Gives the caller's address to the first who asks for a name, and another to all who come later."""

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        await super().resolve(host, network)
        return [ip_address(CALLER if self.asked.count(host) == 1 else ELSEWHERE)]


async def test_between_check_and_dial_nobody_is_asked_again(session: ClientSession, recipient: Recipient) -> None:
    resolver = TurningResolver({"bob.example": [CALLER]})
    async with RunningServer(session, resolver=resolver) as server, Canary(ELSEWHERE, recipient.port) as canary:
        await server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")
        await server.register("Alice")
        await recipient.has("Alice joined the chat")
        assert resolver.asked == ["bob.example"]
        assert canary.connections == 0


async def test_a_name_that_turns_bad_after_register_is_not_rung_any_more(
    server: RunningServer, recipient: Recipient
) -> None:
    server.resolver.names["bob.example"] = [CALLER]
    await server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = drop
    server.resolver.names["bob.example"] = [ELSEWHERE, "::1", "169.254.169.254"]
    async with Canary(ELSEWHERE, recipient.port) as canary:
        await alice.say("hi")
        await server.clock.someone_waits(0.2, 0.3)
        server.clock.advance(0.3)
        await server.clock.someone_waits(0.4, 0.6)
        assert server.resolver.asked.count("bob.example") == 3  # at Register, and for each of the two tries
        assert canary.connections == 0


async def test_of_a_name_that_turns_half_bad_after_register_only_the_good_address_is_rung(
    server: RunningServer, recipient: Recipient
) -> None:
    server.resolver.names["bob.example"] = [CALLER]
    await server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = drop
    server.resolver.names["bob.example"] = [ELSEWHERE, CALLER]
    async with Canary(ELSEWHERE, recipient.port) as canary:
        await alice.say("hi")
        await server.clock.someone_waits(0.2, 0.3)
        recipient.behaviour = take
        recipient.posts.clear()
        server.clock.advance(0.3)
        await recipient.has("hi")
        assert canary.connections == 0


async def test_a_name_that_turns_bad_while_the_server_is_down_is_not_rung(
    session: ClientSession, recipient: Recipient, tmp_path: Path
) -> None:
    settings = local_settings(store=f"sqlite:{tmp_path / 'chat.db'}")
    async with RunningServer(session, settings, resolver=FakeResolver({"bob.example": [CALLER]})) as server:
        await server.register("Bob", recipient, callback=f"http://bob.example:{recipient.port}/rpc")
    resolver = FakeResolver({"bob.example": [ELSEWHERE]})
    after = RunningServer(session, settings, resolver=resolver)
    async with Canary(ELSEWHERE, recipient.port) as canary, after as server:
        await server.register("Alice")
        await server.clock.someone_waits(0.2, 0.3)
        assert resolver.asked == ["bob.example"]
        assert canary.connections == 0
    assert recipient.texts == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_at_delivery_is_not_followed(
    server: RunningServer, recipient: Recipient, canary: Canary, status: int
) -> None:
    """Not even to the caller's own address, which could be named in the first place."""
    await server.register("Bob", recipient)
    recipient.behaviour = answer_status(status, {"Location": f"http://127.0.0.1:{canary.port}/rpc"})
    await server.register("Alice")
    await server.clock.someone_waits(0.2, 0.3)
    recipient.behaviour = take
    server.clock.advance(0.3)
    await recipient.posted(3)
    assert recipient.texts == ["Alice joined the chat"] * 2
    assert canary.connections == 0


# Never, whatever is allowed.

NEVER = [
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]",
    "[::169.254.169.254]", "[::ffff:0:169.254.169.254]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::169.254.169.254]",
    "[2002:a9fe:a9fe::1]", "[2001:0:808:808::5601:5601]", "[2001:0:a9fe:a9fe::f7f7:f7f7]", "169.254.170.2",
    "[fd00:ec2::254]", "100.100.100.200", "1684301000", "[::ffff:100.100.100.200]", "[64:ff9b::100.100.100.200]",
    "[fe80::1]", "[fe80::1%25lo]", "0.0.0.0", "0", "[::]", "[::ffff:0.0.0.0]", "224.0.0.1", "239.255.255.250",
    "[ff02::1]", "[ff0e::1]", "240.0.0.1", "255.255.255.255", "4294967295", "[::ffff:255.255.255.255]",
]  # fmt: skip


@pytest.mark.parametrize("host", NEVER)
async def test_some_addresses_are_never_rung_though_everything_is_allowed(
    stranger: ClientSession, canary: Canary, host: str
) -> None:
    settings = local_settings(callback_allow=EVERYTHING)
    async with RunningServer(stranger, settings, resolver=RealResolver()) as server:
        error = await refused(server, f"http://{host}:{canary.port}/rpc")
    assert error.code == NOT_ALLOWED
    assert canary.connections == 0


# What is no callback.


@pytest.mark.parametrize(
    "callback",
    [
        pytest.param("http://bob@127.0.0.1:{port}/", id="user"),
        pytest.param("http://bob:secret@127.0.0.1:{port}/", id="user and password"),
        pytest.param("http://@127.0.0.1:{port}/", id="empty user"),
        pytest.param("http://127.0.0.1:{port}@127.0.0.1:{port}/", id="a host as user"),
        pytest.param(":{port}@127.0.0.1:{port}/", id="a port as password"),
        pytest.param("http://127.0.0.1:{port}/#part", id="fragment"),
        pytest.param("http://127.0.0.1:0/", id="port 0"),
        pytest.param(":0/rpc", id="port 0 of the caller"),
        pytest.param("http://127.0.0.1:65536/", id="port 65536"),
        pytest.param("http://127.0.0.1:-{port}/", id="negative port"),
        pytest.param("http://127.0.0.1:{port}/\r\nX-Evil: 1", id="line break"),
        pytest.param("http://127.0.0.1:{port}/ HTTP/1.1", id="space"),
        pytest.param("ht\ttp://127.0.0.1:{port}/", id="tab in the scheme"),
        pytest.param("http://127.0.0.1\x00:{port}/", id="NUL"),
        pytest.param("\x01http://127.0.0.1:{port}/", id="leading control character"),
        pytest.param("http://127.0.0.1:{port}/\x7f", id="DEL"),
        pytest.param("http://127.0.0.1:{port}/\x85", id="C1 control character"),
        pytest.param("http://127.0.0.1:{port}/\u202e", id="bidi"),
        pytest.param("http://127.0.0.1:{port}\\@127.0.0.1:{port}/", id="backslash"),
        pytest.param("http://127.0.0.1:{port}/" + "a" * 3000, id="3,000 characters"),
        pytest.param(":{port}/" + "a" * 3000, id="3,000 characters behind the port"),
        pytest.param("http://" + "a." * 1500 + "example:{port}/", id="a host of 3,000 characters"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("ftp://127.0.0.1:{port}/", id="ftp"),
        pytest.param("gopher://127.0.0.1:{port}/_x", id="gopher"),
        pytest.param("ws://127.0.0.1:{port}/", id="ws"),
        pytest.param("unix:/var/run/docker.sock", id="unix"),
        pytest.param("data:,x", id="data"),
        pytest.param("//127.0.0.1:{port}/", id="no scheme"),
        pytest.param("//x", id="no scheme, short"),
        pytest.param("127.0.0.1:{port}", id="host and port"),
        pytest.param("http:127.0.0.1:{port}", id="no slashes"),
        pytest.param("http:///127.0.0.1:{port}", id="no host"),
    ],
)
async def test_what_is_no_callback_is_an_ordinary_refusal(server: RunningServer, canary: Canary, callback: str) -> None:
    error = await refused(server, callback.replace("{port}", str(canary.port)))
    assert (error.code, error.data["field"]) == (INVALID, "callback")
    assert error.data["problem"]
    assert server.resolver.asked == []
    assert canary.connections == 0


# The server itself, and others like it.


def addresses_of_this_machine() -> list[str]:
    """Read from the routes of Linux which IPv4 addresses packets end at here, loopback left out."""
    table = Path("/proc/net/fib_trie").read_text()
    found = set(re.findall(r"\|-- ([0-9.]+)\n +/32 host LOCAL", table))
    return sorted(address for address in found if not address.startswith("127."))


@pytest.mark.skipif(sys.platform != "linux", reason="the routes are read as Linux shows them")
async def test_a_server_everywhere_is_not_aimed_at_itself_by_any_address_of_the_machine(
    session: ClientSession,
) -> None:
    """Nothing leaves the machine: what goes to one of its own addresses goes over loopback."""
    settings = local_settings(host="0.0.0.0", callback_allow=EVERYTHING)
    async with RunningServer(session, settings) as server:
        port = server.server.port
        told = {
            address: (await refused(server, f"http://{address}:{port}/rpc")).code
            for address in addresses_of_this_machine()
        }
    assert told == dict.fromkeys(told, NOT_ALLOWED)


async def test_a_name_of_the_server_does_not_aim_it_at_itself(session: ClientSession) -> None:
    settings = local_settings(callback_allow=EVERYTHING)
    resolver = FakeResolver({"server": ["::ffff:127.0.0.1", "127.0.0.1", "127.9.9.9", "::1"]})
    async with RunningServer(session, settings, resolver=resolver) as server:
        assert (await refused(server, f"http://server:{server.server.port}/rpc")).code == NOT_ALLOWED


async def test_another_server_like_this_does_not_let_itself_be_rung(session: ClientSession) -> None:
    async with RunningServer(session) as server, RunningServer(session) as other:
        error = await refused(server, f":{other.server.port}/rpc")
        assert (error.code, error.data["stage"]) == (UNREACHABLE, "http")
        assert (await other.register("Alice")).result["member_count"] == 1


# Behind a proxy.

PROXIES = (ip_network(f"{PROXY}/32"),)


@pytest.mark.parametrize("callback", [":{port}/rpc", "http://127.0.0.1:{port}/rpc", "http://127.0.0.3:{port}/rpc"])
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": CALLER},
        {"X-Forwarded-For": PROXY},
        {"X-Forwarded-For": "unknown"},
        {"Forwarded": f"for={CALLER}"},
        {"Forwarded": "proto=https"},
        {"X-Real-IP": CALLER},
        {"X-Forwarded-For": CALLER, "Forwarded": f"for={CALLER}", "X-Real-IP": CALLER},
    ],
    ids=lambda headers: ", ".join(headers.values()),
)
async def test_behind_a_proxy_that_is_not_trusted_nobody_gives_a_callback(
    canary: Canary, headers: dict[str, str], callback: str
) -> None:
    async with calling_from(PROXY, headers) as session, Canary(PROXY, canary.port) as at_proxy:
        async with RunningServer(session) as server:
            error = await refused(server, callback.replace("{port}", str(canary.port)))
            assert (await server.register("Alice")).result["callback"] is None
        assert at_proxy.connections == 0
    assert error.code in (NOT_ALLOWED, INVALID)
    assert error.code == INVALID or "CHAT_TRUSTED_PROXIES" in error.data["detail"]
    assert canary.connections == 0


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-For": CALLER}, {"Forwarded": f'for="{CALLER}:4711"'}, {"X-Real-IP": CALLER}]
)
async def test_behind_a_trusted_proxy_the_caller_is_rung_and_not_the_proxy(
    recipient: Recipient, headers: dict[str, str]
) -> None:
    async with calling_from(PROXY, headers) as session, Canary(PROXY, recipient.port) as at_proxy:
        async with RunningServer(session, local_settings(trusted_proxies=PROXIES)) as server:
            bob = await server.register("Bob", recipient)
            assert bob.result["callback"] == f"http://{CALLER}:{recipient.port}/rpc"
            await server.register("Alice")
            await recipient.has("Alice joined the chat")
            assert (await refused(server, f"http://{PROXY}:{recipient.port}/rpc")).code == NOT_ALLOWED
        assert at_proxy.connections == 0


FORGED = {
    "before the entry of the proxy": [("X-Forwarded-For", f"{CALLER}, {ELSEWHERE}")],
    "on a line of its own": [("X-Forwarded-For", CALLER), ("X-Forwarded-For", ELSEWHERE)],
    "with the proxy behind it": [("X-Forwarded-For", f"{CALLER}, {ELSEWHERE}, {PROXY}")],
    "as another form": [("X-Forwarded-For", f"::ffff:{CALLER}, {ELSEWHERE}")],
    "as a quotation that does not end": [("X-Forwarded-For", f'"{CALLER}, {ELSEWHERE}')],
    "in Forwarded": [("Forwarded", f"for={CALLER}, for={ELSEWHERE}")],
    "in Forwarded, not ended": [("Forwarded", f'for={CALLER};by="x, for={ELSEWHERE}')],
    "in a header that the proxy does not write": [("X-Forwarded-For", ELSEWHERE), ("Forwarded", f"for={CALLER}")],
    "in two such headers": [("X-Real-IP", CALLER), ("Forwarded", f"for={CALLER}"), ("X-Forwarded-For", ELSEWHERE)],
}


@pytest.mark.parametrize("lines", FORGED.values(), ids=FORGED)
async def test_what_a_caller_forges_behind_a_trusted_proxy_aims_the_server_at_nobody(
    canary: Canary, lines: list[tuple[str, str]]
) -> None:
    """The caller is at 127.0.0.2, as the proxy says, and says itself that it is at 127.0.0.1."""
    settings = local_settings(trusted_proxies=PROXIES)
    async with calling_from(PROXY, CIMultiDict(lines)) as session, RunningServer(session, settings) as server:
        by_address = await refused(server, f"http://{CALLER}:{canary.port}/rpc")
        by_port = await refused(server, f":{canary.port}/rpc")
    assert by_address.code == NOT_ALLOWED
    assert by_port.data.get("url") != f"http://{CALLER}:{canary.port}/rpc"
    assert canary.connections == 0


async def test_who_calls_past_the_proxy_cannot_say_that_it_is_somebody_else(
    stranger: ClientSession, canary: Canary
) -> None:
    async with RunningServer(stranger, local_settings(trusted_proxies=PROXIES)) as server:
        for forwarded in (CALLER, f"{CALLER}, {PROXY}", PROXY):
            call = server.call("Register", forwarded=forwarded, name="Eve", callback=f"http://{CALLER}:{canary.port}/")
            assert (await refusal(call)).code == NOT_ALLOWED
    assert canary.connections == 0


# A third party, where the operator allows its address.

AT_HOME = (ip_network("127.0.0.1/32"),)


class Site(ThreadingHTTPServer):
    """A web server of the standard library. `requests` are the heads and bodies of what it was sent."""

    daemon_threads = True

    def __init__(self, page: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), page)
        self.requests: list[str] = []
        self.connections = 0

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        self.connections += 1
        return super().get_request()


class Page(SimpleHTTPRequestHandler):
    """Has files only: to a POST it says 501."""

    protocol_version = "HTTP/1.1"

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        assert isinstance(self.server, Site)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode() if parsed else ""
        self.body = body
        self.server.requests.append(f"{self.requestline}\n{self.headers}\n{body}")
        return parsed

    def log_message(self, format: str, *args: object) -> None:
        pass


def page(status: int, content: str, content_type: str = "text/html") -> type[Page]:
    """Answer a POST with this; %s in the content stands for what was posted."""

    class Answering(Page):
        def do_POST(self) -> None:
            said = content.replace("%s", self.body).encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

    return Answering


@contextmanager
def third_party(kind: type[Page]) -> Iterator[Site]:
    with Site(kind) as site:
        serving = threading.Thread(target=site.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield site
        finally:
            site.shutdown()
            serving.join()


PAGES: dict[str, type[Page]] = {
    "501": Page,
    "404": page(404, "<h1>Not found</h1>"),
    "200 with HTML": page(200, "<h1>Welcome</h1>"),
    "200 with JSON": page(200, '{"ok": true}', "application/json"),
    "200 that repeats what was posted": page(200, "%s", "application/json"),
    "200 that lists what was posted": page(200, '{"data": %s, "id": 1}', "application/json"),
    "200 with JSON-RPC of its own": page(200, '{"jsonrpc": "2.0", "result": "pong", "id": 1}', "application/json"),
    "401": page(401, "who are you?"),
    "503": page(503, "later"),
}


@pytest.mark.parametrize("kind", PAGES.values(), ids=PAGES)
async def test_a_third_partys_web_server_gets_one_request_and_no_text(
    stranger: ClientSession, recipient: Recipient, kind: type[Page]
) -> None:
    async with RunningServer(stranger, local_settings(callback_allow=AT_HOME)) as server:
        with third_party(kind) as site:
            error = await refused(server, f"http://127.0.0.1:{site.server_port}/hook?a=b")
            await say_something(server, recipient)
            assert (error.code, error.data["stage"] in ("http", "rpc")) == (UNREACHABLE, True)
            assert (site.connections, len(site.requests)) == (1, 1)
            assert '"method":"VerifyCallback"' in site.requests[0]
            assert "Alice" not in site.requests[0]


async def test_a_third_party_with_two_addresses_gets_one_request_in_all(
    stranger: ClientSession, recipient: Recipient
) -> None:
    settings = local_settings(callback_allow=LOOPBACK)
    resolver = FakeResolver({"www.example": ["127.0.0.1", PROXY]})
    async with RunningServer(stranger, settings, resolver=resolver) as server:
        with third_party(PAGES["404"]) as site:
            async with Canary(PROXY, site.server_port) as canary:
                error = await refused(server, f"http://www.example:{site.server_port}/hook")
                await say_something(server, recipient)
                assert error.data["stage"] == "http"
                assert (len(site.requests), canary.connections) == (1, 0)


async def test_one_who_has_a_seat_cannot_move_its_deliveries_to_a_third_party(
    session: ClientSession, recipient: Recipient
) -> None:
    async with RunningServer(session, local_settings(callback_allow=AT_HOME)) as server:
        with third_party(PAGES["200 that repeats what was posted"]) as site:
            eve = await server.register("Eve", recipient)
            move = server.call("Register", eve.token, name="Eve", callback=f"http://127.0.0.1:{site.server_port}/")
            assert (await refusal(move)).code == UNREACHABLE
            alice = await server.register("Alice")
            await alice.say("something")
            await recipient.has("Alice joined the chat", "something")
            assert len(site.requests) == 1


async def say_something(server: RunningServer, recipient: Recipient) -> None:
    """Let a message reach somebody else, and minutes go by in which whatever is retried would be."""
    await server.register("Bob", recipient, callback=f"http://127.0.0.1:{recipient.port}/rpc")
    alice = await server.register("Alice")
    await alice.say("something")
    await recipient.has("something")
    server.clock.advance(300)
    await alice.say("something else")
    await recipient.has("something else")
