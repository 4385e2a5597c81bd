"""One run: start everybody, let everything happen that the plan says, wait until all is quiet, and gather what was.

What a killed process has written, the system still has: this shows what crashes do, not what a power failure does.
"""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from client.errors import ClientError
from client.session.rpc import ServerRpc
from protocol.messages import GetHistoryResult, RegisterParams, RegisterResult
from protocol.methods import REGISTER
from tests.crash.figures import Figures, Kill
from tests.crash.history import History, Recipient, Record, Rule, Violation, check
from tests.crash.plan import RECIPIENTS, Aim, Crash, Fault, Hold, Round
from tests.crash.reading import read_log, read_members
from tests.crash.recording import record_of
from tests.crash.subjects import BrokenError, RecipientProcess, ServerProcess
from tests.crash.traffic import Speaker, Traffic, let_guests_in, send_until_over

SENDERS: Final = 4  # of their own, without a callback
SPEAKING_RECIPIENTS: Final = 4
STANDSTILL_SECONDS: Final = 120.0  # so long after the last progress of anybody, nothing more is to be expected
LOOK_SECONDS: Final = 0.05
# Long enough that nobody who is killed, held or cut off for a moment is taken for dead.
EVICT_AFTER_SECONDS: Final = 600
TOLD_EVERY: Final = 20  # rounds


@dataclass
class Outcome:
    """What came of a run. Without a history it did not come to its end; `broken` says why, among other things."""

    figures: Figures
    history: History | None = None
    violations: Sequence[Violation] = ()
    broken: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether the run proved what it is there to prove."""
        return self.history is not None and not self.violations and not self.broken

    def lines(self) -> list[str]:
        """Tell it all."""
        return [*self.figures.lines(), self._verdict(), *self.broken, *map(str, self.violations)]

    def _verdict(self) -> str:
        if self.history is None:
            return "the run broke off, nothing is proved"
        lost = sum(violation.rule is Rule.LOST for violation in self.violations)
        disorder = sum(violation.rule is Rule.OUT_OF_ORDER for violation in self.violations)
        others = len(self.violations) + len(self.broken) - lost - disorder
        return f"lost {lost}, out of order {disorder}, other violations {others}"


class CrashRun:
    """Everybody who takes part. Its files are left in `directory`: the store, the server's output, the recordings."""

    def __init__(
        self,
        plan: Sequence[Round],
        seed: int,
        directory: Path,
        store: str | None = None,
        recipients: int = RECIPIENTS,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._plan = plan
        self._seed = seed
        self._tell = tell
        store = store or f"sqlite:{directory / 'chat.db'}"
        options = ("--store", store, "--evict-after", str(EVICT_AFTER_SECONDS), "--rate", "0")
        self._server = ServerProcess(options, directory / "server.log")
        known: dict[Record, Record] = {}
        self._recipients = [
            RecipientProcess(number, self._server.url, directory, known) for number in range(recipients)
        ]
        self._traffic = Traffic()
        self._figures = Figures()
        self._speakers: list[Speaker] = []
        self._token = ""

    async def run(self) -> Outcome:
        """Play it; whatever happens, no process is left."""
        outcome = Outcome(self._figures)
        began = time.monotonic()
        try:
            async with aiohttp.ClientSession() as session:
                await self._play(ServerRpc(session, self._server.url), outcome)
        except* (BrokenError, ClientError, TimeoutError) as group:
            outcome.broken.extend(f"{type(error).__name__}: {error}" for error in _leaves(group))
        finally:
            await self._clean_up()
        for subject in (self._server, *self._recipients):
            outcome.broken.extend(subject.tracebacks)
        self._figures.seconds = time.monotonic() - began
        return outcome

    async def _play(self, rpc: ServerRpc, outcome: Outcome) -> None:
        await self._open(rpc)
        async with asyncio.TaskGroup() as group:
            for speaker in self._speakers:
                group.create_task(send_until_over(self._traffic, speaker, self._draw(speaker.id)))
            group.create_task(let_guests_in(self._traffic, rpc, self._draw("guests")))
            for number, planned in enumerate(self._plan, 1):
                await self._round(planned, group)
                if number % TOLD_EVERY == 0:
                    self._tell(f"round {number} of {len(self._plan)}: {self._traffic.newest} messages")
            self._traffic.finish()
        await self._settle()
        pages = await read_log(rpc, self._token)
        self._look()
        outcome.history = self._history(pages, await read_members(rpc, self._token))
        outcome.broken.extend(self._complaints())
        self._figures.starts = self._server.starts
        self._figures.tries = self._traffic.tries
        self._figures.count_recordings([recipient.recording for recipient in self._recipients])
        self._figures.count_messages(self._traffic.sends, [message for page in pages for message in page.messages])
        outcome.violations = check(outcome.history)

    def _draw(self, who: str) -> random.Random:
        return random.Random(f"{self._seed} {who}")

    # Before, between and after the faults.

    async def _open(self, rpc: ServerRpc) -> None:
        await self._server.start()
        async with asyncio.TaskGroup() as group:
            for recipient in self._recipients:
                group.create_task(recipient.enter())
        for number in range(SENDERS):
            name = f"sender-{number}"
            result = await rpc.call(REGISTER, RegisterParams(id=name, name=name), RegisterResult)
            self._speakers.append(Speaker(self._traffic, rpc, name, result.token))
            self._token = result.token
        speaking = self._recipients[:SPEAKING_RECIPIENTS]
        self._speakers.extend(Speaker(self._traffic, rpc, recipient.id, recipient.token) for recipient in speaking)
        self._traffic.members.update(speaker.id for speaker in self._speakers)
        self._traffic.members.update(recipient.id for recipient in self._recipients)

    async def _round(self, planned: Round, group: asyncio.TaskGroup) -> None:
        for fault in planned.faults:
            group.create_task(self._strike(fault))
        if planned.terminate_at is not None:
            await asyncio.sleep(planned.terminate_at)
            self._figures.terminations.append(await self._server.terminate())
            await self._server.start()
        await asyncio.sleep(planned.kill_at)
        async with contextlib.AsyncExitStack() as stack:
            await self._kill_as(planned, stack)
            await self._server.end()
            self._note_backlog()
        await self._speakers[0].say(f"nobody hears this, {len(self._figures.kills)}", None)
        for seconds in planned.start_kills:
            await self._server.start_and_kill(seconds)
            self._figures.kills_in_start += 1
        await self._server.start()

    async def _kill_as(self, planned: Round, stack: contextlib.AsyncExitStack) -> None:
        match planned.aim:
            case Aim.ANY:
                self._kill()
            case Aim.ANSWER:
                await self._traffic.at_next_answer(self._kill)
            case Aim.RUSH:
                # A recipient that is held has not taken what is answered meanwhile.
                number = len(self._figures.kills)
                await stack.enter_async_context(self._recipients[number % len(self._recipients)].held())
                await self._speakers[0].say(f"somebody hears this later, {number}", f"rush-{number}")
                self._traffic.hurry()
                await self._traffic.when_in_flight(planned.rush, self._kill)

    def _kill(self) -> None:
        # Nothing may be awaited here: the senders would have their answers by the time of the kill.
        self._figures.kills.append(Kill(time.time(), frozenset(self._traffic.in_flight)))
        self._server.send(signal.SIGKILL)

    def _note_backlog(self) -> None:
        """See how far the recipients are behind, with the server dead: what was on its way to them counts as taken."""
        behind = [max(0, self._traffic.newest - place) for place in self._places()]
        self._figures.kills[-1].behind.extend(behind)
        self._traffic.backlog = max(behind)
        self._figures.down_at_kills += sum(recipient.is_down for recipient in self._recipients)
        self._figures.held_at_kills += sum(recipient.is_held for recipient in self._recipients)

    async def _strike(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        await self._recipients[fault.recipient].suffer(fault)
        self._figures.crashes += isinstance(fault, Crash)
        self._figures.holds += isinstance(fault, Hold)

    async def _settle(self) -> None:
        """Say a last word, wait until everybody has it, and let the server read it all from its store once more."""
        began = time.monotonic()
        for recipient in self._recipients:
            recipient.see_alive()
        await self._speakers[0].say("this is the end", "the-end")
        await self._until_all_have(self._traffic.newest)
        self._figures.settle_seconds = time.monotonic() - began
        self._figures.terminations.append(await self._server.terminate())
        await self._server.start()

    async def _until_all_have(self, seq: int) -> None:
        """Return when they have, or when nobody gets on any more: the checker then says what is missing."""
        places, moved_at = self._places(), time.monotonic()
        while min(places) < seq and time.monotonic() < moved_at + STANDSTILL_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)  # what another process writes into its file cannot be awaited
            before, places = places, self._places()
            moved_at = moved_at if places == before else time.monotonic()

    def _places(self) -> list[int]:
        """See how far each recipient is."""
        self._look()
        return [recipient.recording.newest for recipient in self._recipients]

    def _look(self) -> None:
        for recipient in self._recipients:
            recipient.recording.catch_up()

    async def _clean_up(self) -> None:
        await asyncio.gather(self._server.clean_up(), *(recipient.clean_up() for recipient in self._recipients))

    def _history(self, pages: Sequence[GetHistoryResult], present: set[str]) -> History:
        log = [record_of(message, page.epoch) for page in pages for message in page.messages]
        gone = {record.sender_id for record in log if record.event == "leave"}
        registrations = [one for recipient in self._recipients for one in recipient.recording.registrations]
        return History(
            sends=self._traffic.sends,
            recipients=[
                Recipient(
                    id=recipient.id,
                    cursor=recipient.recording.registrations[0].cursor,
                    arrivals=recipient.recording.arrivals,
                    stayed=recipient.id not in gone,
                )
                for recipient in self._recipients
            ],
            members=self._traffic.members,
            log=log,
            present=present,
            epochs=self._traffic.epochs | {page.epoch for page in pages} | {one.epoch for one in registrations},
        )

    def _complaints(self) -> list[str]:
        """What the recipients themselves found wrong."""
        found = []
        for recipient in self._recipients:
            found += [f"{recipient.id} refused a call: {why}" for why in recipient.recording.refused]
            found += [
                f"{recipient.id} was told that {registered.lost} messages are gone"
                for registered in recipient.recording.registrations
                if registered.lost
            ]
        return found


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
