"""Messages during an outage of the server: one line in the chat, and the time to the next try beside the prompt."""

import asyncio
import math
from collections.abc import Callable

from client.faces.terminal.console import Console
from client.faces.text import printable
from client.session.participant import Participant


class Outage:
    """The state of an outage, from the first failure to the reconnection."""

    def __init__(self, participant: Participant, console: Console) -> None:
        self._participant = participant
        self._console = console
        self._console.status = self.status
        self._told: set[str] = set()  # reasons already shown: refused names, and "" for an unreachable server
        self._changed = asyncio.Event()

    def tell(self, show: Callable[[str], None], detail: str) -> None:
        """Show the outage once, and once more for each name if the server refuses the name."""
        reason, wait = self._participant.reason, self._participant.wait
        name = self._participant.name if self._participant.lacks_name else ""
        if name not in self._told:
            self._told.add(name)
            away = f"{reason} Trying again in {_seconds(wait)}…"
            show(printable(f"{detail} /nick NAME chooses another." if name else away))
        self._changed.set()

    def end(self) -> None:
        """End the outage: the client is connected again."""
        self._told.clear()
        self._changed.set()

    def status(self) -> str:
        """Return the time to the next try as a text; empty if there is no outage."""
        if not self._told:
            return ""
        left = self._participant.next_try - asyncio.get_running_loop().time()
        return f"next try in {math.ceil(left)} s" if left > 0 else "trying to connect…"

    async def count_down(self) -> None:
        """Refresh the status each second during an outage; runs until cancelled."""
        while True:
            await self._changed.wait()
            self._console.refresh()
            if self._told:
                await asyncio.sleep(1)
            else:
                self._changed.clear()


def _seconds(wait: float) -> str:
    return f"{wait:.1f} s" if wait < 1 else f"{wait:.0f} s"
