"""The rows of the benchmark: scenario, rival and bar."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.crowds import be_idle, register_at_once, soak
from bench.scenarios import (
    Scenario,
    fan_out,
    half_rate,
    only_send,
    rival_fan_out,
    rival_only_send,
    rival_trickle,
    trickle,
    trickle_among_the_bad,
)

RATE: Final = "deliveries_per_second"


@dataclass(frozen=True)
class Bar:
    """The limit for the ratio to the rival, or, in rows without a rival, for the figure itself.

    `limit` is None for a figure that is only reported.
    """

    figure: str
    unit: str
    limit: float | None = None
    at_least: bool = False

    def __str__(self) -> str:
        return "" if self.limit is None else f"{'≥' if self.at_least else '≤'} {self.limit:g}"

    def is_met(self, value: float) -> bool | None:
        """Return true if a ratio or figure is within the limit; None without a limit."""
        if self.limit is None:
            return None
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Row:
    """A scenario, and its rival, if any. With `once` it runs in a single round, because it takes long."""

    scenario: str
    ours: Scenario
    bars: tuple[Bar, ...]
    rival: Scenario | None = None
    once: bool = False


ROWS: Final[Mapping[str, Row]] = {
    "1": Row(
        "100 recipients, max_batch 1, 4 senders, against raw",
        partial(fan_out, max_batch=1),
        (Bar("posts_per_second", "POSTs/s", 0.65, at_least=True),),
        partial(rival_fan_out, rival="raw"),
    ),
    "2": Row(
        "100 recipients, max_batch 256, 64 senders, against plain",
        fan_out,
        (Bar(RATE, "deliveries/s", 25, at_least=True),),
        partial(rival_fan_out, rival="plain"),
    ),
    "3": Row(
        "1,000 recipients, max_batch 256, 64 senders, against row 2",
        partial(fan_out, recipients=1000),
        (Bar(RATE, "deliveries/s", 0.9, at_least=True),),
        fan_out,
    ),
    "4": Row(
        "100 recipients, 20 messages/s, against plain",
        trickle,
        (Bar("p50_ms", "ms p50", 0.35), Bar("p99_ms", "ms p99", 0.35)),
        rival_trickle,
    ),
    "5": Row(
        "row 4 with 10 more that hang and 10 that are cut, against row 4",
        trickle_among_the_bad,
        (Bar("p99_ms", "ms p99", 1.2),),
        trickle,
    ),
    "5b": Row(
        "100 recipients at half of the rate of row 2",
        half_rate,
        (Bar("p50_ms", "ms p50"), Bar("p99_ms", "ms p99", 100)),
    ),
    "6": Row(
        "SendMessage, 64 senders, nobody listens, against a bare handler",
        only_send,
        (Bar("answers_per_second", "answers/s", 0.35, at_least=True),),
        rival_only_send,
    ),
    "7": Row(
        "1,000 clients register at once: until each has its answer and all notices",
        register_at_once,
        (Bar("seconds", "s", 10), Bar("errors", "errors", 0)),
    ),
    "8": Row(
        "5,000 recipients, idle: the server's memory for each",
        be_idle,
        (Bar("kib_per_recipient", "KiB", 24),),
        once=True,
    ),
    "9": Row(
        "a quarter of the rate of row 2 for long: the first minute against the last",
        soak,
        (
            Bar("first_to_last", "CPU per delivery, first / last", 0.95, at_least=True),
            Bar("growth", "memory, last / first", 1.1),
        ),
        once=True,
    ),
}
