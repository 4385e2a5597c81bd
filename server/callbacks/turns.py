"""Has the work of many connections done kind by kind, and not connection by connection.

What the sockets bring in one turn of the event loop is only kept at first. Then all of it is read and decided on, and
then all that came of it is written. Done one connection after the other, each step would find the processor's caches
full of the other steps, and each write would wake a recipient that has just gone to sleep.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

AT_ONCE: Final = 10  # so many are decided on before they are written: nobody need wait for many others


class Works(Protocol):
    """What has its work done in turns."""

    def read(self, data: bytes) -> None:
        """Take what has come; no bytes mean the end."""

    def write(self, pieces: Iterable[bytes]) -> None:
        """Send."""


class Turns:
    """Collects what is to be read and written, and does it as soon as the loop has looked at all sockets."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        self._to_read: list[tuple[Works, bytes]] = []
        self._to_write: list[tuple[Works, Iterable[bytes]]] = []

    def read_later(self, who: Works, data: bytes) -> None:
        """Have `who` read."""
        self._to_read.append((who, data))
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._run)

    def write_later(self, who: Works, pieces: Iterable[bytes]) -> None:
        """Have `who` write."""
        self._to_write.append((who, pieces))
        if len(self._to_write) >= AT_ONCE:
            self._write()
        elif not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        to_read, self._to_read = self._to_read, []
        for who, data in to_read:
            try:
                who.read(data)
            except Exception as error:
                self._tell(who, error)
        self._write()
        self._is_due = False

    def _write(self) -> None:
        to_write, self._to_write = self._to_write, []
        for who, pieces in to_write:
            try:
                who.write(pieces)
            except Exception as error:
                self._tell(who, error)

    def _tell(self, who: Works, error: Exception) -> None:
        """Tell what asyncio tells of a protocol that is mistaken: it must not take the turn from the others."""
        self._loop.call_exception_handler({"message": f"{who!r} stumbled", "exception": error})
