"""Tests of this folder may run on a loop on which time stands still until the test lets it pass."""

from collections.abc import Callable, Mapping

import pytest

from tests.server.net.frozen_loop import FrozenLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], FrozenLoop]]:
    return {"frozen": FrozenLoop}
