"""From the host of a callback to its addresses."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Final, Protocol

from server.core.address_policy import IPAddress
from server.core.callback_url import literal_address

LOOK_UP_SECONDS: Final = 2.0
LOOK_UPS_AT_ONCE: Final = 32


class ResolveError(Exception):
    """The name has no address, or none was found in time."""


class Resolver(Protocol):
    """Who knows the addresses of a host."""

    async def resolve(self, host: str) -> list[IPAddress]:
        """Give the addresses of a name, or the one that it is. Raises `ResolveError`."""

    def close(self) -> None:
        """Let go of what the look-ups need."""


class SystemResolver:
    """Asks the system, on threads of its own: a slow name server must not hold up what else runs on threads."""

    def __init__(self) -> None:
        """Make the pool; its threads start when they are needed."""
        self._threads = ThreadPoolExecutor(LOOK_UPS_AT_ONCE, "resolver")

    async def resolve(self, host: str) -> list[IPAddress]:
        """Look a host up, for at most two seconds."""
        if (literal := literal_address(host)) is not None:
            return [literal]
        look_up = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await look_up
        except TimeoutError:
            raise ResolveError(f"no answer from the name server within {LOOK_UP_SECONDS:g} s") from None

    def close(self) -> None:
        """Do not wait for look-ups that are still under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[IPAddress]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ResolveError("the name has no address") from None
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return list(dict.fromkeys(addresses))
