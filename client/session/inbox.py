"""The receiving end of one registration: its callback path, its key, and the last `seq` received."""

import asyncio
import secrets
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

from protocol.messages import ChatMessage, ReceiveTypingParams

SECRET_KEY_BYTES: Final = 32


class NotNow(Exception):
    """The message cannot be shown yet. The server sends it again, and does not count this as a failure."""


class MessageListener(Protocol):
    """Receives the messages and typing notifications of a registration."""

    def on_message(self, message: ChatMessage) -> None:
        """Show a message. Called once for each, in `seq` order. Raise `NotNow` to receive it again later."""

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Show that a member is typing."""


class InboxState(Enum):
    """PENDING or HELD -> OPEN -> HELD; CLOSED is final."""

    PENDING = auto()  # POSTs wait for the response to `Register`
    HELD = auto()  # POSTs wait, and ask for a new registration
    OPEN = auto()  # messages of the log `epoch` are accepted
    CLOSED = auto()


class Inbox:
    """A callback path, its key, and the last `seq` received there (`taken`) of the log `epoch`.

    Three rules prevent that a message is acknowledged without being shown, or dropped as a repeat:

    1. A POST waits until the response to `Register` has provided epoch and cursor (`open`).
    2. A POST with another epoch waits until a further response to `Register` provides that epoch.
    3. A registration that sets the cursor (`after`) uses a new path, so that every POST to a path begins at or before
       `taken` + 1, even a late one.

    `hold` makes POSTs wait until the next `open`, so that the face shows all missed messages at once first.
    """

    def __init__(
        self,
        listener: MessageListener,
        *,
        on_other_log: Callable[[], None],
        on_held_push: Callable[[], None] = lambda: None,
        keep: Callable[[], None],
        epoch: str = "",
        taken: int = 0,
    ) -> None:
        """`on_other_log` is called when a POST has another epoch, `on_held_push` when a POST waits because of `hold`.

        `keep` is called after messages were shown, before they are acknowledged. `epoch` and `taken` are the stored
        values, if there are any.
        """
        self.id = secrets.token_urlsafe(16)
        self.key = secrets.token_bytes(SECRET_KEY_BYTES)
        self.epoch = epoch
        self.taken = taken
        self._listener = listener
        self._on_other_log = on_other_log
        self._on_held_push = on_held_push
        self._keep = keep
        self._kept = taken
        self._state = InboxState.PENDING
        self._changed = asyncio.Event()

    def set_log(self, epoch: str, cursor: int) -> None:
        """Store epoch and cursor from the response to `Register`."""
        if epoch != self.epoch:
            self.epoch, self.taken, self._kept = epoch, cursor, cursor

    def open(self, epoch: str, cursor: int) -> None:
        """Store epoch and cursor, and accept messages of that log from now on."""
        self.set_log(epoch, cursor)
        self._become(InboxState.OPEN)

    def hold(self) -> None:
        """Accept no messages until the next `open`."""
        self._become(InboxState.HELD)

    def pass_over(self, seq: int) -> None:
        """Mark all messages up to `seq` as received: the face has shown them by other means."""
        self.taken = max(self.taken, seq)

    def close(self) -> None:
        """Release all waiting POSTs."""
        self._become(InboxState.CLOSED)

    async def wait_until_open(self, epoch: str) -> None:
        """Wait until messages of the log `epoch` can be accepted, or until `close`."""
        if self._state is InboxState.HELD:
            self._on_held_push()
        if self._state is InboxState.OPEN and epoch != self.epoch:
            self._on_other_log()
        while not (self._state is InboxState.CLOSED or (self._state is InboxState.OPEN and epoch == self.epoch)):
            await self._changed.wait()

    def receive(self, message: ChatMessage) -> None:
        """Show a message, unless it is a repeat. Raise `RuntimeError` unless the inbox is open."""
        if self._state is not InboxState.OPEN:
            raise RuntimeError("received a message without an epoch in its webhook-id before the response to Register")
        if message.seq > self.taken:
            self._listener.on_message(message)
            self.taken = message.seq

    def typing(self, who: ReceiveTypingParams) -> None:
        """Show that a member is typing."""
        if self._state is InboxState.OPEN:
            self._listener.on_typing(who)

    def keep(self) -> None:
        """Store the last `seq` received, if it has changed."""
        if self.taken != self._kept:
            self._kept = self.taken
            self._keep()

    def _become(self, state: InboxState) -> None:
        if self._state is not InboxState.CLOSED:
            self._state = state
        self._changed.set()
        self._changed = asyncio.Event()
