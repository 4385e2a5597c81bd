"""The members that this client knows to be present, and the order in which they spoke."""

from collections.abc import Iterable

from client.faces.text import printable
from protocol.messages import ChatMessage, Member, MemberName


class People:
    """The other present members, by id."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._speakers: dict[str, None] = {}  # ids of senders, the latest last

    def note(self, members: Iterable[MemberName | Member], me: str, *, are_all: bool) -> None:
        """Store the names of present members. `are_all`: the list is complete and replaces the known names."""
        if are_all:
            self._names.clear()
        self._names.update((member.id, member.name) for member in members if member.id != me)

    def hear(self, message: ChatMessage, me: str) -> None:
        """Update the names and speakers from a new message or notice."""
        if message.sender_id == me:
            return
        if message.event == "leave":
            self._names.pop(message.sender_id, None)
            self._speakers.pop(message.sender_id, None)
            return
        self._names[message.sender_id] = message.sender_name
        if not message.is_system:
            self._speakers.pop(message.sender_id, None)
            self._speakers[message.sender_id] = None

    def recall(self, messages: Iterable[ChatMessage]) -> None:
        """Update the speakers from old messages; the senders may have left since, so the names stay as they are."""
        for message in messages:
            if not message.is_system:
                self._speakers.pop(message.sender_id, None)
                self._speakers[message.sender_id] = None

    def names_with(self, name: str) -> list[str]:
        """Return the names that contain `name`."""
        folded = name.casefold()
        return [other for other in self._names.values() if folded in other.casefold()]

    def names(self) -> list[str]:
        """Return the names: the latest speakers first, then the silent members by name."""
        speakers = [self._names[id] for id in reversed(self._speakers) if id in self._names]
        silent = sorted((name for id, name in self._names.items() if id not in self._speakers), key=str.casefold)
        return [name for name in (*speakers, *silent) if printable(name) == name]
