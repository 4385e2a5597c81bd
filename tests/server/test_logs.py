"""Log lines: the original's tags and words, one event a line, whatever is in a name or a text."""

import json
import logging
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiohttp.http_exceptions import BadHttpMessage

from runtime.background_output import BackgroundOutput, lost_lines
from server.logs import SHOWN_CHARS, BackgroundHandler, BadHttpFilter, JsonFormatter, LineFormatter, lost
from tests.fakes import PATIENCE_SECONDS, RunningServer, local_settings

HOSTILE = {
    "newline": ("a\n[JOIN] b", "a\\u{a}[JOIN] b"),
    "carriage return": ("a\rb", "a\\u{d}b"),
    "escape": ("\x1b[31mred", "\\u{1b}[31mred"),
    "C1 control": ("\x9b31m", "\\u{9b}31m"),
    "nul": ("\x00", "\\u{0}"),
    "right-to-left": ("a\u202eb", "a\\u{202e}b"),
    "isolate": ("\u2066a\u2069", "\\u{2066}a\\u{2069}"),
    "line separator": ("a\u2028b\u2029c\x85d", "a\\u{2028}b\\u{2029}c\\u{85}d"),
    "zero width": ("a\u200bb\ufeff", "a\\u{200b}b\\u{feff}"),
    "lone surrogate": ("\ud800", "\\u{d800}"),
    "tag characters": ("\U000e0041", "\\u{e0041}"),
    "percent": ("%s %d %(a)s", "%s %d %(a)s"),
    "readable": ("Zoë 山田 🎉", "Zoë 山田 🎉"),
}
hostile = pytest.mark.parametrize(("value", "shown"), HOSTILE.values(), ids=HOSTILE.keys())


def record(
    message: object,
    *args: object,
    name: str = "ringback.join",
    level: int = logging.INFO,
    error: Exception | None = None,
) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, level, "", 0, message, args, info)


@pytest.mark.parametrize(
    ("name", "level", "tag"),
    [
        ("ringback.server", logging.INFO, "SERVER"),
        ("ringback.join", logging.INFO, "JOIN"),
        ("ringback.leave", logging.INFO, "LEAVE"),
        ("ringback.broadcast", logging.INFO, "BROADCAST"),
        ("ringback.client", logging.DEBUG, "CLIENT"),
        ("ringback.client", logging.WARNING, "WARN"),
        ("ringback.server", logging.ERROR, "ERROR"),
        ("aiohttp.server", logging.CRITICAL, "ERROR"),
    ],
)
def test_a_line_begins_with_its_tag(name: str, level: int, tag: str) -> None:
    line = LineFormatter().format(record("User %s (ID: %s)", "Alice", "a-1", name=name, level=level))
    assert line == f"[{tag}] User Alice (ID: a-1)"


@hostile
def test_a_value_is_shown_without_what_could_act(value: str, shown: str) -> None:
    assert LineFormatter().format(record("User %s", value)) == f"[JOIN] User {shown}"


@hostile
def test_a_message_without_values_is_shown_without_what_could_act(value: str, shown: str) -> None:
    for message in (value, ValueError(value)):
        assert LineFormatter().format(record(message)) == f"[JOIN] {shown}"


@hostile
def test_json_is_one_object_a_line(value: str, shown: str) -> None:
    line = JsonFormatter().format(record("User %s", value))
    assert len(line.splitlines()) == 1
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00")
    assert fields == {"tag": "JOIN", "message": f"User {shown}"}


def test_a_long_value_is_cut_and_a_short_one_is_not() -> None:
    line = LineFormatter().format(record("%s|%s", "a" * SHOWN_CHARS, "b" * (SHOWN_CHARS + 1)))
    assert line == f"[JOIN] {'a' * 256}|{'b' * 255}…"


def test_numbers_stay_numbers() -> None:
    assert LineFormatter().format(record("%d in %g s on %s:%d", 3, 0.5, "::", 9999)) == "[JOIN] 3 in 0.5 s on :::9999"


def raised(text: str) -> Exception:
    try:
        raise LookupError(text)
    except LookupError as error:
        return error


def test_a_traceback_cannot_pass_for_an_event() -> None:
    error = raised("x\n[JOIN] User Eve\x1b[31m\u202e")
    first, *rest = LineFormatter().format(record("Internal error", level=logging.ERROR, error=error)).split("\n")
    assert first == "[ERROR] Internal error"
    assert all(line.startswith("  ") and line.isprintable() for line in rest)
    assert any("LookupError: x" in line for line in rest)


def test_json_with_a_traceback_is_one_line() -> None:
    line = JsonFormatter().format(record("Oh", level=logging.ERROR, error=raised("x\u2028[JOIN]\n\u202e")))
    assert len(line.splitlines()) == 1
    assert "LookupError" in json.loads(line)["traceback"]
    assert "\u202e" not in line


def test_what_is_not_http_is_told_on_debug_level_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ringback")
    bad = record("Error handling request from %s", "127.0.0.1", name="aiohttp.server", error=BadHttpMessage("no\nHTTP"))
    assert not BadHttpFilter().filter(bad)
    assert [(told.levelname, LineFormatter().format(told).isprintable()) for told in caplog.records] == [
        ("DEBUG", True)
    ]


def test_a_mistake_of_ours_is_not_hidden_with_it() -> None:
    assert BadHttpFilter().filter(record("Error handling request", error=raised("ours")))
    assert BadHttpFilter().filter(record("No error at all"))
    assert BadHttpFilter().filter(logging.LogRecord("x", 40, "", 0, "x", (), sys.exc_info()))


# What the server says of what happens.


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [LineFormatter().format(told) for told in caplog.records if told.name.startswith("ringback")]


async def test_the_lines_are_those_of_the_original(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ringback")
    alice = await server.register("Alice", id="alice")
    await alice.say("Hello everyone!")
    await alice.call("Unregister", id="alice")
    assert said(caplog) == [
        "[JOIN] User Alice (ID: alice) joined the chat from 127.0.0.1",
        "[BROADCAST] Alice: Hello everyone!",
        "[LEAVE] User Alice (ID: alice) left the chat",
    ]


async def test_a_text_of_many_lines_is_one_line(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ringback")
    await (await server.register("Alice")).say(
        "one\n[LEAVE] User Bob (ID: bob) left the chat\x1b[2J\u202e" + "x" * 4000
    )
    line = said(caplog)[-1]
    assert line.startswith("[BROADCAST] Alice: one\\u{a}[LEAVE] User Bob")
    assert line.endswith("…")
    assert line.isprintable()


async def test_texts_are_hidden_when_they_are_not_to_be_logged(
    session: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ringback")
    async with RunningServer(session, local_settings(log_texts=False)) as server:
        await (await server.register("Alice")).say("my secret")
    assert said(caplog)[-1] == "[BROADCAST] Alice: (9 characters)"
    assert "my secret" not in caplog.text


async def test_tokens_and_secrets_are_never_logged(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    alice = await server.register("Alice")
    await alice.say("hi")
    await server.call("Register", alice.token, name="Alicia")
    assert alice.token not in caplog.text
    assert alice.result["secret"] not in caplog.text


async def test_handler_line_that_cannot_be_formatted_costs_only_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = BackgroundOutput(file.fileno(), lost_lines)
        handler = BackgroundHandler(output)
        handler.setFormatter(LineFormatter())
        handler.handle(record("%d", "not a number"))
        handler.handle(record("two"))
        assert output.drain(PATIENCE_SECONDS)
    assert (tmp_path / "log").read_text() == "[JOIN] two\n"
    assert "Logging error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "told"),
    [(1, "1 log line could not be written: broken pipe"), (1234, "1,234 log lines could not be written: broken pipe")],
)
def test_lost_lines_are_a_warning_in_both_formats(lines: int, told: str) -> None:
    assert LineFormatter().format(lost(lines, "broken pipe")) == f"[WARN] {told}"
    fields = json.loads(JsonFormatter().format(lost(lines, "broken pipe")))
    assert (fields["tag"], fields["message"]) == ("WARN", told)
