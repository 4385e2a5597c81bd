"""From hosts to addresses, with the system's own resolver and no name server asked."""

import asyncio
import threading
from ipaddress import ip_address

import pytest

from server.callbacks.resolver import ResolveError, SystemResolver
from server.net.addresses import IPAddress
from tests.fakes import PATIENCE_SECONDS


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


class SlowNames:
    """Answers when the test says so."""

    def __init__(self, *addresses: str) -> None:
        self.asked: list[str] = []
        self.answer = threading.Event()
        self._addresses = [ip_address(address) for address in addresses]

    def __call__(self, host: str) -> list[IPAddress]:
        self.asked.append(host)
        self.answer.wait(PATIENCE_SECONDS)
        return self._addresses


async def let_answer(names: SlowNames, resolver: SystemResolver) -> None:
    names.answer.set()
    await asyncio.wait([*resolver.under_way.values()], timeout=PATIENCE_SECONDS)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.callbacks.resolver.LOOK_UP_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_answer_that_comes_late_is_used_for_the_next_try() -> None:
    names = SlowNames("192.0.2.9")
    resolver = SystemResolver(names)
    for _ in range(3):
        with pytest.raises(ResolveError, match="no answer from the name server within 0 s; try again in some seconds"):
            await resolver.resolve("bob.example", "192.0.2.7")
    await let_answer(names, resolver)
    assert await resolver.resolve("bob.example", "192.0.2.8") == [ip_address("192.0.2.9")]
    assert names.asked == ["bob.example"], "who asks again meanwhile waits for the same answer"


@pytest.mark.usefixtures("impatient")
async def test_answer_that_comes_late_is_kept_for_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.callbacks.resolver.LATE_FOR_SECONDS", 0.0)
    names = SlowNames("192.0.2.9")
    resolver = SystemResolver(names)
    with pytest.raises(ResolveError):
        await resolver.resolve("bob.example", "192.0.2.7")
    await let_answer(names, resolver)
    with pytest.raises(ResolveError):
        await resolver.resolve("bob.example", "192.0.2.7")


@pytest.mark.usefixtures("impatient")
async def test_late_answer_without_an_address_is_not_kept() -> None:
    names = SlowNames()
    resolver = SystemResolver(names)
    with pytest.raises(ResolveError):
        await resolver.resolve("bob.example", "192.0.2.7")
    await let_answer(names, resolver)
    with pytest.raises(ResolveError):
        await resolver.resolve("bob.example", "192.0.2.7")
    assert names.asked == ["bob.example"] * 2


async def test_many_look_ups_at_once_are_all_answered(resolver: SystemResolver) -> None:
    found = await asyncio.gather(*(resolver.resolve("localhost", "192.0.2.7") for _ in range(100)))
    assert len({tuple(addresses) for addresses in found}) == 1
