"""What stands above the prompt, with the clock and the time zone of the test."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from client.faces.terminal.lines import Line
from client.faces.terminal.transcript import Transcript
from client.session.catch_up import CatchUp
from protocol.messages import ChatMessage, GetHistoryResult
from tests.client.fake_server import message

FRIDAY, SATURDAY, SUNDAY = (f"2026-11-{day}T10:00:00.000Z" for day in (27, 28, 29))


@dataclass
class Me:
    id: str = "alice-1"
    name: str = "Alice"


@dataclass
class Clock:
    at: datetime = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def transcript(clock: Clock | None = None, zone: tzinfo = UTC) -> Transcript:
    return Transcript(Me(), clock or Clock(), zone)


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for _, text in line) for line in lines]


def said(seq: int, sent_at: str = SUNDAY, sender: str = "Bob") -> ChatMessage:
    return message(seq, str(seq), sender=sender, sent_at=sent_at)


def catch_up(
    *messages: ChatMessage, taken: int = 0, skipped: int = 0, resumed: bool = False, again: bool = False
) -> CatchUp:
    return CatchUp(messages=list(messages), taken=taken, skipped=skipped, me="alice-1", resumed=resumed, again=again)


def test_a_newcomer_sees_what_was_said_flagged_as_history_and_nothing_as_unread() -> None:
    lines = transcript().catch_up(catch_up(said(1, FRIDAY), said(2, SUNDAY), taken=2))
    assert texts(lines) == [
        "── history ──",
        "── Friday, 27 November 2026 ──",
        "10:00 Bob: 1",
        "── Sunday, 29 November 2026 ──",
        "10:00 Bob: 2",
        "── end of history ──",
    ]


def test_one_who_comes_back_sees_where_the_unread_begins() -> None:
    lines = transcript().catch_up(
        catch_up(said(1), said(2, sender="Alice"), said(3), said(4, sender="Alice"), taken=1, resumed=True)
    )
    assert texts(lines) == [
        "── history ──",
        "── Sunday, 29 November 2026 ──",
        "10:00 Bob: 1",
        "10:00 You: 2",
        "── unread ──",
        "10:00 Bob: 3",
        "10:00 You: 4",
    ]


def test_one_who_comes_back_and_has_missed_nothing_sees_no_such_line() -> None:
    lines = transcript().catch_up(catch_up(said(1), said(2, sender="Alice"), taken=1, resumed=True))
    assert texts(lines)[-1] == "── end of history ──"
    assert "── unread ──" not in texts(lines)


def test_after_a_long_absence_it_is_told_how_many_more_there_are() -> None:
    lines = transcript().catch_up(catch_up(said(4312), taken=1, skipped=4310, resumed=True))
    assert texts(lines)[:2] == ["── history ──", "… 4,310 more: /history"]
    assert texts(lines)[-2:] == ["── unread ──", "10:00 Bob: 4312"]


def test_where_nothing_was_said_there_is_no_history() -> None:
    assert transcript().catch_up(catch_up()) == []


def test_the_times_are_those_of_the_place() -> None:
    tokyo = timezone(timedelta(hours=9))
    late = said(1, "2026-11-28T15:30:00.000Z")
    assert texts(transcript(zone=tokyo).catch_up(catch_up(late)))[1:3] == [
        "── Sunday, 29 November 2026 ──",
        "00:30 Bob: 1",
    ]


def test_a_day_that_begins_has_its_line_once() -> None:
    clock = Clock(datetime(2026, 11, 28, 23, 59, tzinfo=UTC))
    shown = transcript(clock)
    assert texts(shown.own("late")) == ["23:59 You: late"]
    clock.at += timedelta(minutes=2)
    assert texts(shown.own("early")) == ["── Sunday, 29 November 2026 ──", "00:01 You: early"]
    assert texts(shown.message(said(5))) == ["10:00 Bob: 5"]


def test_a_clock_of_the_server_that_is_behind_does_not_turn_the_day_back() -> None:
    shown = transcript()
    assert texts(shown.message(said(1, SATURDAY))) == ["10:00 Bob: 1"]
    assert texts(shown.own("now")) == ["12:00 You: now"]


def test_what_is_no_time_is_shown_as_now() -> None:
    for wrong in ("yesterday", "", "0001-01-01T00:00:00+14:00", "\x1b[2J"):
        assert texts(transcript().message(said(1, wrong))) == ["12:00 Bob: 1"]
    assert texts(transcript().message(said(1, "2026-11-29T10:00:00"))) == ["10:00 Bob: 1"]


def test_one_who_was_cut_off_hears_how_much_was_missed_and_then_all_of_it() -> None:
    lines = transcript().back(catch_up(said(1), said(2, sender="Alice"), said(3), said(4), taken=1, again=True))
    assert texts(lines) == ["12:00 [CLIENT] back, 2 messages", "10:00 Bob: 3", "10:00 Bob: 4"]


def test_how_much_was_missed_is_told_in_words_that_fit() -> None:
    assert texts(transcript().back(catch_up(again=True))) == ["12:00 [CLIENT] back, no new messages"]
    assert texts(transcript().back(catch_up(said(2), taken=1, again=True)))[0] == "12:00 [CLIENT] back, 1 message"
    long = catch_up(said(4312), taken=1, skipped=4310, again=True)
    assert texts(transcript().back(long)) == [
        "12:00 [CLIENT] back, 4,311 messages",
        "… 4,310 more: /history",
        "10:00 Bob: 4312",
    ]


def history(*messages: ChatMessage) -> GetHistoryResult:
    return GetHistoryResult(messages=list(messages), oldest=1, epoch="one", seq=100)


def test_older_history_is_flagged_as_such_and_goes_on_before_what_was_shown() -> None:
    shown = transcript()
    shown.catch_up(catch_up(said(50), taken=50))
    assert shown.before == 50
    assert texts(shown.history(history(said(48, SATURDAY), said(49)))) == [
        "── history ──",
        "── Saturday, 28 November 2026 ──",
        "10:00 Bob: 48",
        "── Sunday, 29 November 2026 ──",
        "10:00 Bob: 49",
        "── end of history ──",
    ]
    assert shown.before == 48
    assert texts(shown.history(history())) == ["12:00 [CLIENT] There is no more: the history begins here."]


def test_after_older_history_the_day_of_what_is_said_now_is_told_again() -> None:
    shown = transcript()
    shown.history(history(said(1, FRIDAY)))
    assert texts(shown.message(said(9))) == ["── Sunday, 29 November 2026 ──", "10:00 Bob: 9"]


def test_what_was_skipped_while_one_was_cut_off_is_where_history_goes_on() -> None:
    shown = transcript()
    shown.catch_up(catch_up(said(50), taken=50))
    shown.back(catch_up(said(60), taken=50, again=True))
    assert shown.before == 50
    shown.back(catch_up(said(200), taken=60, skipped=139, again=True))
    assert shown.before == 200
