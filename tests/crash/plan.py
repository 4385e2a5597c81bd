"""What goes wrong and when, made from a seed: the same seed gives the same plan."""

import random
from dataclasses import dataclass
from enum import Enum
from typing import Final

RECIPIENTS: Final = 12
# Seconds between a server that is ready and its end. In a short round it saves no cursors (it does so every second):
# were there only these, it would be busy with the same old messages all the time, and lose new ones unseen.
SHORT_ROUND, LONG_ROUND = (0.05, 0.8), (1.05, 1.8)
LONG_ROUNDS: Final = 0.4
TERMINATIONS: Final = 0.15


@dataclass(frozen=True, slots=True)
class Crash:
    """Kill a recipient `at` seconds into the round, and bring it back with its token `down` seconds later."""

    recipient: int
    at: float
    down: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Stop a recipient where it stands, and let it go on `seconds` later."""

    recipient: int
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Let a recipient cut the connection instead of answering, the next time or two that it is rung with messages.

    `taken`: after it has taken them all; else after it has taken none of them, or only the first few.
    """

    recipient: int
    at: float
    taken: bool


Fault = Crash | Hold | Cut


class Aim(Enum):
    """The moment at which the server is killed."""

    ANY = "any moment"
    ANSWER = "the moment of an answer"  # when a server that answers before it has stored has something to lose
    RUSH = "while a send is in flight, after all have begun to send something, and while a recipient is behind"


@dataclass(frozen=True, slots=True)
class Round:
    """One kill -9 of the server, and what else happens meanwhile. The faults may last longer than the round.

    `kill_at`: so many seconds after it was ready; as `aim` says perhaps a little later. `rush`: the seconds of a rush.
    `terminate_at`: before that, at so many seconds, it is asked to end (SIGTERM) and started again.
    `start_kills`: when it is started after the kill, it is killed once more after so many seconds, ready or not.
    """

    faults: tuple[Fault, ...]
    kill_at: float
    aim: Aim = Aim.ANY
    rush: float = 0.0
    terminate_at: float | None = None
    start_kills: tuple[float, ...] = ()


def make_plan(seed: int, rounds: int) -> list[Round]:
    """Draw so many rounds."""
    draw = random.Random(seed)
    return [_round(draw) for _ in range(rounds)]


def _round(draw: random.Random) -> Round:
    kill_at = draw.uniform(*(LONG_ROUND if draw.random() < LONG_ROUNDS else SHORT_ROUND))
    faults = [*_crashes(draw, kill_at), *_holds(draw, kill_at), *_cuts(draw, kill_at)]
    return Round(
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        kill_at=kill_at,
        aim=draw.choice((Aim.ANY, Aim.ANSWER, Aim.RUSH, Aim.RUSH)),
        rush=draw.uniform(0.0, 0.03),
        terminate_at=draw.uniform(*SHORT_ROUND) if draw.random() < TERMINATIONS else None,
        start_kills=tuple(draw.uniform(0.0, 0.6) for _ in range(draw.choice((0, 0, 0, 0, 0, 1, 2)))),
    )


def _crashes(draw: random.Random, end: float) -> list[Fault]:
    count = draw.choice((0, 0, 1, 1))  # a new process takes half a second of a processor
    return [Crash(draw.randrange(RECIPIENTS), draw.uniform(0, end), draw.uniform(0, 0.6)) for _ in range(count)]


def _holds(draw: random.Random, end: float) -> list[Fault]:
    count = draw.choice((0, 1, 1, 2))
    return [Hold(draw.randrange(RECIPIENTS), draw.uniform(0, end), draw.uniform(0.05, 1.2)) for _ in range(count)]


def _cuts(draw: random.Random, end: float) -> list[Fault]:
    count = draw.randrange(9)
    return [Cut(draw.randrange(RECIPIENTS), draw.uniform(0, end), draw.random() < 0.5) for _ in range(count)]
