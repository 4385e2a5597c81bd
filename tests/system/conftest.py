import os
from collections.abc import Iterator

import pytest

from tests.system.stack import Stack, why_not


@pytest.fixture(scope="session")
def engine() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def stack(engine: None) -> Iterator[Stack]:
    """Containers that several tests share: leave them as they are."""
    yield from running(Stack(f"ringback-test-{os.getpid()}"))


@pytest.fixture
def own_stack(engine: None) -> Iterator[Stack]:
    """Containers that the test may stop and kill."""
    yield from running(Stack(f"ringback-test-{os.getpid()}-own"))


def running(stack: Stack) -> Iterator[Stack]:
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
