"""What was entered and has not reached the server yet: it goes out in the order in which it was entered."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from client.errors import ClientError
from client.outgoing import ENDED, send_until_stored
from client.participant import Participant
from client.terminal.typed import Nick, Say


class Outbox:
    """Lines, and other names: what is said before a `/nick` is said under the old one, what is said behind it is not.

    It grows as it must: what a person types or pastes is little beside what a dropped line costs.
    """

    def __init__(
        self,
        participant: Participant,
        rename: Callable[[Nick], Awaitable[None]],
        refused: Callable[[str, ClientError], None],
    ) -> None:
        """`refused` is told a text that the server will not have."""
        self._participant = participant
        self._rename = rename
        self._refused = refused
        self._waiting: deque[Say | Nick] = deque()  # the first one may be on its way
        self._changed = asyncio.Event()
        self._returned = asyncio.Event()

    def put(self, entered: Say | Nick) -> None:
        """Have it go out behind what waits already."""
        self._waiting.append(entered)
        self._changed.set()

    def unsent(self) -> list[str]:
        """Give what has not reached the server, as far as is known, as it was entered."""
        return [entered.text if isinstance(entered, Say) else f"/nick {entered.name}" for entered in self._waiting]

    def try_again(self) -> None:
        """Do not wait any longer for the next try: the server is back."""
        self._returned.set()
        self._returned = asyncio.Event()

    async def empty(self) -> None:
        """Let one after the other go out, until the seat has ended."""
        while self._participant.state not in ENDED:
            if self._waiting and await self._is_done_with(self._waiting[0]):
                self._waiting.popleft()
                self._changed.set()
            elif not self._waiting:
                self._changed.clear()
                await self._changed.wait()

    async def wait_until_empty(self, patience: float) -> None:
        """Wait while what waits becomes less; no longer than `patience` seconds for each."""
        with contextlib.suppress(TimeoutError):
            while left := len(self._waiting):
                async with asyncio.timeout(patience):
                    while len(self._waiting) == left:
                        self._changed.clear()
                        await self._changed.wait()

    async def _is_done_with(self, entered: Say | Nick) -> bool:
        """Send it; False when the seat has ended before that."""
        if isinstance(entered, Nick):
            await self._rename(entered)
            return True
        try:
            await send_until_stored(self._participant, entered.text, self._pause)
        except ClientError as error:
            if self._participant.state in ENDED:
                return False
            self._refused(entered.text, error)
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait for the next try to send; not any longer when the server is back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._returned.wait()
