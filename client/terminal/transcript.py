"""What stands above the prompt, in which order: the recap, what is said, the days in between, older history."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, tzinfo
from typing import Final

from client.recap import Recap
from client.terminal.lines import Line, Me, chat_line, own_line, quiet, rule
from client.terminal.palette import ERROR, QUIET, UNREAD
from protocol.messages import ChatMessage, GetHistoryResult

HISTORY: Final = "history"
END_OF_HISTORY: Final = "end of history"
UNREAD_BEGINS: Final = "unread"


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


class Transcript:
    """Makes the lines, and remembers of them the day of the last one and where older history begins.

    `zone` None is that of the computer. `names_with` gives the names of others that hold a name.
    """

    def __init__(
        self,
        me: Me,
        now: Callable[[], datetime] = utc_now,
        zone: tzinfo | None = None,
        names_with: Callable[[str], Iterable[str]] = lambda _name: (),
    ) -> None:
        self.before: int | None = None  # the `seq` before which /history goes on
        self._me = me
        self._now = now
        self._zone = zone
        self._names_with = names_with
        self._day = self._local_now().date()

    def message(self, message: ChatMessage) -> list[Line]:
        """Show what has just been said."""
        at = self._time_of(message)
        return [*self._day_that_begins(at), self._chat_line(message, at)]

    def own(self, text: str) -> list[Line]:
        """Show what was just entered at the prompt."""
        at = self._local_now()
        return [*self._day_that_begins(at), own_line(text, _hour(at), self._me.name)]

    def client(self, sentence: str) -> list[Line]:
        """Show what this client has to say; `sentence` is printable."""
        return [quiet(f"{_hour(self._local_now())} [CLIENT] {sentence}")]

    def error(self, sentence: str) -> list[Line]:
        """Show what went wrong, so that it is not passed over; `sentence` is printable."""
        return [[(QUIET, f"{_hour(self._local_now())} [CLIENT] "), (ERROR, f"[ERROR] {sentence}")]]

    def recap(self, recap: Recap) -> list[Line]:
        """Show the end of the log to one who enters, with a line before what is new to one who comes back."""
        if not recap.messages:
            return []
        self.before = recap.messages[0].seq
        unread = recap.missed[0].seq if recap.resumed and recap.missed else None
        lines = [rule(HISTORY), *self._more(recap), *self._days_and_lines(recap.messages, unread)]
        return lines if unread is not None else [*lines, rule(END_OF_HISTORY)]

    def back(self, recap: Recap) -> list[Line]:
        """Show to one who was cut off what was missed, and before it how much that is."""
        count = len(recap.missed) + recap.skipped
        told = {0: "no new messages", 1: "1 message"}.get(count, f"{count:,} messages")
        lines = [*self.client(f"back, {told}"), *self._more(recap)]
        if recap.messages and (recap.skipped or recap.newest < (self.before or 0)):  # a gap, or another log
            self.before = recap.messages[0].seq
        for message in recap.missed:
            lines += self.message(message)
        return lines

    def history(self, result: GetHistoryResult) -> list[Line]:
        """Show older messages, between two lines that say so."""
        if not result.messages:
            return self.client("There is no more: the history begins here.")
        self.before = result.messages[0].seq
        return [rule(HISTORY), *self._days_and_lines(result.messages), rule(END_OF_HISTORY)]

    def _chat_line(self, message: ChatMessage, at: datetime) -> Line:
        return chat_line(message, _hour(at), self._me, self._names_with(self._me.name))

    def _more(self, recap: Recap) -> list[Line]:
        return [quiet(f"… {recap.skipped:,} more: /history")] if recap.skipped else []

    def _days_and_lines(self, messages: Iterable[ChatMessage], unread: int | None = None) -> Iterator[Line]:
        """Show old messages; each day has its line, the first one too, and so has what begins to be `unread`."""
        day: date | None = None
        for message in messages:
            at = self._time_of(message)
            if at.date() != day:
                day = self._day = at.date()
                yield _day_line(day)
            if message.seq == unread:
                yield rule(UNREAD_BEGINS, UNREAD)
            yield self._chat_line(message, at)

    def _day_that_begins(self, at: datetime) -> list[Line]:
        """Show the day if it is a later one: the clocks of server and client may differ at midnight."""
        if at.date() <= self._day:
            return []
        self._day = at.date()
        return [_day_line(self._day)]

    def _local_now(self) -> datetime:
        return self._now().astimezone(self._zone)

    def _time_of(self, message: ChatMessage) -> datetime:
        """Give the local time; that of now, if the server wrote what is no time."""
        try:
            at = datetime.fromisoformat(message.sent_at)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(self._zone)
        except (ValueError, OverflowError):
            return self._local_now()


def _hour(at: datetime) -> str:
    return f"{at:%H:%M}"


def _day_line(day: date) -> Line:
    return rule(f"{day:%A}, {day.day} {day:%B %Y}")
