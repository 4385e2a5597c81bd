"""The delivery to a recipient: carries out the steps of its outbox and reports their results to it.

The delivery is driven by callbacks: a response, an alarm, or a new entry in the log. It creates a task only off the hot
path: to read a page of the log that is no longer in memory, and to make the member away.
"""

import asyncio
import functools
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from protocol.errors import ContractError
from protocol.signing import Signer
from server import logs
from server.callbacks.callback import Callback, Done
from server.callbacks.connector import CallbackError
from server.callbacks.exchange import Failed, HttpResponse
from server.chat.members import Member
from server.clock import Alarm, Clock
from server.delivery.outbox import Fetch, Outbox, Post, Probe, Wait
from server.delivery.responses import CONTENT_TOO_LARGE, Accepted, Gone, Outcome, Refused, accepts_all, judge_response
from server.delivery.states import REFUSALS_BEFORE_PASSING, DeliveryState, Reachability
from server.delivery.webhook import Batches, Webhook, make_challenge, make_typing
from server.message_log.base import LogError, MessageLog
from server.message_log.entry import Entry

PAUSE_AFTER_TROUBLE_SECONDS: Final = 1.0
NEVER: Final = float("inf")
NOTHING: Final = Webhook("", b"")

OnGone = Callable[["Delivery", bool], Awaitable[None]]


def new_challenge() -> Webhook:
    """Return a `VerifyCallback` request with 128 random bits."""
    return make_challenge(secrets.token_hex(16))


def _spread() -> float:
    return random.random()  # noqa: S311 (spreads retries; guards nothing)


@dataclass(slots=True)
class DeliveryContext:
    """The state that all deliveries share. A new entry wakes those in `idle`; a busy delivery finds it later."""

    log: MessageLog
    clock: Clock
    reachability: Reachability = field(default_factory=Reachability)
    idle: "set[Delivery]" = field(default_factory=set)
    batches: Batches = field(init=False)

    def __post_init__(self) -> None:
        self.batches = Batches(self.log.epoch)


class Delivery:
    """Delivers the log to a recipient, with at most one POST in flight."""

    __slots__ = (
        "_alarm", "_alarm_at", "_busy", "_callback", "_clock", "_context", "_in_flight", "_log", "_on_gone", "_refusal",
        "_signer", "_stopped", "_stopping", "_task", "member", "outbox",
    )  # fmt: skip

    def __init__(
        self, member: Member, outbox: Outbox, callback: Callback, context: DeliveryContext, on_gone: OnGone
    ) -> None:
        """Await `on_gone` as (delivery, evicted) when the recipient has to become away: after 410, or evicted."""
        self.member = member
        self.outbox = outbox
        self._callback = callback
        self._context = context
        self._log = context.log
        self._clock = context.clock
        self._on_gone = on_gone
        self._signer = Signer(member.secret)
        self._in_flight = NOTHING
        self._refusal = ""  # the HTTP status of the last refusal
        self._busy = False  # a POST or a task is running; its end calls `wake`
        self._stopping = False
        self._stopped = asyncio.Event()  # the delivery is stopping, and the last POST or task has ended
        self._alarm: Alarm | None = None
        self._alarm_at = NEVER
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Delivery {self.outbox!r} by {self._callback!r}>"

    def start(self) -> None:
        """Start to deliver, in the next iteration of the loop."""
        self._context.reachability.reached(self.member.id)
        # Later, so that the caller of `start` still sees the cursor at which the delivery begins.
        asyncio.get_running_loop().call_soon(self.wake)

    def wake(self) -> None:
        """Run the next steps of the outbox, unless the delivery is busy or stopping."""
        if self._busy or self._stopping:
            return
        try:
            self._advance(self._clock.monotonic())
        except Exception:
            self._recover()

    def retry_now(self) -> None:
        """End a wait of the retry schedule and try at once."""
        self.outbox.retry_now(self._clock.monotonic())
        self.wake()

    def show_typing(self, notification: bytes) -> None:
        """Post a typing notification if the delivery is idle. The response does not matter."""
        if self._busy or self not in self._context.idle:
            return
        self._post(make_typing(secrets.token_hex(16), notification), self._typing_sent)

    def cut(self) -> None:
        """Stop at once and abort the POST in flight; its messages stay unacknowledged."""
        self._stop()
        self._context.reachability.left(self.member.id)
        self._callback.close()
        if self._task is not None and self._task is not asyncio.current_task():  # not from within `_on_gone`
            self._task.cancel()

    async def finish(self) -> None:
        """Stop after the POST or task that is running."""
        self._stop()
        if self._busy:
            await self._stopped.wait()

    def _stop(self) -> None:
        self._stopping = True
        self._context.idle.discard(self)
        if self._alarm is not None:
            self._alarm.cancel()

    def _recover(self) -> None:
        """Log an unexpected exception and resume after a pause, so that a bug does not end the delivery."""
        logs.server.exception("Unexpected error in the delivery to %s; it is retried", self.member.id)
        if self.outbox.state is DeliveryState.IN_FLIGHT:
            self.outbox.failed(self._clock.monotonic(), _spread())
        self._in_flight = NOTHING
        self._busy = self._task is not None
        if self._stopping:
            self._stopped.set()
        else:
            self._wake_at(self._clock.monotonic() + PAUSE_AFTER_TROUBLE_SECONDS)

    def _advance(self, now: float) -> None:
        """Run the steps of the outbox until a step has to wait for its result."""
        while True:
            newest = self._log.newest
            match step := self.outbox.step(newest, now):
                case Fetch():
                    entries = self._log.recent_after(step.after, step.limit)
                    if entries is None:
                        self._run_task(functools.partial(self._read, step))
                        return
                    self.outbox.loaded(entries, newest)
                case Post():
                    self._post(self._context.batches.of(step.entries), self._posted)
                    return
                case Probe():
                    self._post(new_challenge(), self._probed)
                    return
                case Wait():
                    self._wait(step)
                    return

    def _wait(self, step: Wait) -> None:
        if step.idle:
            self._context.idle.add(self)
            # An alarm that fires too early costs a call of `step`; a new alarm each time costs a timer per message.
            if self._alarm_at <= step.until:
                return
        self._wake_at(step.until)

    def _wake_at(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = self._clock.call_at(when, self._woken)

    def _woken(self) -> None:
        self._alarm = None
        self._alarm_at = NEVER
        self.wake()

    def _post(self, webhook: Webhook, done: Done) -> None:
        self._busy = True
        self._in_flight = webhook
        headers = webhook.headers(self._signer, int(self._clock.unix()))
        self._callback.post(headers, webhook.body, done)

    def _posted(self, result: HttpResponse | CallbackError) -> None:
        """Handle the result of a POST of messages. Fast path for the common case: the recipient took every message."""
        now, ids = self._clock.monotonic(), self._in_flight.ids
        if self._stopping or self.outbox.failures or isinstance(result, CallbackError) or not accepts_all(result, ids):
            self._ended(result, self._on_response)
            return
        try:
            self.outbox.responded(len(ids), None, now, 0.0)
            self._in_flight = NOTHING  # an idle delivery must not keep a body of up to half a mebibyte
            self._busy = False
            self._advance(now)
        except Exception:
            self._recover()

    def _probed(self, result: HttpResponse | CallbackError) -> None:
        self._ended(result, self._on_probe)

    def _ended(self, result: HttpResponse | CallbackError, note: Callable[[Outcome], None]) -> None:
        try:
            outcome = self._judge(result)
            if not isinstance(outcome, Accepted):
                self._callback.drop()  # the next POST looks the name up again: its address may have changed
            note(outcome)
        except Exception:
            self._recover()
        else:
            self._end()

    def _typing_sent(self, result: HttpResponse | CallbackError) -> None:
        if isinstance(result, CallbackError):
            logs.client.debug("Could not send a typing notification to %s: %s", self.member.id, result)
        self._end()

    def _end(self) -> None:
        """Mark the POST or task as ended, and continue unless the delivery is stopping."""
        self._in_flight = NOTHING
        self._busy = self._task is not None
        if self._stopping:
            self._stopped.set()
        else:
            self.wake()

    def _judge(self, result: HttpResponse | CallbackError) -> Outcome:
        if isinstance(result, CallbackError):
            return result.failure
        return judge_response(result, self._in_flight.ids, self._clock.unix())

    def _on_response(self, outcome: Outcome) -> None:
        """Handle the outcome of a POST of messages."""
        match outcome:
            case Accepted(taken, refusal):
                self._on_success()
                refused = self.outbox.responded(taken, refusal, self._clock.monotonic(), _spread())
                self._log_refused(refused, f"error {refusal}")
            case Refused(status):
                self._on_refusal(status)
            case Failed():
                self._on_failure(outcome)
            case Gone():
                self._leave(evicted=False)

    def _on_probe(self, outcome: Outcome) -> None:
        """Handle the outcome of a probe. An error response with the right id counts as a sign of life."""
        match outcome:
            case Accepted():
                self._on_success()
                self._log_refused(self.outbox.probed(self._clock.monotonic()), self._refusal)
            case Refused(status):
                self._on_failure(Failed("http", f"HTTP status {status}"))
            case Failed():
                self._on_failure(outcome)
            case Gone():
                self._leave(evicted=False)

    def _on_success(self) -> None:
        if self.outbox.failures:
            self._context.reachability.reached(self.member.id)

    def _on_refusal(self, status: int) -> None:
        """Handle a refusal of a whole request: halve the batch, down to the single message that is refused."""
        too_large = status == CONTENT_TOO_LARGE
        now = self._clock.monotonic()
        if self.outbox.narrow(now, too_large=too_large):
            return
        if too_large:
            self._on_success()
            self._log_refused(self.outbox.responded(0, status, now, _spread()), f"HTTP status {status}")
        else:
            self._refusal = f"HTTP status {status}"
            self._on_failure(Failed("http", self._refusal), self.outbox.refused)

    def _log_refused(self, refused: Entry | None, how: str) -> None:
        if refused is not None:
            logs.client.warning(
                "%s refused message %d %d times (%s); it is passed over unless the next message is refused as well",
                self.member.id, refused.seq, REFUSALS_BEFORE_PASSING, how,
            )  # fmt: skip

    def _on_failure(self, failure: Failed, note: Callable[[float, float], bool] | None = None) -> None:
        reachability = self._context.reachability
        was_suspect = reachability.suspect_own_network
        reachability.failed(self.member.id)
        now, spread, before = self._clock.monotonic(), _spread(), self.outbox.failures
        overdue = note(now, spread) if note else self.outbox.failed(now, spread, failure.retry_after)
        suspect = reachability.suspect_own_network
        if suspect and not was_suspect:
            logs.server.error("All recipients fail at once; this server's network may be down. Evictions are off")
        if self.outbox.failures == 1 and not before:
            told = "%s refuses a message, which is sent again (%s: %s)" if note else "%s cannot be reached (%s: %s)"
            logs.client.warning(told, self.member.id, failure.stage, failure.detail)
        if overdue and not suspect:
            self._leave(evicted=True)

    def _leave(self, *, evicted: bool) -> None:
        self.outbox.left()
        self._run_task(functools.partial(self._announce_gone, evicted))

    async def _announce_gone(self, evicted: bool) -> None:
        await self._on_gone(self, evicted)
        self._stop()

    async def _read(self, step: Fetch) -> None:
        newest = self._log.newest
        self.outbox.loaded(await self._log.read_after(step.after, step.limit), newest)

    def _run_task(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as a task, again after each error, until it succeeds or the delivery stops."""
        self._busy = True
        self._task = asyncio.create_task(self._do(work), name=f"delivery {self.member.id}")

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        trouble = ""
        while not self._stopping:
            try:
                await work()
                break
            except (LogError, ContractError) as error:
                if trouble != str(error):  # log it once, not for every try
                    trouble = str(error)
                    logs.server.error("Delivery to %s is paused, waiting for the log: %s", self.member.id, trouble)
            except Exception:
                # As in `_recover`.
                logs.server.exception("Unexpected error in the delivery to %s; it is retried", self.member.id)
            await self._clock.wait(self._stopped, self._clock.monotonic() + PAUSE_AFTER_TROUBLE_SECONDS)
        self._task = None
        self._end()
