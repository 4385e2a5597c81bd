"""What a participant tells the face that it has: messages, who is typing, and how its connection stands."""

from enum import StrEnum
from typing import Final, Protocol

from client.seat import Hearer


class ConnectionState(StrEnum):
    """NEW -> ONLINE <-> RECONNECTING; one that resumes begins at RECONNECTING.

    REPLACED (another process has the seat, an operator has removed who sat there, or this client has failed) and LEFT
    are ends.
    """

    NEW = "new"
    ONLINE = "online"
    RECONNECTING = "reconnecting"
    REPLACED = "replaced"
    LEFT = "left"


SEATED: Final = frozenset({ConnectionState.ONLINE, ConnectionState.RECONNECTING})


class Listener(Hearer, Protocol):
    """The face that a participant speaks to. Messages come only after the first `on_state(ONLINE)`."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Show the state; `detail` is a sentence for a person, or empty."""
