"""The browser sessions of this process, by cookie. A session goes away some time after its last tab has closed.

Its registration and its name are kept: a browser that returns gets them back, also from a restarted process.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from client.faces.web.errors import TooMany
from client.faces.web.session import Session
from client.faces.web.tab import Tab

MAX_SESSIONS: Final = 2000  # each takes about 60 KiB and three open files
MAX_TABS: Final = 32  # in a session
GRACE_SECONDS: Final = 60.0
LEAVE_SECONDS: Final = 5.0  # for all sessions together, at the end of the process

logger = logging.getLogger(__name__)


class Sessions:
    """Maps cookies to sessions, and ends the sessions without tabs."""

    def __init__(
        self,
        new_session: Callable[[str], Session],
        *,
        limit: int = MAX_SESSIONS,
        grace: float = GRACE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep up to `limit` sessions, each for `grace` seconds after its last tab closed."""
        self._new_session = new_session
        self._limit = limit
        self._grace = grace
        self._sleep = sleep
        self._by_cookie: dict[str, Session] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._by_cookie)

    async def parted(self, cookie: str) -> None:
        """Wait while the cookie's session is leaving: until then it holds the lock of its registration file."""
        if cookie in self._leaving:
            await asyncio.wait([self._leaving[cookie]])

    def open(self, cookie: str, tab: Tab) -> Session:
        """Add a tab to the cookie's session, and create the session if necessary. Raise `TooMany` at the limits."""
        session = self._by_cookie.get(cookie)
        if session is None:
            if len(self._by_cookie) >= self._limit:
                raise TooMany(f"This page has {self._limit} visitors already: try again later.")
            session = self._by_cookie[cookie] = self._new_session(cookie)
        elif len(session.tabs) >= MAX_TABS:
            raise TooMany(f"This browser has {MAX_TABS} tabs of this page open: close one.")
        waiting = self._waiting.pop(cookie, None)
        if waiting is not None:
            waiting.cancel()
        session.add(tab)
        return session

    def close(self, cookie: str, tab: Tab) -> None:
        """Remove a tab; a session without tabs leaves after `grace` seconds."""
        session = self._by_cookie[cookie]
        session.remove(tab)
        if session.tabs:
            return
        if session.is_registered:
            self._waiting[cookie] = asyncio.create_task(self._end(cookie, session))
        else:
            del self._by_cookie[cookie]

    async def end_all(self) -> None:
        """Close all tabs and leave with all sessions, within `LEAVE_SECONDS`. The registrations are kept."""
        for task in self._waiting.values():
            task.cancel()
        self._waiting.clear()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await asyncio.gather(*map(self._part, self._by_cookie.values()), *self._leaving.values())
        except TimeoutError:
            logger.warning("[WARN] Some browser sessions could not leave the room within %g s", LEAVE_SECONDS)

    async def _end(self, cookie: str, session: Session) -> None:
        await self._sleep(self._grace)
        # From here on the cookie has no session, so that a new tab does not show a session that is leaving.
        del self._by_cookie[cookie]
        task = self._waiting.pop(cookie)
        self._leaving[cookie] = task
        task.add_done_callback(lambda _: self._leaving.pop(cookie))
        await self._leave(session)

    async def _part(self, session: Session) -> None:
        closing = [tab.close(1001, "The program behind this page has stopped.") for tab in session.tabs]
        # Close the tabs first: they must keep the chat on screen, and not receive the state LEFT.
        await asyncio.gather(*closing, self._leave(session))

    async def _leave(self, session: Session) -> None:
        try:
            await session.leave(for_good=False)
        except Exception:  # a failure must not keep other sessions from leaving, and must appear in the log
            logger.exception("[ERROR] A browser session could not leave the room")
