"""A browser session: at most one participant, and the tabs that show it.

All tabs of a session show the same: each tab receives the participant's messages, and a message sent from a tab is
passed to the other tabs.
"""

import asyncio
from typing import Final

from msgspec import UNSET, Struct

from client.errors import CallRefused, ClientError
from client.faces.web.errors import PageError
from client.faces.web.frames import notification_frame
from client.faces.web.tab import Tab
from client.session.listener import REGISTERED, ConnectionState
from client.session.participant import NewParticipant, Participant
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
    """The notification `Session`, sent to a new tab and at every change. `id` and `name` are None if not registered."""

    state: str
    detail: str
    id: str | None
    name: str | None
    server: str
    join_key_needed: bool


class Session:
    """A browser's participant and tabs; the listener of the participant."""

    def __init__(
        self,
        new_participant: NewParticipant,
        server: str,
        key: str,
        *,
        asks_key: bool = False,
    ) -> None:
        """Resume the registration stored under `key`, or start without a participant. The page shows `server`.

        `asks_key`: a newcomer has to enter the join key.
        """
        self._make_participant = new_participant
        self._server = server
        self._key = key
        self._participant: Participant | None = None
        self._detail = ""
        self._asks_key = self._join_key_needed = asks_key
        self._entering = asyncio.Lock()
        self._sending = asyncio.Lock()
        self.tabs: set[Tab] = set()
        self.other_keys: tuple[str, ...] = ()  # keys of this browser's registrations with other pages
        candidate = self._new_participant(None)
        if candidate.recall(key) is not None:
            self._participant = candidate
            candidate.resume()
        else:
            candidate.release()

    def __repr__(self) -> str:
        return f"<Session {self.state} tabs={len(self.tabs)}>"

    @property
    def state(self) -> ConnectionState:
        """The state of the participant; `new` without a participant."""
        return ConnectionState.NEW if self._participant is None else self._participant.state

    @property
    def is_registered(self) -> bool:
        """Whether the participant is online or reconnecting."""
        return self.state in REGISTERED

    def participant(self) -> Participant:
        """Return the participant. Raise `PageError` -32002 if it is not registered."""
        if self._participant is None or not self.is_registered:
            raise PageError(ErrorCode.AWAY, "You are not in the room: enter with a name first.")
        return self._participant

    def add(self, tab: Tab) -> None:
        """Add a tab, and send it the state of the session."""
        self.tabs.add(tab)
        tab.post(notification_frame(SESSION, self._standing()))

    def remove(self, tab: Tab) -> None:
        """Remove a closed tab."""
        self.tabs.discard(tab)

    def _new_participant(self, join_key: str | None) -> Participant:
        made = self._make_participant(self, join_key)
        made.keeps_name = made.ends_without_key = True
        return made

    async def enter(self, name: str, join_key: str | None, *, keep_name: bool = True) -> RegisterResult:
        """Register as `name`; reuse this browser's registration under that name, also from another page, if it exists.

        Raise `PageError` if the session is registered already, and `CallRefused` or `ServerUnreachable` if `Register`
        fails.
        """
        async with self._entering:
            if self.is_registered:
                here = f"This browser is in the room already, as {self.participant().name}."
                raise PageError(ErrorCode.INVALID_REQUEST, here)
            self._participant = candidate = self._new_participant(join_key or None)
            candidate.keeps_name = keep_name
            candidate.recall(self._key, name=name, others=self.other_keys)
            try:
                entered = await candidate.enter(name)
            except ClientError as error:
                self._participant = None
                candidate.release()
                self._join_key_needed = self._asks_key or _is_about_key(error)
                raise
            self._join_key_needed = self._asks_key
            return entered

    async def leave(self, *, for_good: bool) -> None:
        """Leave the room, after a `Register` in progress. Unless `for_good`, registration and name are kept."""
        async with self._entering:
            if self._participant is not None and self.is_registered:
                await self._participant.leave(forget=for_good, away=not for_good)

    async def say(self, tab: Tab, text: str, client_msg_id: str | None) -> SendMessageResult:
        """Send a message, and pass it to the other tabs; `tab` shows it already."""
        participant = self.participant()
        async with self._sending:  # messages of a person keep their order, even over different connections
            stored = await participant.send(text, client_msg_id)
        said = ChatMessage(
            seq=stored.seq,
            room=LOBBY,
            sender_id=participant.id,
            sender_name=participant.name,
            text=text,
            is_system=False,
            event=None,
            sent_at=stored.sent_at,
            client_msg_id=client_msg_id or UNSET,
        )
        self._tell(RECEIVE_MESSAGE, ReceiveMessageParams(said), but=tab)
        return stored

    async def rename(self, name: str) -> str:
        """Change the name, and return it as the server stored it."""
        settled = await self.participant().rename(name)
        self._tell(SESSION, self._standing())
        return settled

    # The methods of client.listener.Listener, which the participant calls.

    def on_message(self, message: ChatMessage) -> None:
        """Send a message to all tabs."""
        self._tell(RECEIVE_MESSAGE, ReceiveMessageParams(message))

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Send a typing notification to all tabs."""
        self._tell(RECEIVE_TYPING, who)

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Send the state to all tabs. A registration replaced for its join key makes the page ask for the key."""
        self._detail = detail
        if (
            state is ConnectionState.REPLACED
            and self._participant is not None
            and _is_about_key(self._participant.reason)
        ):
            self._join_key_needed = True
        self._tell(SESSION, self._standing())

    def _standing(self) -> SessionParams:
        participant = self._participant if self.is_registered else None
        return SessionParams(
            state=self.state,
            detail=self._detail,
            id=participant.id if participant else None,
            name=participant.name if participant else None,
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
