"""Executes the commands of the terminal: /help, /who, /history and /nick."""

from collections.abc import Callable
from typing import Final

from client.errors import ClientError
from client.faces.terminal.lines import Line, quiet
from client.faces.terminal.palette import QUIET, style_of_name
from client.faces.terminal.people import People
from client.faces.terminal.transcript import Transcript
from client.faces.terminal.typed import HELP, Help, History, Nick, Who
from client.faces.text import printable
from client.session.participant import Participant
from protocol.messages import Member
from protocol.methods import MAX_MEMBERS_PAGE

MOST_LISTED: Final = 200  # a person does not read more names; the total is shown instead
USAGE_COLUMNS: Final = 14


class Commands:
    """Executes commands and shows the result, or the error in one line."""

    def __init__(
        self, participant: Participant, transcript: Transcript, people: People, show: Callable[[list[Line]], None]
    ) -> None:
        self._participant = participant
        self._transcript = transcript
        self._people = people
        self._show = show

    async def carry_out(self, command: Help | Who | History | Nick) -> None:
        """Execute `command` and show its result. A `ClientError` is shown, not raised."""
        try:
            match command:
                case Help():
                    self._show([quiet(f"  {usage:{USAGE_COLUMNS}} {meaning}") for usage, meaning in HELP])
                case Who():
                    await self._who()
                case History(lines):
                    before = self._transcript.before
                    self._show(self._transcript.history(await self._participant.history(before=before, limit=lines)))
                case Nick(name):
                    is_back_with_it = self._participant.lacks_name
                    now = printable(await self._participant.rename(name))
                    self._show(self._transcript.client(f"Trying {now}." if is_back_with_it else f"You are {now} now."))
        except ClientError as error:
            self._show(self._transcript.error(printable(str(error))))

    async def _who(self) -> None:
        members, count = await self._all_members()
        me = self._participant.id
        self._people.note(members, me, are_all=True)
        (head,) = self._transcript.client(f"{count:,} {'is' if count == 1 else 'are'} here: ")
        listed = sorted(members, key=lambda member: member.name.casefold())[:MOST_LISTED]
        line: Line = [*head]
        for place, member in enumerate(listed):
            line += [(QUIET, ", " if place else ""), *_about(member, me)]
        if count > len(listed):
            line.append((QUIET, f" and {count - len(listed):,} more"))
        self._show([line])

    async def _all_members(self) -> tuple[list[Member], int]:
        """Return the members and their count, read page by page; each page starts after the last id of the previous."""
        members: list[Member] = []
        after: str | None = None
        while True:
            page = await self._participant.members(after_id=after, limit=MAX_MEMBERS_PAGE)
            members += page.members
            if not page.members or len(members) >= page.member_count:
                return members, max(page.member_count, len(members))
            after = page.members[-1].id


def _about(member: Member, me: str) -> Line:
    told = [
        "you" if member.id == me else "",
        "unreachable" if member.state == "unreachable" else "",
        f"{member.behind:,} behind" if member.behind else "",
    ]
    words = ", ".join(filter(None, told))
    name = (style_of_name(member.name), printable(member.name))
    return [name, (QUIET, f" ({words})")] if words else [name]
