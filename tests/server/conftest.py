"""What every test of the server is held to: the loop is never blocked, and nothing makes a traceback."""

import logging
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from server.logs import BadHttpFilter


class Tracebacks(logging.Handler):
    """Collects what was logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.addFilter(BadHttpFilter())  # as `logs.configure` has it
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.records.append(record)


@pytest.fixture(autouse=True)
def blocking_fails() -> Iterator[None]:
    """A call that blocks the event loop raises, where code of the server is on the stack."""
    with blockbuster_ctx(["server", "protocol"]):
        yield


@pytest.fixture
def tracebacks() -> Iterator[list[logging.LogRecord]]:
    handler = Tracebacks()
    logging.getLogger().addHandler(handler)
    yield handler.records
    logging.getLogger().removeHandler(handler)


@pytest.fixture(autouse=True)
def no_traceback_is_logged(tracebacks: list[logging.LogRecord], blocking_fails: None) -> Iterator[None]:
    """Whatever a test sends, the server's log has no traceback."""
    yield
    assert not tracebacks, "\n".join(logging.Formatter().format(record) for record in tracebacks)


@pytest.fixture
def expected_tracebacks(tracebacks: list[logging.LogRecord]) -> Iterator[list[logging.LogRecord]]:
    """For a test that makes the server stumble: the records with a traceback, which are then no failure."""
    yield tracebacks
    tracebacks.clear()
