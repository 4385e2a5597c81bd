"""Send a text until it is stored exactly once, despite lost responses, server restarts and rate limits."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from client.errors import CallRefused, ServerUnreachable
from client.session.backoff import backoff
from client.session.listener import ConnectionState
from client.session.participant import SEAT_LOST, Participant
from protocol.errors import ErrorCode
from protocol.messages import SendMessageResult

# Temporary errors. Meanwhile, the keep-alive task of the participant renews a lost registration.
PASSING: Final = SEAT_LOST | {ErrorCode.RATE_LIMITED, ErrorCode.NOT_STORED}
ENDED: Final = frozenset({ConnectionState.LEFT, ConnectionState.REPLACED})


async def send_until_stored(
    participant: Participant, text: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> SendMessageResult:
    """Send `text`; all tries have the same `client_msg_id`, so that the server stores it only once.

    Raise `CallRefused` for a permanent error, or the error of the last try once the participant has left or was
    replaced. Waits as long as the server is unreachable: use `asyncio.timeout` to limit that.
    """
    client_msg_id = uuid.uuid4().hex
    delays = backoff()
    while True:
        try:
            return await participant.send(text, client_msg_id)
        except (CallRefused, ServerUnreachable) as error:
            if participant.state in ENDED or (isinstance(error, CallRefused) and error.code not in PASSING):
                raise
            wait = error.retry_after
        await sleep(next(delays) if wait is None else wait)
