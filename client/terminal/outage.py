"""What is told while the server is away: one line in the chat, and beside the prompt how long the next try is off."""

import asyncio
import math
from collections.abc import Callable

from client.errors import CallRefused
from client.participant import Participant
from client.printable import printable
from client.terminal.console import Console
from protocol.errors import ErrorCode


class Outage:
    """From the first failure to the return."""

    def __init__(self, participant: Participant, console: Console) -> None:
        self._participant = participant
        self._console = console
        self._console.status = self.status
        self._told: set[bool] = set()
        self._changed = asyncio.Event()

    def tell(self, show: Callable[[str], None], detail: str) -> None:
        """Tell it once; and once more if it is for another reason than the server that it takes so long: the name."""
        reason, wait = self._participant.reason, self._participant.wait
        is_name = isinstance(reason, CallRefused) and reason.code == ErrorCode.TAKEN
        if is_name not in self._told:
            self._told.add(is_name)
            show(printable(detail if is_name else f"{reason} Trying again in {_seconds(wait)}…"))
        self._changed.set()

    def end(self) -> None:
        """Be over."""
        self._told.clear()
        self._changed.set()

    def status(self) -> str:
        """Say when the next try is."""
        if not self._told:
            return ""
        left = self._participant.next_try - asyncio.get_running_loop().time()
        return f"next try in {math.ceil(left)} s" if left > 0 else "trying to connect…"

    async def count_down(self) -> None:
        """Keep the status right, each second of an outage."""
        while True:
            await self._changed.wait()
            self._console.refresh()
            if self._told:
                await asyncio.sleep(1)
            else:
                self._changed.clear()


def _seconds(wait: float) -> str:
    return f"{wait:.1f} s" if wait < 1 else f"{wait:.0f} s"
