"""What is told while the server is away: one line in the chat, and beside the prompt how long the next try is off."""

import asyncio
import math
from collections.abc import Callable

from client.participant import Participant
from client.printable import printable
from client.terminal.console import Console


class Outage:
    """From the first failure to the return."""

    def __init__(self, participant: Participant, console: Console) -> None:
        self._participant = participant
        self._console = console
        self._console.status = self.status
        self._told: set[str] = set()  # the names that were refused; an empty one for the server's absence
        self._changed = asyncio.Event()

    def tell(self, show: Callable[[str], None], detail: str) -> None:
        """Tell it once; and for each name once more, if it is not the server but the name that is in the way."""
        reason, wait = self._participant.reason, self._participant.wait
        name = self._participant.name if self._participant.lacks_name else ""
        if name not in self._told:
            self._told.add(name)
            away = f"{reason} Trying again in {_seconds(wait)}…"
            show(printable(f"{detail} /nick NAME takes another." if name else away))
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
