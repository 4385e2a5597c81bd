"""What the terminal's face needs of a terminal."""

from collections.abc import Callable
from typing import Final, Protocol

from client.terminal.lines import Line

PROMPT: Final = "You: "


class Console(Protocol):
    """Lines above, a prompt below. What is shown never tears what is being typed, if the terminal can do that."""

    echoes: bool
    """Whether what was entered stands there already."""

    status: Callable[[], str]
    """What to say in a few quiet words beside the prompt; empty: nothing."""

    async def ask(self, question: str) -> str:
        """Give the answer to a question; raises `EOFError` when the person leaves."""

    async def read(self, on_entered: Callable[[str], bool]) -> None:
        """Give `on_entered` each line, until the person leaves or `close`. False from it: the line stays there."""

    def begun(self) -> str:
        """Give what stands at the prompt and was not entered, as far as this terminal tells it."""

    def close(self) -> None:
        """End `read`."""

    def show(self, lines: list[Line]) -> None:
        """Show the lines at once: when this returns, they are on the screen."""

    def ring(self) -> None:
        """Ring the bell."""

    def refresh(self) -> None:
        """Show the status as it is now."""
