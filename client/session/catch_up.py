"""The catch-up of a face after every registration: the end of the log, with the missed messages."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from client.errors import ClientError
from client.session.rpc import ServerRpc
from protocol import methods
from protocol.messages import ChatMessage, GetHistoryParams, GetHistoryResult, RegisterResult

# Messages pushed in the meantime wait up to 4 s (client.callback) before they get a 503.
PATIENCE_SECONDS: Final = 3.0

OWN_NOTICES: Final = 2  # usually at the end of the log: that this member left, and that it is back


@dataclass(frozen=True, kw_only=True)
class CatchUp:
    """The newest messages of the log, oldest first, own messages included, but not the notices about this member.

    Messages up to `taken` were received before, or precede the arrival of a new member. `skipped`: the number of
    messages of other members between these and `messages`. `resumed`: the registration existed before; `again`: in this
    process.
    """

    messages: list[ChatMessage]
    taken: int
    skipped: int
    me: str
    resumed: bool
    again: bool

    @property
    def missed(self) -> list[ChatMessage]:
        """The messages that the server would have pushed."""
        return [message for message in self.messages if message.seq > self.taken and message.sender_id != self.me]

    @property
    def newest(self) -> int:
        """The last `seq` that was seen once `messages` are shown."""
        return max([self.taken, *(message.seq for message in self.messages)])


@dataclass(frozen=True)
class CatchUpRequest:
    """A face's request for a catch-up: the number of lines, and the function that shows them."""

    lines: int
    show: Callable[[CatchUp], None]


async def read_catch_up(rpc: ServerRpc, now: RegisterResult, taken: int, lines: int, *, again: bool) -> CatchUp | None:
    """Read the end of the log after `Register`; None if that fails or takes more than 3 s."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            end = await _read(rpc, now, GetHistoryParams(limit=lines + OWN_NOTICES))
            messages = [each for each in end.messages if not (each.is_system and each.sender_id == now.id)][-lines:]
            left_out = end.messages[: end.messages.index(messages[0])] if messages else []
            skipped = sum(each.seq > taken and each.sender_id != now.id for each in left_out)
            if messages and end.earlier and end.messages[0].seq > taken:  # more missed messages may precede
                begin = await _read(rpc, now, GetHistoryParams(after=taken, limit=lines))
                # Own entries do not count as missed; they usually lie where this member left.
                own = sum(each.sender_id == now.id and each.seq < messages[0].seq for each in begin.messages)
                skipped = max(0, end.earlier + len(left_out) - begin.earlier - own)
    except (ClientError, TimeoutError, _AnotherLog):
        return None
    return CatchUp(messages=messages, taken=taken, skipped=skipped, me=now.id, resumed=now.resumed, again=again)


class _AnotherLog(Exception):
    """The epoch has changed since the response to `Register`."""


async def _read(rpc: ServerRpc, now: RegisterResult, params: GetHistoryParams) -> GetHistoryResult:
    history = await rpc.call(methods.GET_HISTORY, params, GetHistoryResult, now.token)
    if history.epoch != now.epoch:
        raise _AnotherLog
    return history
