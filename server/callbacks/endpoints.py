"""Callbacks that share an address and port, and the detection of recipients that serve one connection at a time.

A serial HTTP server (Python's `HTTPServer`, many small servers) reads from its current connection until that connection
ends. An idle kept connection to it blocks all further connections: that of a participant that registers again, and that
of a second participant at the same place. For all other servers, connections are kept.
"""

import asyncio
from typing import Final, Protocol

from server.net.addresses import IPAddress

# A new connection without a response for so long counts as stalled, if another connection to the place is idle.
STALLED_SECONDS: Final = 0.25
# How long a place counts as serial; afterwards another server may listen there, or it was only slow that time.
SERIAL_SECONDS: Final = 60.0


class EndpointUser(Protocol):
    """The part of a callback that its place uses."""

    @property
    def exchange_under_way(self) -> object | None:
        """Return an object that identifies the exchange in flight, or None."""

    @property
    def is_served(self) -> bool:
        """True while an exchange is in flight on a connection that has carried a response before."""

    @property
    def is_idle(self) -> bool:
        """True while a connection is kept and no exchange is in flight."""

    def release(self) -> None:
        """Close the kept connection, if any."""


class Endpoint:
    """An address and port. `_serial_until` is the time until which it counts as serial."""

    __slots__ = ("_callbacks", "_loop", "_serial_until")

    def __init__(self) -> None:
        self._callbacks: set[EndpointUser] = set()
        self._loop = asyncio.get_running_loop()
        self._serial_until = 0.0  # loop time

    def add(self, callback: EndpointUser) -> None:
        self._callbacks.add(callback)

    def remove(self, callback: EndpointUser) -> bool:
        """Remove a callback. Return true if the place is empty now."""
        self._callbacks.discard(callback)
        return not self._callbacks

    def connected(self, newcomer: EndpointUser) -> bool:
        """Handle a new connection. Return true if it must close after its response, because the place is serial."""
        if len(self._callbacks) < 2:
            return False
        self._loop.call_later(STALLED_SECONDS, self._look, newcomer, newcomer.exchange_under_way)
        is_serial = self._loop.time() < self._serial_until
        if is_serial:
            for other in self._idle(newcomer):
                other.release()
        return is_serial

    def _look(self, newcomer: EndpointUser, exchange: object) -> None:
        """Close the only idle connection, which may block the newcomer.

        If the place serves another connection, it is only busy. If several connections are idle, it has served them in
        parallel. Other callbacks that wait on new connections indicate neither.
        """
        if newcomer.exchange_under_way is not exchange:
            return
        others = [other for other in self._callbacks if other is not newcomer and other.exchange_under_way is not None]
        idle = self._idle(newcomer)
        if any(other.is_served for other in others) or (others and not idle):
            self._loop.call_later(STALLED_SECONDS, self._look, newcomer, exchange)
        elif len(idle) == 1:
            idle[0].release()
            self._loop.call_later(STALLED_SECONDS, self._learn, newcomer, exchange)

    def _learn(self, newcomer: EndpointUser, exchange: object) -> None:
        """Mark the place as serial if the response came as soon as the idle connection was closed."""
        if newcomer.exchange_under_way is not exchange:
            self._serial_until = self._loop.time() + SERIAL_SECONDS
        else:  # the place may serve a third connection first
            self._look(newcomer, exchange)

    def _idle(self, newcomer: EndpointUser) -> list[EndpointUser]:
        return [other for other in self._callbacks if other is not newcomer and other.is_idle]


class Endpoints:
    """All places, by address and port. A callback belongs to the place of its newest connection."""

    def __init__(self) -> None:
        self._endpoints: dict[tuple[IPAddress, int], Endpoint] = {}

    def __bool__(self) -> bool:
        return bool(self._endpoints)

    def enter(self, address: IPAddress, port: int, callback: EndpointUser) -> Endpoint:
        """Add the callback to its place. Return the place."""
        endpoint = self._endpoints.setdefault((address, port), Endpoint())
        endpoint.add(callback)
        return endpoint

    def leave(self, address: IPAddress, port: int, callback: EndpointUser) -> None:
        """Remove the callback from its place. Delete an empty place."""
        endpoint = self._endpoints.get((address, port))
        if endpoint is not None and endpoint.remove(callback):
            del self._endpoints[address, port]
