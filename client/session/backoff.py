"""Delays between tries to reach an unreachable server."""

import random
from collections.abc import Callable, Iterator
from typing import Final

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 10.0
JITTER: Final = 0.2


def backoff(draw: Callable[[], float] = random.random) -> Iterator[float]:
    """Yield the seconds to wait before each try: 0.5 doubling to 10, each up to 20 % shorter or longer.

    `draw` returns random numbers from 0 to 1.
    """
    delay = FIRST_DELAY
    while True:
        yield delay * (1 - JITTER + 2 * JITTER * draw())
        delay = min(2 * delay, LONGEST_DELAY)
