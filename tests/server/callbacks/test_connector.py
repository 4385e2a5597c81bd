"""From a URL to a connection: only to addresses that were checked, one after the other, with a proof over https."""

import asyncio
import errno
import gc
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_address, ip_network

import pytest

from protocol.methods import CONNECT_SECONDS
from server.callbacks.address_policy import AddressPolicy
from server.callbacks.callback_url import parse_callback
from server.callbacks.connection import Connection
from server.callbacks.connector import (
    INCOMPLETE,
    NO_TLS,
    UNCONNECTED,
    AddressNotAllowed,
    CallbackError,
    Connector,
    describe_connect_failure,
    describe_handshake,
)
from server.callbacks.exchange import Failed, HttpResponse
from server.net.addresses import IPAddress
from tests.fakes import PATIENCE_SECONDS, WORLD, FakeResolver
from tests.server.callbacks.conftest import Authority
from tests.server.callbacks.raw_recipient import RawRecipient
from tests.server.net.frozen_loop import frozen_loop, let_happen

HOME = ip_address("127.0.0.1")
ANYWHERE = AddressPolicy(allow=(ip_network("127.0.0.0/8"),))


class Waiting:
    """An owner that waits for one answer; `status` is that of the answer."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def responded(self, response: HttpResponse, *, reusable: bool) -> None:
        self.status.set_result(response.status)

    def lost(self, connection: Connection, problem: str, *, unanswered: bool) -> None:
        if not self.status.done():
            self.status.cancel(problem)


class Dialling:
    """Dials, with a resolver of the test's own, and hangs up in the end."""

    def __init__(
        self,
        names: dict[str, list[str]] | None = None,
        policy: AddressPolicy = ANYWHERE,
        tls: ssl.SSLContext = WORLD,
    ) -> None:
        self.resolver = FakeResolver(names)
        self._connector = Connector(self.resolver, policy, tls)

    async def connect(self, url: str, caller: IPAddress | None = HOME, known: IPAddress | None = None) -> IPAddress:
        """Connect, exchange something, and hang up; gives the address."""
        owner = Waiting()
        address, connection = await self._connector.connect(parse_callback(url), caller, known, owner, lambda *_: None)
        connection.send((b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n", b"{}"))
        assert await asyncio.wait_for(owner.status, PATIENCE_SECONDS) == 200
        connection.close()
        return address

    async def failure(self, url: str, caller: IPAddress | None = HOME, known: IPAddress | None = None) -> CallbackError:
        """Fail to connect; gives why."""
        with pytest.raises(CallbackError) as failed:
            await self.connect(url, caller, known)
        assert failed.value.__cause__ is None
        return failed.value


@pytest.fixture
async def recipient() -> AsyncIterator[RawRecipient]:
    async with RawRecipient() as recipient:
        yield recipient


def nobody() -> int:
    """Give a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# Which address.


async def test_an_address_is_dialled_as_it_is(recipient: RawRecipient) -> None:
    assert await Dialling().connect(f"http://127.0.0.1:{recipient.port}/") == HOME
    assert await recipient.reached() == 1


async def test_a_name_is_looked_up(recipient: RawRecipient) -> None:
    dialling = Dialling({"bob.example": ["127.0.0.1"]})
    assert await dialling.connect(f"http://bob.example:{recipient.port}/") == HOME
    assert dialling.resolver.asked == ["bob.example"]


async def test_an_address_that_works_is_not_looked_up_again(recipient: RawRecipient) -> None:
    dialling = Dialling({"bob.example": ["127.0.0.2"]})
    assert await dialling.connect(f"http://bob.example:{recipient.port}/", known=HOME) == HOME
    assert dialling.resolver.asked == []


async def test_of_several_addresses_the_first_that_answers_is_dialled(recipient: RawRecipient) -> None:
    last = RawRecipient(listener=socket.create_server(("127.0.0.4", recipient.port)))
    dialling = Dialling({"bob.example": ["127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.4"]})
    async with last:
        assert await dialling.connect(f"http://bob.example:{recipient.port}/") == HOME
        assert await last.reached() == 0


async def test_an_address_that_has_failed_is_not_replaced_by_another_at_once(recipient: RawRecipient) -> None:
    dialling = Dialling({"bob.example": ["127.0.0.1"]})
    error = await dialling.failure(f"http://bob.example:{recipient.port}/", known=ip_address("127.0.0.2"))
    assert error.failure.stage == "connect"
    assert await recipient.reached() == 0


async def test_a_name_without_an_address_is_told() -> None:
    error = await Dialling().failure("http://bob.example/")
    assert error.failure == Failed("dns", "the name has no address")


async def test_a_port_where_nobody_listens_is_told() -> None:
    error = await Dialling().failure(f"http://127.0.0.1:{nobody()}/")
    assert error.failure == Failed("connect", UNCONNECTED[errno.ECONNREFUSED])


# Which addresses may be dialled.


@pytest.mark.parametrize("addresses", [["127.0.0.2"], ["127.0.0.2", "169.254.169.254", "::1"], []])
async def test_no_address_that_may_not_be_called_is_dialled(addresses: list[str]) -> None:
    dialling = Dialling({"bob.example": addresses}, policy=AddressPolicy())
    async with RawRecipient(listener=socket.create_server(("127.0.0.2", 0))) as recipient:
        error = await dialling.failure(f"http://bob.example:{recipient.port}/")
        assert isinstance(error, AddressNotAllowed)
        assert error.failure.stage == "address"
        assert await recipient.reached() == 0


async def test_a_refusal_names_no_address() -> None:
    error = await Dialling({"bob.example": ["10.1.2.3"]}).failure("http://bob.example/")
    assert "10.1.2.3" not in str(error)


async def test_only_those_addresses_are_dialled_that_may_be_called(recipient: RawRecipient) -> None:
    dialling = Dialling({"bob.example": ["127.0.0.2", "127.0.0.1"]}, policy=AddressPolicy())
    async with RawRecipient(listener=socket.create_server(("127.0.0.2", recipient.port))) as forbidden:
        assert await dialling.connect(f"http://bob.example:{recipient.port}/") == HOME
        assert await forbidden.reached() == 0


async def test_an_address_that_works_is_checked_at_each_dial(recipient: RawRecipient) -> None:
    dialling = Dialling(policy=AddressPolicy())
    error = await dialling.failure(f"http://127.0.0.1:{recipient.port}/", ip_address("10.0.0.1"), HOME)
    assert isinstance(error, AddressNotAllowed)
    assert await recipient.reached() == 0


async def test_what_is_dialled_is_the_plain_form_that_was_checked(recipient: RawRecipient) -> None:
    dialling = Dialling({"bob.example": ["::ffff:127.0.0.1"]}, policy=AddressPolicy())
    assert await dialling.connect(f"http://bob.example:{recipient.port}/") == HOME


# How long.


def black_hole(stack: ExitStack) -> socket.socket:
    """Give a listener that takes no connection, nor refuses one: there is no room left in its queue."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.2", 0))
    listener.listen(0)
    for _ in range(3):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return listener


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse what their queue has no room for")
@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_a_connection_that_does_not_come_is_given_up_in_time() -> None:
    with ExitStack() as stack:
        port = black_hole(stack).getsockname()[1]
        failing = asyncio.create_task(Dialling().failure(f"http://127.0.0.2:{port}/"))
        await let_happen()
        await frozen_loop().pass_time(CONNECT_SECONDS - 0.01)
        assert not failing.done()
        await frozen_loop().pass_time(0.01)
        assert failing.done()
    assert (await failing).failure == Failed("connect", "no connection within 2 s")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse what their queue has no room for")
@pytest.mark.asyncio(loop_factories=["frozen"])
async def test_after_one_that_does_not_come_the_next_address_is_dialled() -> None:
    with ExitStack() as stack:
        port = black_hole(stack).getsockname()[1]
        async with RawRecipient(listener=socket.create_server(("127.0.0.1", port))):
            dialling = Dialling({"bob.example": ["127.0.0.2", "127.0.0.1"]})
            dialled = asyncio.create_task(dialling.connect(f"http://bob.example:{port}/"))
            await let_happen()
            await frozen_loop().pass_time(CONNECT_SECONDS)
            assert await dialled == HOME


# TLS.


@pytest.fixture
async def over_tls(authority: Authority) -> Dialling:
    names = {name: ["127.0.0.1"] for name in ("bob.example", "bob.example.", "eve.example")}
    return Dialling(names, tls=authority.trusting)


@pytest.mark.parametrize("host", ["bob.example", "Bob.Example", "bob.example.", "127.0.0.1"])
async def test_a_certificate_for_the_host_is_taken(over_tls: Dialling, for_bob: ssl.SSLContext, host: str) -> None:
    async with RawRecipient(tls=for_bob) as recipient:
        assert await over_tls.connect(f"https://{host}:{recipient.port}/") == HOME


@pytest.mark.parametrize(
    ("names", "days", "detail"),
    [
        pytest.param(["DNS:eve.example", "IP:127.0.0.2"], 2, "the certificate is for another host", id="for others"),
        pytest.param(
            ["DNS:*.bob.example", "DNS:bob.example.org"], 2, "the certificate is for another host", id="names like it"
        ),
        pytest.param(["DNS:bob.example", "IP:127.0.0.1"], -1, "the certificate has expired", id="expired"),
    ],
)
@pytest.mark.parametrize("host", ["bob.example", "127.0.0.1"])
async def test_a_certificate_that_is_not_valid_for_the_host_is_told(
    over_tls: Dialling, authority: Authority, names: list[str], days: int, detail: str, host: str
) -> None:
    async with RawRecipient(tls=authority.issue(*names, days=days)) as recipient:
        error = await over_tls.failure(f"https://{host}:{recipient.port}/")
        assert error.failure == Failed("tls", detail)
        assert recipient.calls == []


async def test_a_certificate_of_an_authority_that_nobody_knows_is_told(for_bob: ssl.SSLContext) -> None:
    async with RawRecipient(tls=for_bob) as recipient:
        error = await Dialling(tls=WORLD).failure(f"https://127.0.0.1:{recipient.port}/")
    assert error.failure == Failed("tls", INCOMPLETE)


async def test_a_name_with_another_address_is_proven_by_its_name(authority: Authority, for_bob: ssl.SSLContext) -> None:
    """The certificate is for bob.example, not for 127.0.0.2."""
    dialling = Dialling({"bob.example": ["127.0.0.2"]}, tls=authority.trusting)
    async with RawRecipient(tls=for_bob, listener=socket.create_server(("127.0.0.2", 0))) as recipient:
        assert await dialling.connect(f"https://bob.example:{recipient.port}/") == ip_address("127.0.0.2")


async def test_after_a_handshake_that_failed_no_other_address_is_dialled(
    authority: Authority, for_bob: ssl.SSLContext
) -> None:
    async with RawRecipient() as plain:
        bob = RawRecipient(tls=for_bob, listener=socket.create_server(("127.0.0.2", plain.port)))
        dialling = Dialling({"bob.example": ["127.0.0.1", "127.0.0.2"]}, tls=authority.trusting)
        async with answering(b"no TLS") as port, bob:
            error = await dialling.failure(f"https://bob.example:{port}/")
            assert error.failure.stage == "tls"
            assert await bob.reached() == 0


@asynccontextmanager
async def answering(said: bytes | None, *, wait: bool = True) -> AsyncIterator[int]:
    """Say this to each who speaks, or to each who connects, and hang up; None resets the connection. Gives the port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if wait:
            await reader.read(1)
        if said is None:
            writer.transport.abort()
        else:
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


ENDED_EARLY = "the connection ended in the TLS handshake; does this port speak https?"
REFUSED_BY_ALERT = "the other side refused the handshake: no common cipher, or it has no certificate"


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(
    ("said", "detail"),
    [
        pytest.param(b"", ENDED_EARLY, id="nothing"),
        pytest.param(None, ENDED_EARLY, id="reset"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", NO_TLS, id="plain HTTP"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", REFUSED_BY_ALERT, id="alert"),
        pytest.param(b"\x16\x03\x03\xff\xff", NO_TLS, id="rubbish"),
    ],
)
async def test_a_handshake_that_does_not_succeed_is_told(said: bytes | None, detail: str, *, wait: bool) -> None:
    async with answering(said, wait=wait) as port:
        error = await Dialling().failure(f"https://127.0.0.1:{port}/")
    assert error.failure == Failed("tls", detail)


async def test_self_signed_certificate_is_told(authority: Authority) -> None:
    async with RawRecipient(tls=authority.sign_itself("IP:127.0.0.1")) as recipient:
        error = await Dialling().failure(f"https://127.0.0.1:{recipient.port}/")
    assert error.failure == Failed("tls", "the certificate is self-signed, and the server does not trust it")


def test_each_cause_has_its_own_words() -> None:
    causes = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EACCES)
    assert len({describe_connect_failure(number) for number in causes}) == len(causes)
    assert describe_connect_failure(None) == describe_connect_failure(9999) == "the connection could not be made"
    assert describe_handshake(ssl.SSLError(1, "unknown to all")) == "the TLS handshake failed"


# Who gives up.


async def test_a_dial_that_is_cancelled_in_the_handshake_hangs_up(recipient: RawRecipient) -> None:
    dialled = asyncio.create_task(Dialling().connect(f"https://127.0.0.1:{recipient.port}/"))
    await recipient.until(lambda: recipient.connections == 1)
    dialled.cancel()
    await recipient.left(1)
    assert dialled.cancelled()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse what their queue has no room for")
async def test_a_dial_that_is_cancelled_leaves_nothing_open() -> None:
    with ExitStack() as stack:
        port = black_hole(stack).getsockname()[1]
        dialled = asyncio.create_task(Dialling().connect(f"http://127.0.0.2:{port}/"))
        await let_happen()
        dialled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialled
    del dialled
    gc.collect()  # a socket or transport that is still open is a ResourceWarning, and that an error
