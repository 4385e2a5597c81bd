"""Fixtures for everybody."""

import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hypothesis import settings

from tests.fakes import Recipient, RunningServer

# The same examples every time, and none that fails because the machine was busy.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def server(session: aiohttp.ClientSession) -> AsyncIterator[RunningServer]:
    async with RunningServer(session) as server:
        yield server


@pytest.fixture
async def recipient() -> AsyncIterator[Recipient]:
    async with Recipient() as recipient:
        yield recipient


SLOW_MARKERS = ("compose", "crash", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow modules first: started last, one of them would keep one core busy while the others wait."""
    items.sort(key=lambda item: not any(map(item.get_closest_marker, SLOW_MARKERS)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Where everything must run (RINGBACK_NO_SKIPS=1), a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("RINGBACK_NO_SKIPS") == "1":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be: {report.longrepr}"
    return report
