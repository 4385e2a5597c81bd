"""What a face that asks for it is shown at every entry: the end of the log, and in it what was missed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from client.errors import ClientError
from client.rpc import ServerRpc
from protocol import methods
from protocol.messages import ChatMessage, GetHistoryParams, GetHistoryResult

# What is pushed meanwhile waits 4 s at most (client.callback) before it is told to come again.
PATIENCE_SECONDS: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class Recap:
    """The newest messages of the log, oldest first, one's own and notices included.

    All up to `taken` had been taken before, or was said before a newcomer came. `oldest` is the oldest that is kept.
    `resumed`: the seat is one that was held before; `again`: by this very process.
    """

    messages: list[ChatMessage]
    taken: int
    oldest: int
    me: str
    resumed: bool
    again: bool

    @property
    def missed(self) -> list[ChatMessage]:
        """What the server would have pushed of it."""
        return [message for message in self.messages if message.seq > self.taken and message.sender_id != self.me]

    @property
    def skipped(self) -> int:
        """How many of the log's lines lie between what was taken and what is shown."""
        return max(0, self.messages[0].seq - 1 - max(self.taken, self.oldest - 1)) if self.messages else 0

    @property
    def newest(self) -> int:
        """The `seq` up to which all has been seen, once this is shown."""
        return max([self.taken, *(message.seq for message in self.messages)])


@dataclass(frozen=True)
class RecapAsked:
    """How many lines a face wants, and how it shows them."""

    lines: int
    show: Callable[[Recap], None]


async def read_newest(rpc: ServerRpc, token: str, epoch: str, lines: int) -> GetHistoryResult | None:
    """Read the end of the log `epoch`; None when it cannot be had, now or in time."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            params = GetHistoryParams(limit=lines)
            history = await rpc.call(methods.GET_HISTORY, params, GetHistoryResult, token)
    except (ClientError, TimeoutError):
        return None
    return history if history.epoch == epoch else None
