"""The interface from a participant to its face: messages, typing notifications, and the connection state."""

from enum import StrEnum
from typing import Final, Protocol

from client.session.inbox import MessageListener


class ConnectionState(StrEnum):
    """NEW -> ONLINE <-> RECONNECTING; a participant that resumes starts at RECONNECTING.

    REPLACED and LEFT are final. REPLACED: another process has the registration, an operator has removed the member, the
    server requires a join key that this client does not know, or this client has failed.
    """

    NEW = "new"
    ONLINE = "online"
    RECONNECTING = "reconnecting"
    REPLACED = "replaced"
    LEFT = "left"


REGISTERED: Final = frozenset({ConnectionState.ONLINE, ConnectionState.RECONNECTING})


class Listener(MessageListener, Protocol):
    """The face of a participant. Messages arrive only after the first `on_state(ONLINE)`."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Show the state; `detail` is a sentence for a person, or empty."""
