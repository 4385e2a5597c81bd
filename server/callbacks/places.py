"""The callbacks that share an address and port, which a server that serves one connection at a time needs to know of.

Such a server (Python's `HTTPServer`, many small ones) reads from the connection that it has until that ends. A
connection that is kept there, idle, keeps all others waiting: a participant that registers anew, and a second one
beside it. Servers in general do not mind, and their connections are kept.
"""

import asyncio
from typing import Final, Protocol

from server.core.address_policy import IPAddress

STALLED_SECONDS: Final = 0.25  # without an answer on a new connection, while the other to the same place is idle
SERIAL_SECONDS: Final = 60.0  # then it may have become another, or it was only slow that time


class Shares(Protocol):
    """A callback, as far as it concerns the others at its place."""

    @property
    def exchange_under_way(self) -> object | None:
        """Return what identifies the exchange that is under way, if any."""

    @property
    def is_served(self) -> bool:
        """True while an exchange is under way on a connection that has brought an answer before."""

    @property
    def is_idle(self) -> bool:
        """True while a connection is kept and nothing is under way."""

    def let_go(self) -> None:
        """Close the connection that is kept, if any."""


class Place:
    """One address and port, which may serve one connection at a time."""

    __slots__ = ("_callbacks", "_loop", "_serial_until")

    def __init__(self) -> None:
        """Begin with no callback."""
        self._callbacks: set[Shares] = set()
        self._loop = asyncio.get_running_loop()
        self._serial_until = 0.0  # by the loop

    def add(self, callback: Shares) -> None:
        """Count a callback in."""
        self._callbacks.add(callback)

    def remove(self, callback: Shares) -> bool:
        """Count a callback out; return whether it was the last one."""
        self._callbacks.discard(callback)
        return not self._callbacks

    def connected(self, newcomer: Shares) -> bool:
        """Note a new connection. Return whether it is to be closed after its answer, because others need the place."""
        if len(self._callbacks) < 2:
            return False
        self._loop.call_later(STALLED_SECONDS, self._look, newcomer, newcomer.exchange_under_way)
        is_serial = self._loop.time() < self._serial_until
        if is_serial:
            for other in self._idle(newcomer):
                other.let_go()
        return is_serial

    def _look(self, newcomer: Shares, exchange: object) -> None:
        """Close the connection that keeps the newcomer waiting, if there is one.

        Where another is served, the place is only busy; where several are idle, it has served them side by side.
        Others that wait on new connections are no sign of either.
        """
        if newcomer.exchange_under_way is not exchange:
            return
        others = [other for other in self._callbacks if other is not newcomer and other.exchange_under_way is not None]
        idle = self._idle(newcomer)
        if any(other.is_served for other in others) or (others and not idle):
            self._loop.call_later(STALLED_SECONDS, self._look, newcomer, exchange)
        elif len(idle) == 1:
            idle[0].let_go()
            self._loop.call_later(STALLED_SECONDS, self._learn, newcomer, exchange)

    def _learn(self, newcomer: Shares, exchange: object) -> None:
        """Note that the other one was the hindrance, if the answer came as soon as it had gone."""
        if newcomer.exchange_under_way is not exchange:
            self._serial_until = self._loop.time() + SERIAL_SECONDS
        else:  # the place may serve a third one first
            self._look(newcomer, exchange)

    def _idle(self, newcomer: Shares) -> list[Shares]:
        return [other for other in self._callbacks if other is not newcomer and other.is_idle]


class Places:
    """All places at which a callback has a connection, or had its last one."""

    def __init__(self) -> None:
        """Begin with none."""
        self._places: dict[tuple[IPAddress, int], Place] = {}

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self._places)

    def enter(self, address: IPAddress, port: int, callback: Shares) -> Place:
        """Return the place, with the callback in it."""
        place = self._places.setdefault((address, port), Place())
        place.add(callback)
        return place

    def leave(self, address: IPAddress, port: int, callback: Shares) -> None:
        """Take the callback out of its place."""
        place = self._places.get((address, port))
        if place is not None and place.remove(callback):
            del self._places[address, port]
