"""How everybody here calls a server that is away every other second: again and again, at short intervals."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from client.errors import CallRefused, ServerUnreachable
from protocol.errors import ErrorCode

T = TypeVar("T")

RETRY_SECONDS: Final = (0.05, 0.1)  # between two tries, at random
RETRYABLE: Final = frozenset(code.value for code in ErrorCode if code.retryable)


async def answer_of(call: Callable[[], Awaitable[T]]) -> T:
    """Call until there is an answer. Raises `CallRefused` for a refusal that would be the same the next time."""
    while True:
        try:
            return await call()
        except ServerUnreachable:
            pass
        except CallRefused as error:
            if error.code not in RETRYABLE:
                raise
        await asyncio.sleep(random.uniform(*RETRY_SECONDS))
