"""The crash test as a part of the suite, and the proof that it can fail."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from tests.crash.history import History, Record, Rule, check
from tests.crash.plan import Aim, Round, make_plan
from tests.crash.recording import Line, Recording, Took
from tests.crash.run import CrashRun, Outcome

pytestmark = pytest.mark.crash

ROUNDS = int(os.environ.get("RINGBACK_CRASH_ROUNDS", "10"))
SEED = int(os.environ.get("RINGBACK_CRASH_SEED", "7"))


@dataclass
class Played:
    """A run that is over, and where its files are."""

    plan: list[Round]
    outcome: Outcome
    directory: Path

    def told(self) -> str:
        return "\n".join([f"seed {SEED}, {ROUNDS} rounds, files in {self.directory}", *self.outcome.lines()[:60]])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    directory = tmp_path_factory.mktemp("crash")
    plan = make_plan(SEED, ROUNDS)
    return Played(plan, asyncio.run(CrashRun(plan, SEED, directory).run()), directory)


def test_nothing_is_lost_and_nothing_out_of_order_whatever_is_killed(played: Played) -> None:
    assert played.outcome.is_good, played.told()


def test_what_was_killed_was_at_work(played: Played) -> None:
    """The run waits for all of this before it kills; only the repeats follow from cuts, of which each makes some."""
    figures = played.outcome.figures
    assert len(figures.kills) == ROUNDS
    in_rush = [kill for kill, planned in zip(figures.kills, played.plan, strict=True) if planned.aim is Aim.RUSH]
    assert in_rush
    assert all(kill.in_flight for kill in in_rush), played.told()
    assert all(any(kill.behind) for kill in in_rush), played.told()
    assert figures.repeats, played.told()  # acknowledgements were lost, by kills and by cuts
    assert figures.sends - figures.answered >= ROUNDS, played.told()


def test_a_server_that_forgets_is_found_out(tmp_path: Path) -> None:
    plan = [Round(faults=(), kill_at=0.2)]
    outcome = asyncio.run(CrashRun(plan, SEED, tmp_path, store="memory:", recipients=4).run())
    assert not outcome.is_good
    assert "does not know this client" in "\n".join(outcome.lines())


# The recording of a run that was good, with one line changed.

Tampering = Callable[[list[Line], int], None]


def remove(lines: list[Line], index: int) -> None:
    del lines[index]


def change(lines: list[Line], index: int) -> None:
    record = taken(lines[index])
    lines[index] = Took(msgspec.structs.replace(record, text=f"{record.text}!"))


def move_behind_the_next(lines: list[Line], index: int) -> None:
    lines[index], lines[index + 1] = lines[index + 1], lines[index]


def give_to_another_log(lines: list[Line], index: int) -> None:
    lines[index] = Took(msgspec.structs.replace(taken(lines[index]), epoch="another"))


@pytest.mark.parametrize(
    ("tamper", "rules"),
    [
        (remove, {Rule.LOST, Rule.OUT_OF_ORDER}),
        (change, {Rule.INVENTED, Rule.TWO_BODIES}),
        (move_behind_the_next, {Rule.OUT_OF_ORDER}),
        (give_to_another_log, {Rule.EPOCH, Rule.TWO_BODIES}),
    ],
)
def test_one_line_that_is_not_as_it_was_is_found(
    played: Played, tmp_path: Path, tamper: Tampering, rules: set[Rule]
) -> None:
    history = played.outcome.history
    assert history is not None
    assert check(with_recording(history, recording_of(played, tmp_path, tamper=None))) == []
    broken = with_recording(history, recording_of(played, tmp_path, tamper=tamper))
    assert {violation.rule for violation in check(broken)} == rules


def test_one_answer_that_was_not_kept_is_found(played: Played) -> None:
    history = played.outcome.history
    assert history is not None
    assert history.log is not None
    last = history.log[-1]
    recipients = [
        replace(recipient, arrivals=[arrival for arrival in recipient.arrivals if arrival != last])
        for recipient in history.recipients
    ]
    forgotten = replace(history, log=history.log[:-1], recipients=recipients)
    assert {violation.rule for violation in check(forgotten)} == {Rule.LOST}


def recording_of(played: Played, directory: Path, *, tamper: Tampering | None) -> Recording:
    """Read the recording of the last recipient, with one line of it tampered with: a message that came only once."""
    source = played.directory / "recipient-11.jsonl"
    decoder = msgspec.json.Decoder(Line)
    lines: list[Line] = [decoder.decode(line) for line in source.read_bytes().splitlines()]
    if tamper is not None:
        tamper(lines, middle_of_the_unrepeated(lines))
    copy = directory / source.name
    copy.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    recording = Recording(copy, {})
    recording.catch_up()
    return recording


def with_recording(history: History, recording: Recording) -> History:
    others = history.recipients[:-1]
    return replace(history, recipients=[*others, replace(history.recipients[-1], arrivals=recording.arrivals)])


def middle_of_the_unrepeated(lines: list[Line]) -> int:
    """Find a message that came only once, as did the one after it."""
    times = Counter(line.record.seq for line in lines if isinstance(line, Took) and not line.record.is_system)
    found = [
        index
        for index, (line, after) in enumerate(pairwise(lines))
        if isinstance(line, Took) and isinstance(after, Took) and times[line.record.seq] == times[after.record.seq] == 1
    ]
    return found[len(found) // 2]


def taken(line: Line) -> Record:
    assert isinstance(line, Took)
    return line.record
