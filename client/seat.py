"""Where the server rings one registration, and what was taken there."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, Protocol

from protocol.messages import ChatMessage, ReceiveTypingParams

SECRET_KEY_BYTES: Final = 32


class NotNow(Exception):
    """What comes in cannot be shown yet: it is to come again, and that is no failure."""


class Hearer(Protocol):
    """Who is shown what comes in."""

    def on_message(self, message: ChatMessage) -> None:
        """Show a message; each is given once, in `seq` order. Raises `NotNow` to be given it again later."""

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Show that somebody is writing."""


class Seat:
    """One path that is rung, its key, and the last `seq` taken there of the log `epoch`.

    Three rules keep a message from being acknowledged and not shown, or passed over as a repeat. Nothing is taken
    before the answer to `Register` has told log and cursor (`settle`); until then a POST waits. A POST of another log
    waits as well, until a new answer to `Register` tells of that log. And a registration that sets the cursor
    (`after`) gets a new seat, so that every POST at one seat begins at or before `taken` + 1, even one that is late.

    A seat may be held (`hold`) until it is settled again: then its face is first shown what was missed, in one go.
    """

    def __init__(
        self,
        hearer: Hearer,
        *,
        on_doubt: Callable[[], None],
        on_knock: Callable[[], None] = lambda: None,
        keep: Callable[[], None],
        epoch: str = "",
        taken: int = 0,
    ) -> None:
        """`on_doubt` is called when a POST is of another log, `on_knock` when one waits while the seat is held.

        `keep` is called after what was shown, before it is acknowledged. `epoch` and `taken` are those that were
        remembered, if any.
        """
        self.id = secrets.token_urlsafe(16)
        self.key = secrets.token_bytes(SECRET_KEY_BYTES)
        self.epoch = epoch
        self.taken = taken
        self._hearer = hearer
        self._on_doubt = on_doubt
        self._on_knock = on_knock
        self._keep = keep
        self._kept = taken
        self._is_settled = False
        self._is_held = False
        self._is_closed = False
        self._changed = asyncio.Event()

    def note(self, epoch: str, cursor: int) -> None:
        """Note what the answer to `Register` told."""
        if epoch != self.epoch:
            self.epoch, self.taken, self._kept = epoch, cursor, cursor

    def settle(self, epoch: str, cursor: int) -> None:
        """Note it, and from here on take what comes of that log."""
        self.note(epoch, cursor)
        self._is_settled, self._is_held = True, False
        self._wake()

    def hold(self) -> None:
        """Take nothing until the seat is settled again."""
        self._is_settled, self._is_held = False, True

    def pass_over(self, seq: int) -> None:
        """Count all up to `seq` as taken: it was shown in another way."""
        self.taken = max(self.taken, seq)

    def close(self) -> None:
        """Let nobody wait here any more."""
        self._is_closed = True
        self._wake()

    async def follow(self, epoch: str) -> None:
        """Return as soon as messages of the log `epoch` can be taken, or the seat is closed."""
        if self._is_held:
            self._on_knock()
        if self._is_settled and epoch != self.epoch:
            self._on_doubt()
        while not (self._is_closed or (self._is_settled and epoch == self.epoch)):
            await self._changed.wait()

    def receive(self, message: ChatMessage) -> None:
        """Show a message, unless it is a repeat."""
        if not self._is_settled:
            raise RuntimeError("a message whose webhook-id names no log came before the answer to Register")
        if message.seq > self.taken:
            self._hearer.on_message(message)
            self.taken = message.seq

    def typing(self, who: ReceiveTypingParams) -> None:
        """Show that somebody is writing."""
        if self._is_settled:
            self._hearer.on_typing(who)

    def keep(self) -> None:
        """Have it remembered how far this seat is."""
        if self.taken != self._kept:
            self._kept = self.taken
            self._keep()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
