"""A participant without a server: what it is asked is written down, what it answers is set beforehand."""

import asyncio
from collections.abc import Callable, Iterable

from client.session.listener import ConnectionState, Listener
from client.session.participant import Participant
from protocol.messages import (
    ChatMessage,
    GetHistoryResult,
    ListMembersResult,
    Member,
    MemberName,
    ReceiveTypingParams,
    RegisterResult,
    SendMessageResult,
)


def a_message(seq: int, text: str = "hi", name: str = "Bob") -> ChatMessage:
    return ChatMessage(
        seq=seq,
        room="lobby",
        sender_id=name.lower(),
        sender_name=name,
        text=text,
        is_system=False,
        event=None,
        sent_at="2025-01-02T03:04:05.678Z",
    )


class FakeParticipant(Participant):
    """Answers at once; `refusal` is raised instead when it is set, `gate` is waited for when it is closed."""

    def __init__(self, listener: Listener, join_key: str | None) -> None:
        self.id = ""
        self.name = ""
        self.state = ConnectionState.NEW
        self.reason = None
        self.listener = listener
        self.join_key = join_key
        self.refusal: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.sent: list[tuple[str, str | None]] = []
        self.left = asyncio.Event()
        self.is_leaving = asyncio.Event()
        self.may_leave = asyncio.Event()
        self.may_leave.set()
        self.forgotten = self.is_away = False
        self.other_keys: tuple[str, ...] = ()
        self.recalled = ""
        self.remembered: str | None = None
        self.on_use: Callable[[], None] = lambda: None

    def recall(self, key: str, *, name: str = "", others: Iterable[str] = ()) -> str | None:
        self.recalled = key
        self.other_keys = tuple(others)
        return self.remembered

    def resume(self) -> None:
        assert self.remembered is not None
        self.on_use()
        self.id, self.name = f"{self.remembered.lower()}-1", self.remembered
        self.change(ConnectionState.RECONNECTING)

    def release(self) -> None:
        self.recalled = ""

    async def _answer(self) -> None:
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal

    def change(self, state: ConnectionState, detail: str = "") -> None:
        self.state = state
        self.listener.on_state(state, detail)

    async def enter(self, name: str, *, id: str | None = None) -> RegisterResult:
        self.on_use()
        await self._answer()
        self.id, self.name = f"{name.lower()}-1", name
        self.change(ConnectionState.ONLINE)
        return RegisterResult(
            success=True,
            message=f"Successfully registered as {self.id}",
            id=self.id,
            name=name,
            token="the-token",
            secret="the-secret",
            callback="http://127.0.0.1:1/rpc/seat",
            epoch="e1",
            seq=7,
            cursor=7,
            lost=0,
            resumed=False,
            members=[MemberName("bob", "Bob")],
            member_count=2,
        )

    async def send(self, text: str, client_msg_id: str | None = None) -> SendMessageResult:
        await self._answer()
        self.sent.append((text, client_msg_id))
        return SendMessageResult(True, "Message sent successfully", 7 + len(self.sent), "2025-01-02T03:04:09.876Z")

    async def history(
        self, *, before: int | None = None, after: int | None = None, limit: int | None = None
    ) -> GetHistoryResult:
        await self._answer()
        return GetHistoryResult(messages=[a_message(6)], oldest=1, epoch="e1", seq=7)

    async def members(self, *, after_id: str | None = None, limit: int | None = None) -> ListMembersResult:
        return ListMembersResult(members=[Member("bob", "Bob", "online", 0)], member_count=2, seq=7)

    async def rename(self, name: str) -> str:
        self.name = name
        return name

    async def set_typing(self) -> None:
        self.listener.on_typing(ReceiveTypingParams(sender_id=self.id, sender_name=self.name, room="lobby"))

    async def leave(self, *, forget: bool = False, away: bool = False) -> None:
        self.forgotten, self.is_away = forget, away
        self.is_leaving.set()
        await self.may_leave.wait()
        self.change(ConnectionState.LEFT)
        self.left.set()


class Participants:
    """Makes them, and knows those made; `refusal`, `gate` and the name that is `remembered` are given to each new one.

    Each session makes one to look whether its seat is remembered; `made` has only those that took a seat, or tried to.
    """

    def __init__(self) -> None:
        self.made: list[FakeParticipant] = []
        self.refusal: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.remembered: str | None = None
        self.asked_for = asyncio.Event()

    def __call__(self, listener: Listener, join_key: str | None) -> FakeParticipant:
        made = FakeParticipant(listener, join_key)
        made.refusal = self.refusal
        made.gate = self.gate or made.gate
        made.remembered = self.remembered
        made.on_use = lambda: self._used(made)
        return made

    def _used(self, made: FakeParticipant) -> None:
        self.made.append(made)
        self.asked_for.set()

    @property
    def last(self) -> FakeParticipant:
        return self.made[-1]
