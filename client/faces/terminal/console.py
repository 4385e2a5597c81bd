"""The interface between the terminal face and a terminal."""

from collections.abc import Callable
from typing import Final, Protocol

from client.faces.terminal.lines import Line

PROMPT: Final = "You: "


class Console(Protocol):
    """Chat lines above, a prompt below. If the terminal can do it, chat lines do not interrupt the line being typed."""

    echoes: bool
    """Whether an entered line stays on the screen, so that the face does not show it again."""

    status: Callable[[], str]
    """Returns a short text to show beside the prompt, or an empty string."""

    async def ask(self, question: str) -> str:
        """Return the line that the person enters after `question`. Raise `EOFError` when the person leaves."""

    async def read(self, on_entered: Callable[[str], bool]) -> None:
        """Call `on_entered` with each line, until the person leaves or `close`. If it returns False, the line stays."""

    def begun(self) -> str:
        """Return the text at the prompt that was not entered, or an empty string if the terminal does not report it."""

    def close(self) -> None:
        """End `read`."""

    def show(self, lines: list[Line]) -> None:
        """Write the lines; they are on the screen when this returns."""

    def ring(self) -> None:
        """Sound the terminal's bell."""

    def refresh(self) -> None:
        """Draw the status again."""
