"""Resolves the host of a callback to its addresses."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, Protocol
from weakref import WeakValueDictionary

from server.net.addresses import IPAddress, literal_address

LOOK_UP_SECONDS: Final = 2.0
LOOK_UPS_AT_ONCE: Final = 128
LOOK_UPS_PER_NETWORK: Final = 8  # of these: slow names delay only look-ups for the same network
# With a dead first name server each look-up takes 5 s (resolv.conf(5), `timeout`). Addresses that arrive after the
# deadline serve another try within this time.
LATE_FOR_SECONDS: Final = 30.0
MAX_LATE: Final = 1024


class ResolveError(Exception):
    """The name has no address, or the look-up timed out."""


class Resolver(Protocol):
    """Resolves host names; tests replace it."""

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        """Return the addresses of `host`, which may be an address. `network` asks. Raise `ResolveError`."""


class SystemResolver:
    """Calls `getaddrinfo` on its own threads, so that a slow name server does not fill asyncio's thread pool.

    They are daemon threads, unlike those of an executor: `getaddrinfo` cannot be interrupted, and a look-up that hangs
    must not keep the process from ending.
    """

    def __init__(self, look_up: Callable[[str], list[IPAddress]] | None = None) -> None:
        """`look_up` runs on a new thread for each look-up and returns the addresses, an empty list if it finds none."""
        self._look_up = look_up or _look_up
        self.under_way: dict[str, asyncio.Future[list[IPAddress]]] = {}
        self._late: dict[str, tuple[float, list[IPAddress]]] = {}  # host -> (expiry in loop time, addresses)
        self._slots = asyncio.Semaphore(LOOK_UPS_AT_ONCE)
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        """Look up a host for at most two seconds. A later result is kept for the next try."""
        if (literal := literal_address(host)) is not None:
            return [literal]
        if late := self._take_late(host):
            return late
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                under_way = self.under_way.get(host) or self._start(host, await self._slot(network))
                found = await asyncio.shield(under_way)
        except TimeoutError:
            self._keep_when_late(host)
            raise ResolveError(
                f"no answer from the name server within {LOOK_UP_SECONDS:g} s; try again in some seconds"
            ) from None
        if not found:
            raise ResolveError("the name has no address")
        return found

    def _keep_when_late(self, host: str) -> None:
        """Keep the result of the running look-up for the next try."""
        if (under_way := self.under_way.get(host)) is not None:
            under_way.add_done_callback(lambda found: self._keep_late(host, found.result()))

    def _keep_late(self, host: str, found: list[IPAddress]) -> None:
        self._late.pop(host, None)
        if found:
            self._late[host] = (asyncio.get_running_loop().time() + LATE_FOR_SECONDS, found)
        if len(self._late) > MAX_LATE:
            del self._late[next(iter(self._late))]

    def _take_late(self, host: str) -> list[IPAddress]:
        until, found = self._late.get(host, (0.0, []))
        if found and asyncio.get_running_loop().time() < until:
            return found
        self._late.pop(host, None)
        return []

    async def _slot(self, network: str) -> contextlib.ExitStack:
        """Wait for a thread slot. Closing the returned stack frees it."""
        share = self._shares.setdefault(network, asyncio.Semaphore(LOOK_UPS_PER_NETWORK))
        with contextlib.ExitStack() as slot:
            for semaphore in (share, self._slots):
                await semaphore.acquire()
                slot.callback(semaphore.release)
            return slot.pop_all()

    def _start(self, host: str, slot: contextlib.ExitStack) -> asyncio.Future[list[IPAddress]]:
        """Start a look-up on a thread. Its slot is free when the look-up ends, even after the caller timed out."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[IPAddress]] = loop.create_future()
        self.under_way[host] = found

        def end(_: asyncio.Future[list[IPAddress]]) -> None:
            slot.close()
            if self.under_way.get(host) is found:
                del self.under_way[host]

        found.add_done_callback(end)

        def look_up() -> None:
            addresses = self._look_up(host)
            with contextlib.suppress(RuntimeError):  # the loop is closed, and no caller waits
                loop.call_soon_threadsafe(found.set_result, addresses)

        try:
            threading.Thread(target=look_up, name=f"look-up of {host}", daemon=True).start()
        except RuntimeError:  # the system allows no more threads
            found.set_result([])
        return found


def _look_up(host: str) -> list[IPAddress]:
    """Return the addresses of a name, an empty list if it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return list(dict.fromkeys(addresses))
