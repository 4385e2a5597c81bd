"""From the host of a callback to its addresses."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, Protocol
from weakref import WeakValueDictionary

from server.core.address_policy import IPAddress
from server.core.callback_url import literal_address

LOOK_UP_SECONDS: Final = 2.0
LOOK_UPS_AT_ONCE: Final = 128
LOOK_UPS_PER_NETWORK: Final = 8  # of these: names that hang hold up only those that were given by the same place


class ResolveError(Exception):
    """The name has no address, or none was found in time."""


class Resolver(Protocol):
    """Who knows the addresses of a host."""

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        """Give the addresses of a name that came from `network`, or the one that it is. Raises `ResolveError`."""


class SystemResolver:
    """Asks the system, on threads of its own: a slow name server must not hold up what else runs on threads.

    They are daemons, which an executor's are not, since `getaddrinfo` cannot be interrupted: a look-up that hangs must
    not keep the process from ending.
    """

    def __init__(self, look_up: Callable[[str], list[IPAddress]] | None = None) -> None:
        """Begin with no thread; each look-up has one, on which `look_up` gives the addresses, none if there is none."""
        self._look_up = look_up or _look_up
        self._slots = asyncio.Semaphore(LOOK_UPS_AT_ONCE)
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        """Look a host up, for at most two seconds."""
        if (literal := literal_address(host)) is not None:
            return [literal]
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await asyncio.shield(self._start(host, await self._slot(network)))
        except TimeoutError:
            raise ResolveError(f"no answer from the name server within {LOOK_UP_SECONDS:g} s") from None
        if not found:
            raise ResolveError("the name has no address")
        return found

    async def _slot(self, network: str) -> contextlib.ExitStack:
        """Wait for a thread that may be used; closed, what is given frees it."""
        share = self._shares.setdefault(network, asyncio.Semaphore(LOOK_UPS_PER_NETWORK))
        with contextlib.ExitStack() as slot:
            for semaphore in (share, self._slots):
                await semaphore.acquire()
                slot.callback(semaphore.release)
            return slot.pop_all()

    def _start(self, host: str, slot: contextlib.ExitStack) -> asyncio.Future[list[IPAddress]]:
        """Look up in a thread; the slot is free again when that has ended, however long after the caller gave up."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[IPAddress]] = loop.create_future()
        found.add_done_callback(lambda _: slot.close())

        def look_up() -> None:
            addresses = self._look_up(host)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(found.set_result, addresses)

        try:
            threading.Thread(target=look_up, name=f"look-up of {host}", daemon=True).start()
        except RuntimeError:  # the system lets this process have no more threads
            found.set_result([])
        return found


def _look_up(host: str) -> list[IPAddress]:
    """Give the addresses of a name, none when it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return list(dict.fromkeys(addresses))
