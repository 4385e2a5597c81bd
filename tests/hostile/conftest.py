"""The server is held to the same in hostile surroundings: nothing blocks its loop, nothing makes a traceback."""

from collections.abc import Callable

from server.callbacks.resolver import SystemResolver
from server.net.addresses import IPAddress
from tests.fakes import FakeResolver
from tests.server.conftest import blocking_fails, no_traceback_is_logged, tracebacks

__all__ = ["RealResolver", "blocking_fails", "no_traceback_is_logged", "tracebacks"]


class RealResolver(FakeResolver):
    """Asks as the server does outside of tests; `look_up` is what its threads do in the place of `getaddrinfo`."""

    def __init__(self, look_up: Callable[[str], list[IPAddress]] | None = None) -> None:
        super().__init__()
        self._system = SystemResolver(look_up)

    async def resolve(self, host: str, network: str) -> list[IPAddress]:
        self.asked.append(host)
        return await self._system.resolve(host, network)
