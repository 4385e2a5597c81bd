"""Those who speak while everything falls over: senders with numbered texts, and guests who come and go."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Final

from client.errors import CallRefused, ServerUnreachable
from client.session.rpc import ServerRpc
from protocol.messages import (
    RegisterParams,
    RegisterResult,
    RenameParams,
    RenameResult,
    SendMessageParams,
    SendMessageResult,
    UnregisterParams,
    UnregisterResult,
)
from protocol.methods import MAX_TEXT_CHARS, REGISTER, RENAME, SEND_MESSAGE, UNREGISTER
from tests.crash.calls import RETRYABLE, answer_of
from tests.crash.history import Send

PAUSE_SECONDS: Final = 0.05  # the mean between two messages of one sender, when nobody is behind
# A recipient that is further behind lets the senders slow down in proportion: one that takes a message at a time, and
# falls back with each kill, would be left behind for good on a slow machine.
BACKLOG: Final = 100
GUEST_PAUSE_SECONDS: Final = 0.15
ANSWER_SECONDS: Final = 300.0  # a server that comes back every second, and has not answered for so long, never will

# What a sender does next, with these weights.
ACTS: Final = {"until answered": 70, "once": 22, "again": 8}


class Traffic:
    """What was sent, by all together.

    `backlog` is how far the last recipient is behind.
    """

    def __init__(self) -> None:
        self.sends: list[Send] = []
        self.members: set[str] = set()
        self.epochs: set[str] = set()
        self.newest = 0
        self.backlog = 0
        self.tries = 0
        self.is_over = False
        self._unstored: set[str] = set()  # texts whose first storing is not answered yet
        self._asked: set[str] = set()  # texts for which a request is under way
        self._hurry = asyncio.Event()
        self._begun = asyncio.Event()
        self._at_answer: Callable[[], None] | None = None
        self._acted = asyncio.Event()

    @property
    def in_flight(self) -> set[str]:
        """The texts that are asked to be stored right now, and for which there is no answer yet."""
        return self._unstored & self._asked

    async def when_in_flight(self, seconds: float, act: Callable[[], None]) -> None:
        """Do it `seconds` after something is in flight, while something still is; sooner if answers are faster."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                while not self.in_flight:
                    self._begun.clear()
                    await self._begun.wait()
                await asyncio.sleep(seconds)
                if self.in_flight:
                    return act()
                seconds /= 2

    async def at_next_answer(self, act: Callable[[], None]) -> None:
        """Do it in the very moment in which the next answer is here, before anything else happens."""
        self._at_answer, self._acted = act, asyncio.Event()
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._acted.wait()

    def answered(self, text: str) -> None:
        """Hear that an answer is here."""
        self._unstored.discard(text)
        act, self._at_answer = self._at_answer, None
        if act is not None:
            act()
            self._acted.set()

    def hurry(self) -> None:
        """End all pauses: everybody has something to say now."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    def finish(self) -> None:
        """Let everybody finish what they are at."""
        self.is_over = True
        self.hurry()

    async def pause(self, draw: random.Random, mean: float) -> None:
        """Wait a random time, or until there is a hurry."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(draw.expovariate(1 / mean)):
                await self._hurry.wait()

    @contextlib.contextmanager
    def flying(self, text: str) -> Iterator[None]:
        """Count a text as not stored yet."""
        self._unstored.add(text)
        try:
            yield
        finally:
            self._unstored.discard(text)

    @contextlib.contextmanager
    def asking(self, text: str) -> Iterator[None]:
        """Count one try to store a text."""
        self.tries += 1
        self._asked.add(text)
        self._begun.set()
        try:
            yield
        finally:
            self._asked.discard(text)

    def note(self, send: Send) -> None:
        """Keep a send that has come to its end, answered or not."""
        self.sends.append(send)
        self.newest = max(self.newest, send.seq or 0)


class Speaker:
    """A member that can send, known by its token."""

    def __init__(self, traffic: Traffic, rpc: ServerRpc, member_id: str, token: str) -> None:
        self.id = member_id
        self._traffic = traffic
        self._rpc = rpc
        self._token = token

    async def say(self, text: str, client_msg_id: str | None) -> None:
        """With an id, try until it is answered; without one, once."""
        began = time.monotonic()
        with self._traffic.flying(text):
            if client_msg_id is None:
                seq = await self._try_once(text)
            else:
                seq = await self._until_answered(text, client_msg_id)
        ended = None if seq is None else time.monotonic()
        self._traffic.note(Send(self.id, client_msg_id, text, began, ended, seq))

    async def say_again(self, send: Send) -> None:
        """Repeat what was answered before; it is to be the same answer, and nothing new in the log."""
        assert send.client_msg_id is not None
        began = time.monotonic()
        seq = await self._until_answered(send.text, send.client_msg_id)
        self._traffic.note(Send(self.id, send.client_msg_id, send.text, began, time.monotonic(), seq))

    async def _until_answered(self, text: str, client_msg_id: str) -> int:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer_of(lambda: self._call(text, client_msg_id))

    async def _try_once(self, text: str) -> int | None:
        try:
            return await self._call(text, None)
        except ServerUnreachable:
            return None
        except CallRefused as error:
            if error.code not in RETRYABLE:
                raise
            return None

    async def _call(self, text: str, client_msg_id: str | None) -> int:
        params = SendMessageParams(user_id=self.id, text=text, client_msg_id=client_msg_id)
        with self._traffic.asking(text):
            result = await self._rpc.call(SEND_MESSAGE, params, SendMessageResult, self._token)
            self._traffic.answered(text)
        return result.seq


async def send_until_over(traffic: Traffic, speaker: Speaker, draw: random.Random) -> None:
    """Send numbered texts as fast as a dozen recipients on a small machine can follow."""
    number = 0
    answered: list[Send] = []
    while not traffic.is_over:
        act = draw.choices(list(ACTS), list(ACTS.values()))[0]
        if act == "again" and answered:
            await speaker.say_again(draw.choice(answered))
        else:
            number += 1
            await speaker.say(numbered(speaker.id, number, draw), None if act == "once" else f"{speaker.id}-{number}")
            if traffic.sends[-1].client_msg_id is not None:
                answered = [*answered[-99:], traffic.sends[-1]]
        await traffic.pause(draw, PAUSE_SECONDS * (1 + traffic.backlog / BACKLOG))


def numbered(who: str, number: int, draw: random.Random) -> str:
    """Make a text that nobody else sends; a few are as long as texts may be."""
    text = f"{who} says {number} – “{draw.getrandbits(32):08x}” 💬"
    return text if draw.random() > 0.01 else text + "€" * (MAX_TEXT_CHARS - len(text))


async def let_guests_in(traffic: Traffic, rpc: ServerRpc, draw: random.Random) -> None:
    """Let one guest after the other come, speak, change its name, go, and come and go again.

    A guest whose call was not answered is left as it is, here or away: notices and members have to agree all the same.
    """
    number = 0
    while not traffic.is_over:
        number += 1
        try:
            await _be_guest(traffic, rpc, f"guest-{number}", draw)
        except ServerUnreachable:
            pass
        except CallRefused as error:
            if error.code not in RETRYABLE:
                raise
        await traffic.pause(draw, GUEST_PAUSE_SECONDS)


async def _be_guest(traffic: Traffic, rpc: ServerRpc, name: str, draw: random.Random) -> None:
    traffic.members.add(name)
    result = await rpc.call(REGISTER, RegisterParams(id=name, name=name), RegisterResult)
    traffic.epochs.add(result.epoch)
    await traffic.pause(draw, GUEST_PAUSE_SECONDS)
    await Speaker(traffic, rpc, name, result.token).say(f"{name} was here", None)
    await rpc.call(RENAME, RenameParams(name=f"{name} again"), RenameResult, result.token)
    for _ in range(2):
        await traffic.pause(draw, GUEST_PAUSE_SECONDS)
        await rpc.call(UNREGISTER, UnregisterParams(id=name), UnregisterResult, result.token)
        await traffic.pause(draw, GUEST_PAUSE_SECONDS)
        await rpc.call(REGISTER, RegisterParams(name=name), RegisterResult, result.token)
