"""Parses an entered line into a message, a command, or a mistake with an explanation."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from client.faces.text import ACTION, printable
from protocol.methods import MAX_HISTORY, MAX_TEXT_CHARS

NAME_PROMPT: Final = "Enter your name: "
EXIT: Final = "exit"
USUAL_HISTORY: Final = 50
NOTHING_SENT: Final = "Nothing was sent."


@dataclass(frozen=True)
class Say:
    """Send a message."""

    text: str


@dataclass(frozen=True)
class Leave:
    """Leave, after sending `word` unless it is empty."""

    word: str = ""


@dataclass(frozen=True)
class Help:
    """List the commands and keys."""


@dataclass(frozen=True)
class Who:
    """List the present members."""


@dataclass(frozen=True)
class History:
    """Show `lines` older messages."""

    lines: int


@dataclass(frozen=True)
class Nick:
    """Change the name."""

    name: str


@dataclass(frozen=True)
class Mistake:
    """Show `sentence` and do nothing else; if `worth_keeping`, the line stays at the prompt to be edited."""

    sentence: str
    worth_keeping: bool = False


Typed: TypeAlias = Say | Leave | Help | Who | History | Nick | Mistake


@dataclass(frozen=True)
class Command:
    """A row of /help; `read` parses the arguments of the command."""

    usage: str
    meaning: str
    read: Callable[[str], Typed]


def _without_arguments(name: str, command: Typed) -> Callable[[str], Typed]:
    def read(rest: str) -> Typed:
        return Mistake(f"/{name} takes no arguments. {NOTHING_SENT}") if rest else command

    return read


def _action(rest: str) -> Typed:
    return _checked(ACTION + rest) if rest else Mistake(f"/me needs a text, such as /me waves. {NOTHING_SENT}")


def _history(rest: str) -> Typed:
    if not rest:
        return History(USUAL_HISTORY)
    if rest.isascii() and rest.isdigit() and len(rest) <= 9 and 1 <= int(rest) <= MAX_HISTORY:
        return History(int(rest))
    return Mistake(f"/history takes a number of lines from 1 to {MAX_HISTORY}, such as /history 100. {NOTHING_SENT}")


def _nick(rest: str) -> Typed:
    return Nick(rest) if rest else Mistake(f"/nick needs a name, such as /nick Alicia. {NOTHING_SENT}")


def _quit(rest: str) -> Typed:
    said = _checked(rest)
    return said if isinstance(said, Mistake) else Leave(rest)


COMMANDS: Final[Mapping[str, Command]] = {
    "help": Command("/help", "show this", _without_arguments("help", Help())),
    "who": Command("/who", "who is here", _without_arguments("who", Who())),
    "me": Command("/me waves", "describe an action: * Alice waves", _action),
    "history": Command("/history [n]", f"show n older lines ({USUAL_HISTORY} by default)", _history),
    "nick": Command("/nick NAME", "change your name", _nick),
    "quit": Command("/quit [text]", f"leave, with a last message; {EXIT} leaves, too", _quit),
}
HELP: Final = (
    *((command.usage, command.meaning) for command in COMMANDS.values()),
    ("//text", "send /text, with the slash"),
    ("Tab", "complete a name or a command; again: the next match"),
    ("Up, Down", "earlier lines that you entered"),
    ("Ctrl-C", "clear the line; on an empty line: leave"),
)


def read_typed(line: str) -> Typed:
    """Parse a line from the prompt. Line breaks in pasted text are kept."""
    text = line.strip("\n").rstrip() if "\n" in line.strip() else line.strip()
    if text == EXIT:
        return Leave()
    if not text.startswith("/"):
        return _checked(text)
    if text.startswith("//"):
        return _checked(_literal(text[1:]))
    return _command(text)


def _literal(text: str) -> str:
    """Return a text that starts with a slash; a leading space keeps `/me ` from being an action."""
    return f" {text}" if text.startswith(ACTION) else text


def _command(text: str) -> Typed:
    name, _, rest = text[1:].partition(" ")
    if command := COMMANDS.get(name.casefold()):
        return command.read(rest.strip())
    first_line = name.split("\n")[0]
    close = difflib.get_close_matches(first_line.casefold(), COMMANDS, 1)
    hint = f"Did you mean /{close[0]}?" if close else "/help lists them; to send a text that starts with /, type //."
    return Mistake(f"There is no command /{printable(first_line)[:40]}. {hint} {NOTHING_SENT}", "\n" in text)


def _checked(text: str) -> Typed:
    if len(text) > MAX_TEXT_CHARS:
        told = f"Too long by {len(text) - MAX_TEXT_CHARS:,}: at most {MAX_TEXT_CHARS:,} characters. {NOTHING_SENT}"
        return Mistake(told, worth_keeping=True)
    return Say(text)
