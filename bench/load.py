"""A process that holds all recipients and senders, so that the load takes a single core and the server has its own.

    python -m bench.load '{"recipients": 100, "senders": 64, "max_batch": 256}'

Writes its `port`, then runs the commands of `Load`.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from bench.control import RunFailed, answer_commands, arguments, run, until
from bench.recipients import Cut, Hanging, Recipient, Recipients
from bench.registering import Notices, Seat, register
from bench.senders import Arrivals, Senders
from bench.timing import Timing
from protocol.signing import encode_secret

STRANGER: Final = Seat("sender-0-00000000", "0" * 43)  # for rivals without `Register`; as long as a seat of the server

Told = Mapping[str, Any]


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """The number of recipients and senders of each kind. The `cut` recipients get the host name `slow-N.test`."""

    recipients: int = 0
    hanging: int = 0
    cut: int = 0
    senders: int = 0
    max_batch: int = 1
    ordered: bool = True


class Load:
    """The commands of this process. After any problem of a recipient or sender, they raise `RunFailed`."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        members = [Recipient() for _ in range(parameters.recipients)]
        members += [Hanging() for _ in range(parameters.hanging)]
        members += [Cut() for _ in range(parameters.cut)]
        self.recipients = Recipients(members, ordered=parameters.ordered)
        self.senders = Senders()
        self.port = 0
        self._arrived_before = 0  # notices

    async def register(self, url: str, at_once: int, close: bool) -> Told:
        """Register recipients, then senders, and wait until each recipient has received all notices since it joined."""
        everybody = [self._recipient_params(number) for number in range(len(self.recipients.members))]
        seats = await register(url, everybody, at_once=at_once, close=close)
        sending = [{"name": f"Sender {number}"} for number in range(self.parameters.senders)]
        senders = await register(url, sending, at_once=at_once)
        newest = max(seat.seq for seat in seats + senders)
        notices = Notices(zip(self.recipients.members, seats, strict=True), newest)
        await self._until(notices.have_arrived)
        self.recipients.problems += notices.problems()
        await self.senders.connect(_port(url), senders)
        self._arrived_before = self.recipients.deliveries
        return {}

    async def aim(self, url: str) -> Told:
        """Connect the senders to a rival, without registration."""
        await self.senders.connect(_port(url), [STRANGER] * self.parameters.senders)
        return {}

    async def loop_on_answer(self) -> Told:
        """Start the senders; each sends again when it has the response."""
        self.senders.loop_on_answer()
        return {}

    async def loop_on_arrival(self) -> Told:
        """Start the senders; each sends again when all recipients have its message."""
        arrivals = Arrivals(self.parameters.recipients)
        self.recipients.on_arrival = arrivals.arrived
        self.senders.loop_on_arrival(arrivals)
        return {}

    async def pace(self, per_second: float) -> Told:
        """Start the senders, with `per_second` messages a second in total."""
        self.senders.pace(per_second)
        return {}

    async def count(self) -> Told:
        """Return the counts so far, and the time in seconds (`time.monotonic`)."""
        self._see_that_all_is_well()
        return {
            "at": time.monotonic(),
            "posts": self.recipients.posts,
            "deliveries": self.recipients.deliveries,
            "answers": self.senders.answered,
        }

    async def begin_timing(self) -> Told:
        """Start to measure latencies, of messages that are sent from now on. Return the counts."""
        self.recipients.timing = Timing()
        return await self.count()

    async def finish(self) -> Told:
        """Stop the senders, wait until all messages are acknowledged and delivered, and return the latencies."""
        self.senders.stop()
        await self._until(self._has_all)
        if self.recipients.timing is None:
            raise RunFailed("begin_timing was not called")
        return self.recipients.timing.percentiles()

    def _has_all(self) -> bool:
        due = self._arrived_before + self.senders.sent * self.parameters.recipients
        return self.senders.answered >= self.senders.sent and self.recipients.deliveries >= due

    async def _until(self, condition: Callable[[], bool]) -> None:
        def is_so() -> bool:
            self._see_that_all_is_well()
            return condition()

        await until(is_so)

    def _recipient_params(self, number: int) -> Told:
        member = self.recipients.members[number]
        host = f"slow-{number}.test" if isinstance(member, Cut) else "127.0.0.1"
        return {
            "name": f"Recipient {number}",
            "callback": f"http://{host}:{self.port}/{number}",
            "max_batch": self.parameters.max_batch,
            "secret": encode_secret(member.key),
        }

    def _see_that_all_is_well(self) -> None:
        problems = self.recipients.problems + self.senders.problems
        if problems:
            raise RunFailed(f"{len(problems)} problems, the first: {problems[0]}")


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].partition("/")[0])


async def main() -> None:
    """Run the commands of the harness."""
    gc.disable()  # the process creates objects by the hundred thousand, and they have no reference cycles
    load = Load(arguments(Parameters))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: load.recipients.problems.append(str(context)))
    load.port = await load.recipients.listen()
    await answer_commands(
        {"port": load.port},
        register=load.register,
        aim=load.aim,
        loop_on_answer=load.loop_on_answer,
        loop_on_arrival=load.loop_on_arrival,
        pace=load.pace,
        count=load.count,
        begin_timing=load.begin_timing,
        finish=load.finish,
    )


if __name__ == "__main__":
    run(main())
