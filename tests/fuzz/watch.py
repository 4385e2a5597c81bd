"""Watches what must not be: a traceback or an ERROR line in the log, a line that holds two, a task that fails alone."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from server.logs import BadHttpFilter, JsonFormatter, LineFormatter
from tests.fuzz.judge import Wrong

SHOWN = 5


class Watch(logging.Handler):
    """Notes what is wrong in the log, and what the event loop complains of."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(BadHttpFilter())  # as `logs.configure` has it
        self.found: list[str] = []
        self._formatters = (LineFormatter(), JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = [formatter.format(record) for formatter in self._formatters]
        except Exception as error:  # whatever a value has made of the line
            self.found.append(f"a line cannot be written: {record.msg!r} {record.args!r}: {error!r}")
            return
        if record.levelno >= logging.ERROR or record.exc_info:
            self.found.append(f"in the log: {lines[0]}")
        elif any(len(line.splitlines()) != 1 for line in lines):
            self.found.append(f"not one line in the log: {lines[0]!r}")

    def complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what the event loop could give to nobody."""
        self.found.append(f"in the event loop: {context.get('message')}: {context.get('exception')!r}")

    def check(self) -> None:
        """Raise `Wrong` if there was something."""
        if found := self.take():
            raise Wrong("\n".join(found))

    def take(self) -> list[str]:
        """Give what there was, and forget it."""
        found, self.found = self.found, []
        return found[:SHOWN]


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch the log, from what is told on level `info` on, and the running loop."""
    watch, root, loop = Watch(), logging.getLogger(), asyncio.get_running_loop()
    logs = logging.getLogger("ringback")
    loop.set_exception_handler(watch.complain)
    root.addHandler(watch)
    level = logs.level
    logs.setLevel(logging.INFO)
    try:
        yield watch
    finally:
        logs.setLevel(level)
        root.removeHandler(watch)
        loop.set_exception_handler(None)
