"""A server with its own resolver: names under `.test` resolve to 127.0.0.1, the first time at once, later after 3 s."""

import asyncio
import signal
import time
from ipaddress import ip_address
from threading import Lock
from typing import Final

from bench.control import run
from server import logs
from server.__main__ import back_up, kick, release, restore
from server.app import Dependencies, Server, listen
from server.callbacks.resolver import SystemResolver
from server.net.addresses import IPAddress
from server.settings import Settings, command

SLOW_SECONDS: Final = 3.0
LOOPBACK: Final = ip_address("127.0.0.1")


class SlowNames:
    """The resolver's look-up function, with the names that it has resolved before."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._lock = Lock()

    def look_up(self, host: str) -> list[IPAddress]:
        """Return the addresses of `host`. May block; called on any thread."""
        if not host.endswith(".test"):
            return []
        with self._lock:
            is_known = host in self._known
            self._known.add(host)
        if is_known:
            time.sleep(SLOW_SECONDS)
        return [LOOPBACK]


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM, as `python -m server` does."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    around = Dependencies(resolver=SystemResolver(look_up=SlowNames().look_up))
    server = Server(settings, listen(settings.host, settings.port), around)
    await server.start()
    logs.server.info("Real-time RPC chat server running on %s", server.authority)
    await stop.wait()
    await server.stop()


def start(settings: Settings) -> None:
    """Configure the log, and serve, as `python -m server` does."""
    logs.configure(settings.log_format, settings.log_level)
    run(serve(settings))


if __name__ == "__main__":
    command(start, back_up, restore, kick, release)(prog_name="python -m bench.slow_names")
