"""The lines above the prompt: recap, new messages, dates between days, older history."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, tzinfo
from typing import Final

from client.faces.terminal.lines import Line, Me, chat_line, own_line, quiet, rule
from client.faces.terminal.palette import ERROR, QUIET, UNREAD
from client.session.catch_up import CatchUp
from protocol.messages import ChatMessage, GetHistoryResult

HISTORY: Final = "history"
END_OF_HISTORY: Final = "end of history"
UNREAD_BEGINS: Final = "unread"


def utc_now() -> datetime:
    return datetime.now(UTC)


class Transcript:
    """Formats the lines, and remembers the day of the last line and the `seq` at which older history starts.

    `zone` None is the computer's time zone. `names_with` returns the names of other members that contain a name.
    """

    def __init__(
        self,
        me: Me,
        now: Callable[[], datetime] = utc_now,
        zone: tzinfo | None = None,
        names_with: Callable[[str], Iterable[str]] = lambda _name: (),
    ) -> None:
        self.before: int | None = None  # /history reads the messages before this `seq`
        self._me = me
        self._now = now
        self._zone = zone
        self._names_with = names_with
        self._day = self._local_now().date()

    def message(self, message: ChatMessage) -> list[Line]:
        """Return the lines of a new message, with the date before it if a new day has begun."""
        at = self._time_of(message)
        return [*self._day_that_begins(at), self._chat_line(message, at)]

    def own(self, text: str) -> list[Line]:
        """Return the lines of a text just entered at the prompt."""
        at = self._local_now()
        return [*self._day_that_begins(at), own_line(text, _hour(at), self._me.name)]

    def client(self, sentence: str) -> list[Line]:
        """Return a line of the client itself; `sentence` must be printable."""
        return [quiet(f"{_hour(self._local_now())} [CLIENT] {sentence}")]

    def error(self, sentence: str) -> list[Line]:
        """Return a highlighted error line; `sentence` must be printable."""
        return [[(QUIET, f"{_hour(self._local_now())} [CLIENT] "), (ERROR, f"[ERROR] {sentence}")]]

    def catch_up(self, catch_up: CatchUp) -> list[Line]:
        """Return the end of the log, shown at the first entry. If the member returns, a line marks the unread part."""
        if not catch_up.messages:
            return []
        self.before = catch_up.messages[0].seq
        unread = catch_up.missed[0].seq if catch_up.resumed and catch_up.missed else None
        lines = [rule(HISTORY), *self._more(catch_up), *self._days_and_lines(catch_up.messages, unread)]
        return lines if unread is not None else [*lines, rule(END_OF_HISTORY)]

    def back(self, catch_up: CatchUp) -> list[Line]:
        """Return the messages missed while the client was disconnected, after a line with their number."""
        count = len(catch_up.missed) + catch_up.skipped
        told = {0: "no new messages", 1: "1 message"}.get(count, f"{count:,} messages")
        lines = [*self.client(f"back, {told}"), *self._more(catch_up)]
        if catch_up.messages and (catch_up.skipped or catch_up.newest < (self.before or 0)):  # a gap, or a new log
            self.before = catch_up.messages[0].seq
        for message in catch_up.missed:
            lines += self.message(message)
        return lines

    def history(self, result: GetHistoryResult) -> list[Line]:
        """Return older messages, enclosed in two dividing lines."""
        if not result.messages:
            return self.client("There is no more: the history begins here.")
        self.before = result.messages[0].seq
        return [rule(HISTORY), *self._days_and_lines(result.messages), rule(END_OF_HISTORY)]

    def _chat_line(self, message: ChatMessage, at: datetime) -> Line:
        return chat_line(message, _hour(at), self._me, self._names_with(self._me.name))

    def _more(self, catch_up: CatchUp) -> list[Line]:
        return [quiet(f"… {catch_up.skipped:,} more: /history")] if catch_up.skipped else []

    def _days_and_lines(self, messages: Iterable[ChatMessage], unread: int | None = None) -> Iterator[Line]:
        """Yield old messages, with a date before each day and a dividing line before the message with seq `unread`."""
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
        """Return the date line if `at` is on a later day. An earlier day gets none: clocks may differ at midnight."""
        if at.date() <= self._day:
            return []
        self._day = at.date()
        return [_day_line(self._day)]

    def _local_now(self) -> datetime:
        return self._now().astimezone(self._zone)

    def _time_of(self, message: ChatMessage) -> datetime:
        """Return `sent_at` as local time; the current time if `sent_at` is not a valid time."""
        try:
            at = datetime.fromisoformat(message.sent_at)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(self._zone)
        except (ValueError, OverflowError):
            return self._local_now()


def _hour(at: datetime) -> str:
    return f"{at:%H:%M}"


def _day_line(day: date) -> Line:
    return rule(f"{day:%A}, {day.day} {day:%B %Y}")
