"""The queue of entered lines that the server has not stored yet, sent in order."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from client.errors import ClientError
from client.faces.terminal.typed import Nick, Say
from client.session.participant import Participant
from client.session.sending import ENDED, send_until_stored


class Outbox:
    """A queue of messages and renames: messages entered before a `/nick` are sent under the old name, later ones not.

    The queue has no limit: text that a person types or pastes is small, and a dropped line is worse.
    """

    def __init__(
        self,
        participant: Participant,
        rename: Callable[[Nick], Awaitable[None]],
        refused: Callable[[str, ClientError], None],
    ) -> None:
        """`refused` is called with each text that the server rejects, and the error."""
        self._participant = participant
        self._rename = rename
        self._refused = refused
        self._waiting: deque[Say | Nick] = deque()  # the first entry may be in flight
        self._changed = asyncio.Event()
        self._returned = asyncio.Event()

    def put(self, entered: Say | Nick) -> None:
        """Append to the queue."""
        self._waiting.append(entered)
        self._changed.set()

    def unsent(self) -> list[str]:
        """Return the entered lines that the server has not confirmed."""
        return [entered.text if isinstance(entered, Say) else f"/nick {entered.name}" for entered in self._waiting]

    def try_again(self) -> None:
        """Retry now instead of after the pause: the server is reachable again."""
        self._returned.set()
        self._returned = asyncio.Event()

    async def empty(self) -> None:
        """Send the queue in order, until the participant is LEFT or REPLACED."""
        while self._participant.state not in ENDED:
            if self._waiting and await self._is_done_with(self._waiting[0]):
                self._waiting.popleft()
                self._changed.set()
            elif not self._waiting:
                self._changed.clear()
                await self._changed.wait()

    async def wait_until_empty(self, patience: float) -> None:
        """Return when the queue is empty, or when it has not shrunk for `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            while left := len(self._waiting):
                async with asyncio.timeout(patience):
                    while len(self._waiting) == left:
                        self._changed.clear()
                        await self._changed.wait()

    async def _is_done_with(self, entered: Say | Nick) -> bool:
        """Send an entry. Return False if the registration ended first, so that the entry stays unsent."""
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
        """Sleep for `seconds`, or until `try_again`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._returned.wait()
