"""Who is in the room, as far as this client has heard, and who spoke last."""

from collections.abc import Iterable

from client.printable import printable
from protocol.messages import ChatMessage, Member, MemberName


class People:
    """The others who are present, by id."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._speakers: dict[str, None] = {}  # those who spoke, the last one at the end

    def note(self, members: Iterable[MemberName | Member], me: str, *, are_all: bool) -> None:
        """Note who is here. `are_all`: nobody else is."""
        if are_all:
            self._names.clear()
        self._names.update((member.id, member.name) for member in members if member.id != me)

    def hear(self, message: ChatMessage, me: str) -> None:
        """Learn from a message who is here, and who has left."""
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
        """Learn from old messages who spoke last; whether they are still here is not known by that."""
        for message in messages:
            if not message.is_system:
                self._speakers.pop(message.sender_id, None)
                self._speakers[message.sender_id] = None

    def names_with(self, name: str) -> list[str]:
        """Give the longer names that hold this one."""
        folded = name.casefold()
        return [other for other in self._names.values() if folded in other.casefold()]

    def names(self) -> list[str]:
        """Give the names: who spoke last comes first; behind the speakers the others, by name."""
        speakers = [self._names[id] for id in reversed(self._speakers) if id in self._names]
        silent = sorted((name for id, name in self._names.items() if id not in self._speakers), key=str.casefold)
        return [name for name in (*speakers, *silent) if printable(name) == name]
