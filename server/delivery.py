"""One recipient's delivery: asks its outbox what to do, does it, and reports what came of it."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from protocol.errors import ContractError
from protocol.messages import VerifyCallbackParams
from protocol.methods import RECIPIENT_HEADER, VERIFY_CALLBACK
from protocol.signing import signed_headers
from server import journal
from server.callbacks import Callback, CallbackError
from server.clock import Clock
from server.core.delivery_state import DeliveryState, Reachability
from server.core.entry import Entry
from server.core.members import Member
from server.core.outbox import Fetch, Outbox, Post, Probe, Wait
from server.core.reply import Answered, Failed, Gone, Outcome, Reply, judge_reply
from server.message_log.base import LogError, MessageLog

PAUSE_AFTER_TROUBLE_SECONDS: Final = 1.0

Farewell = Callable[["Delivery", bool], Awaitable[None]]


def new_challenge() -> str:
    """Make a challenge of 128 random bits."""
    return secrets.token_hex(16)


async def post_challenge(callback: Callback, member_id: str, secret: bytes, clock: Clock) -> tuple[Reply, str]:
    """Ring `VerifyCallback` once; gives the answer and the challenge. Raises `AddressNotAllowed`, `CallbackError`."""
    challenge = new_challenge()
    request = {
        "jsonrpc": "2.0",
        "method": VERIFY_CALLBACK,
        "params": VerifyCallbackParams(challenge),
        "id": challenge,
    }
    body = msgspec.json.encode(request)
    return await callback.post(body, callback_headers(secret, member_id, challenge, body, clock)), challenge


def callback_headers(secret: bytes, member_id: str, webhook_id: str, body: bytes, clock: Clock) -> dict[str, str]:
    """Give the headers of one attempt: the signature, and for whom it is."""
    return {**signed_headers(secret, webhook_id, int(clock.unix()), body), RECIPIENT_HEADER: member_id}


def _spread() -> float:
    return random.random()  # noqa: S311 (spreads retries; guards nothing)


class Delivery:
    """Follows the log for one recipient, in a task of its own. One POST is in flight at most."""

    def __init__(
        self,
        member: Member,
        outbox: Outbox,
        callback: Callback,
        *,
        log: MessageLog,
        clock: Clock,
        reachability: Reachability,
        farewell: Farewell,
    ) -> None:
        """`farewell` is awaited as (delivery, evicted) when the recipient has gone: by 410, or evicted."""
        self.member = member
        self.outbox = outbox
        self.is_idle = False
        self._callback = callback
        self._log = log
        self._clock = clock
        self._reachability = reachability
        self._farewell = farewell
        self._woken = asyncio.Event()
        self._typing: bytes | None = None
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Delivery {self.outbox!r} by {self._callback!r}>"

    def start(self) -> None:
        """Begin to deliver."""
        self._reachability.reached(self.member.id)
        self._task = asyncio.create_task(self._run(), name=f"delivery {self.member.id}")

    def wake(self) -> None:
        """Look again whether there is something to do."""
        self._woken.set()

    def retry_now(self) -> None:
        """Try at once, whatever the schedule says."""
        self.outbox.retry_now(self._clock.monotonic())
        self.wake()

    def show_typing(self, notification: bytes) -> None:
        """Tell that somebody is writing, if nothing else is to be told: it is dropped while a POST is in flight."""
        if self.is_idle:
            self._typing = notification
            self.wake()

    async def cut(self) -> None:
        """Stop at once; what is in flight is dropped, and counts as not taken."""
        self._reachability.left(self.member.id)
        if self._task is None or self._task is asyncio.current_task():
            return
        self._task.cancel()
        await asyncio.wait([self._task])

    async def finish(self) -> None:
        """Stop after what is in flight."""
        self._stopping = True
        self.wake()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        gone: bool | None = None
        trouble = ""
        while not self._stopping:
            try:
                if gone is None:
                    gone = await self._do_next()
                if gone is not None:
                    await self._farewell(self, gone)
                    return
                trouble = ""
            except (LogError, ContractError) as error:
                if trouble != str(error):  # it is told once, not for every try
                    trouble = str(error)
                    journal.server.error("The delivery to %s goes on when the log does: %s", self.member.id, trouble)
                await self._pause()
            except Exception:
                # A mistake of ours must not end one recipient's delivery for good, nor go by unseen.
                journal.server.exception("The delivery to %s stumbled", self.member.id)
                if self.outbox.state is DeliveryState.IN_FLIGHT:
                    self.outbox.failed(self._clock.monotonic(), _spread())
                await self._pause()

    async def _do_next(self) -> bool | None:
        """Take one step; gives whether it was an eviction when the recipient has gone, else None."""
        self._woken.clear()
        step = self.outbox.step(self._log.newest, self._clock.monotonic())
        match step:
            case Fetch():
                newest = self._log.newest
                self.outbox.loaded(await self._log.read_after(step.after, step.limit), newest)
                await asyncio.sleep(0)  # a long run of what the recipient said itself must not hold up the others
            case Post():
                return self._note(await self._post(step.entries), step.entries)
            case Probe():
                return self._note_probe(await self._probe())
            case Wait():
                await self._wait(step)
        return None

    async def _wait(self, step: Wait) -> None:
        if step.idle and self._typing is not None:
            await self._post_typing(self._typing)
            return
        self.is_idle = step.idle
        try:
            await self._clock.wait(self._woken, step.until)
        finally:
            self.is_idle = False

    async def _post(self, entries: tuple[Entry, ...]) -> Outcome:
        requests = [entry.request for entry in entries]
        body = requests[0] if len(requests) == 1 else b"[" + b",".join(requests) + b"]"
        webhook_id = f"{self._log.epoch}-{entries[0].seq}-{entries[-1].seq}"
        headers = callback_headers(self.member.secret, self.member.id, webhook_id, body, self._clock)
        self._typing = None
        try:
            reply = await self._callback.post(body, headers)
        except CallbackError as error:
            return error.failure
        return judge_reply(reply, [entry.seq for entry in entries], self._clock.unix())

    async def _probe(self) -> Outcome:
        """See whether the recipient lives; an error with the right id is a sign of life, too."""
        try:
            reply, challenge = await post_challenge(
                self._callback, self.member.id, self.member.secret, self._clock
            )  # fmt: skip
        except CallbackError as error:
            return error.failure
        return judge_reply(reply, [challenge], self._clock.unix())

    async def _post_typing(self, notification: bytes) -> None:
        """Ring once; nothing depends on what becomes of it."""
        self._typing = None
        webhook_id = f"typing-{new_challenge()}"
        headers = callback_headers(self.member.secret, self.member.id, webhook_id, notification, self._clock)
        try:
            await self._callback.post(notification, headers)
        except CallbackError as error:
            journal.client.debug("%s was not told who is typing: %s", self.member.id, error)

    def _note(self, outcome: Outcome, entries: tuple[Entry, ...]) -> bool | None:
        match outcome:
            case Answered(taken, refusal):
                self._reachability.reached(self.member.id)
                passed = self.outbox.answered(taken, refusal, self._clock.monotonic(), _spread())
                if passed is not None:
                    journal.client.warning(
                        "%s refused message %d with error %d once too often; it is passed over",
                        self.member.id, passed.seq, refusal,
                    )  # fmt: skip
                return None
            case Failed():
                return self._note_failure(outcome)
            case Gone():
                return self._note_gone()

    def _note_probe(self, outcome: Outcome) -> bool | None:
        match outcome:
            case Answered():
                self._reachability.reached(self.member.id)
                self.outbox.probed(self._clock.monotonic())
                return None
            case Failed():
                return self._note_failure(outcome)
            case Gone():
                return self._note_gone()

    def _note_gone(self) -> bool:
        self.outbox.left()
        return False

    def _note_failure(self, failure: Failed) -> bool | None:
        was_suspect = self._reachability.suspect_own_network
        self._reachability.failed(self.member.id)
        overdue = self.outbox.failed(self._clock.monotonic(), _spread(), failure.retry_after)
        suspect = self._reachability.suspect_own_network
        if suspect and not was_suspect:
            journal.server.error("Every recipient fails at once: is this server's network down? Nobody is evicted")
        if self.outbox.failures == 1:
            journal.client.warning("%s cannot be reached (%s: %s)", self.member.id, failure.stage, failure.detail)
        if overdue and not suspect:
            self.outbox.left()
            return True
        return None

    async def _pause(self) -> None:
        """Wait a little; `finish` and `wake` end it early."""
        self._woken.clear()
        if not self._stopping:
            await self._clock.wait(self._woken, self._clock.monotonic() + PAUSE_AFTER_TROUBLE_SECONDS)
