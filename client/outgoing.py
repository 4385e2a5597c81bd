"""Send a text until it is stored, once: through lost answers, restarts of the server and rate limits."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from client.backoff import backoff
from client.errors import CallRefused, ServerUnreachable
from client.listener import ConnectionState
from client.participant import SEAT_LOST, Participant
from protocol.errors import ErrorCode
from protocol.messages import SendMessageResult

# Refusals of the moment; the participant's keeper mends a lost seat meanwhile.
PASSING: Final = SEAT_LOST | {ErrorCode.RATE_LIMITED, ErrorCode.NOT_STORED}
ENDED: Final = frozenset({ConnectionState.LEFT, ConnectionState.REPLACED})


async def send_until_stored(
    participant: Participant, text: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> SendMessageResult:
    """Send `text`; every try carries the same `client_msg_id`, so that it is stored only once.

    Raises `CallRefused` for a refusal that will stay, and whatever the last try met once the participant's seat has
    ended. Waits for as long as the server is away: bound it with `asyncio.timeout` where that is too long.
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
