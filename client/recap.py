"""What a face that asks for it is shown at every entry: the end of the log, and in it what was missed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from client.errors import ClientError
from client.rpc import ServerRpc
from protocol import methods
from protocol.messages import ChatMessage, GetHistoryParams, GetHistoryResult, RegisterResult

# What is pushed meanwhile waits 4 s at most (client.callback) before it is told to come again.
PATIENCE_SECONDS: Final = 3.0

OWN_NOTICES: Final = 2  # at the end of the log, as a rule: that one left, and that one is back


@dataclass(frozen=True, kw_only=True)
class Recap:
    """The newest messages of the log, oldest first, one's own included, but not the notices of oneself.

    All up to `taken` had been taken before, or was said before a newcomer came. `skipped`: how many of others lie
    between that and the first message here. `resumed`: the seat was held before; `again`: by this very process.
    """

    messages: list[ChatMessage]
    taken: int
    skipped: int
    me: str
    resumed: bool
    again: bool

    @property
    def missed(self) -> list[ChatMessage]:
        """What the server would have pushed of it."""
        return [message for message in self.messages if message.seq > self.taken and message.sender_id != self.me]

    @property
    def newest(self) -> int:
        """The `seq` up to which all has been seen, once this is shown."""
        return max([self.taken, *(message.seq for message in self.messages)])


@dataclass(frozen=True)
class RecapAsked:
    """How many lines a face wants, and how it shows them."""

    lines: int
    show: Callable[[Recap], None]


async def read_recap(rpc: ServerRpc, now: RegisterResult, taken: int, lines: int, *, again: bool) -> Recap | None:
    """Read the end of the log after `Register` was answered; None when it cannot be had, now or in time."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            end = await _read(rpc, now, GetHistoryParams(limit=lines + OWN_NOTICES))
            messages = [each for each in end.messages if not (each.is_system and each.sender_id == now.id)][-lines:]
            left_out = end.messages[: end.messages.index(messages[0])] if messages else []
            skipped = sum(each.seq > taken and each.sender_id != now.id for each in left_out)
            if messages and end.earlier and end.messages[0].seq > taken:  # there may be more of it further back
                begin = await _read(rpc, now, GetHistoryParams(after=taken, limit=lines))
                # What one said and did oneself is not missed; it lies where one left, as a rule.
                own = sum(each.sender_id == now.id and each.seq < messages[0].seq for each in begin.messages)
                skipped = max(0, end.earlier + len(left_out) - begin.earlier - own)
    except (ClientError, TimeoutError, _AnotherLog):
        return None
    return Recap(messages=messages, taken=taken, skipped=skipped, me=now.id, resumed=now.resumed, again=again)


class _AnotherLog(Exception):
    """The log has changed since `Register` was answered."""


async def _read(rpc: ServerRpc, now: RegisterResult, params: GetHistoryParams) -> GetHistoryResult:
    history = await rpc.call(methods.GET_HISTORY, params, GetHistoryResult, now.token)
    if history.epoch != now.epoch:
        raise _AnotherLog
    return history
