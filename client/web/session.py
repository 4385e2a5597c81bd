"""What one browser holds: at most one seat in the room, and the tabs that show it.

All tabs of a session see the same: what the seat receives goes to each of them, and what one of them sends is told to
the others.
"""

import asyncio
from typing import Final

from msgspec import UNSET, Struct

from client.errors import CallRefused, ClientError
from client.listener import SEATED, ConnectionState
from client.participant import NewParticipant, Participant
from client.web.errors import PageError
from client.web.frames import notification_frame
from client.web.tab import Tab
from protocol.errors import ErrorCode
from protocol.messages import (
    ChatMessage,
    ReceiveMessageParams,
    ReceiveTypingParams,
    RegisterResult,
    SendMessageResult,
)
from protocol.methods import LOBBY, RECEIVE_MESSAGE, RECEIVE_TYPING

SESSION: Final = "Session"


class SessionParams(Struct, frozen=True, kw_only=True):
    """`Session`, told to a tab at first and at every change: `id` and `name` are None while there is no seat."""

    state: str
    detail: str
    id: str | None
    name: str | None
    server: str
    join_key_needed: bool


class Session:
    """A browser's seat and tabs; the listener of its participant."""

    def __init__(
        self,
        new_participant: NewParticipant,
        server: str,
        key: str,
        *,
        asks_key: bool = False,
    ) -> None:
        """Go back to the seat that is remembered as `key`, or start without one; `server` is what the page shows.

        `asks_key`: a newcomer has to give the join key.
        """
        self._new_participant = new_participant
        self._server = server
        self._key = key
        self._seat: Participant | None = None
        self._detail = ""
        self._asks_key = self._join_key_needed = asks_key
        self._entering = asyncio.Lock()
        self._sending = asyncio.Lock()
        self.tabs: set[Tab] = set()
        self.other_keys: tuple[str, ...] = ()  # of this browser's seats at other pages
        candidate = self._new_seat(None)
        if candidate.recall(key) is not None:
            self._seat = candidate
            candidate.resume()
        else:
            candidate.let_go()

    def __repr__(self) -> str:
        return f"<Session {self.state} tabs={len(self.tabs)}>"

    @property
    def state(self) -> ConnectionState:
        """The state of the seat; `new` without one."""
        return ConnectionState.NEW if self._seat is None else self._seat.state

    @property
    def is_seated(self) -> bool:
        """Whether there is somebody to unregister."""
        return self.state in SEATED

    def seated(self) -> Participant:
        """Give the seat, or raise `PageError` -32002."""
        if self._seat is None or not self.is_seated:
            raise PageError(ErrorCode.AWAY, "You are not in the room: enter with a name first.")
        return self._seat

    def add(self, tab: Tab) -> None:
        """Show the session in a tab, which is told first where it stands."""
        self.tabs.add(tab)
        tab.post(notification_frame(SESSION, self._standing()))

    def remove(self, tab: Tab) -> None:
        """Forget a tab that closed."""
        self.tabs.discard(tab)

    def _new_seat(self, join_key: str | None) -> Participant:
        made = self._new_participant(self, join_key)
        made.keeps_name = made.ends_without_key = True
        return made

    async def enter(self, name: str, join_key: str | None, *, keep_name: bool = True) -> RegisterResult:
        """Take a seat: the one that this browser has under that name, at another page too, or a new one.

        Raises `PageError` when there is one, `CallRefused` or `ServerUnreachable`.
        """
        async with self._entering:
            if self.is_seated:
                here = f"This browser is in the room already, as {self.seated().name}."
                raise PageError(ErrorCode.INVALID_REQUEST, here)
            self._seat = candidate = self._new_seat(join_key or None)
            candidate.keeps_name = keep_name
            candidate.recall(self._key, name=name, others=self.other_keys)
            try:
                entered = await candidate.enter(name)
            except ClientError as error:
                self._seat = None
                candidate.let_go()
                self._join_key_needed = self._asks_key or _is_about_key(error)
                raise
            self._join_key_needed = self._asks_key
            return entered

    async def leave(self, *, for_good: bool) -> None:
        """Leave, after whatever `Register` is under way; if not for good, seat and name wait for the browser."""
        async with self._entering:
            if self._seat is not None and self.is_seated:
                await self._seat.leave(forget=for_good, away=not for_good)

    async def say(self, tab: Tab, text: str, client_msg_id: str | None) -> SendMessageResult:
        """Send a message; the other tabs are told of it, `tab` has drawn it already."""
        seat = self.seated()
        async with self._sending:  # two messages of one person keep their order, whatever the connections do
            stored = await seat.send(text, client_msg_id)
        said = ChatMessage(
            seq=stored.seq,
            room=LOBBY,
            sender_id=seat.id,
            sender_name=seat.name,
            text=text,
            is_system=False,
            event=None,
            sent_at=stored.sent_at,
            client_msg_id=client_msg_id or UNSET,
        )
        self._tell(RECEIVE_MESSAGE, ReceiveMessageParams(said), but=tab)
        return stored

    async def rename(self, name: str) -> str:
        """Go by another name, and give it as the server settled it."""
        settled = await self.seated().rename(name)
        self._tell(SESSION, self._standing())
        return settled

    # What the participant tells (client.participant.Listener).

    def on_message(self, message: ChatMessage) -> None:
        """Pass a message on."""
        self._tell(RECEIVE_MESSAGE, ReceiveMessageParams(message))

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Pass on who is typing."""
        self._tell(RECEIVE_TYPING, who)

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Tell where the seat stands now."""
        self._detail = detail
        if state is ConnectionState.REPLACED and self._seat is not None and _is_about_key(self._seat.reason):
            self._join_key_needed = True
        self._tell(SESSION, self._standing())

    def _standing(self) -> SessionParams:
        seat = self._seat if self.is_seated else None
        return SessionParams(
            state=self.state,
            detail=self._detail,
            id=seat.id if seat else None,
            name=seat.name if seat else None,
            server=self._server,
            join_key_needed=self._join_key_needed,
        )

    def _tell(self, method: str, params: Struct, but: Tab | None = None) -> None:
        frame = notification_frame(method, params)
        for tab in self.tabs:
            if tab is not but:
                tab.post(frame)


def _is_about_key(error: ClientError | None) -> bool:
    return isinstance(error, CallRefused) and error.code == ErrorCode.JOIN_KEY_WRONG
