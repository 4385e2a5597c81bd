"""What a line that was entered means: something to say, a command, or a mistake that is told."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from client.printable import ACTION, printable
from protocol.methods import MAX_HISTORY, MAX_TEXT_CHARS

NAME_PROMPT: Final = "Enter your name: "
EXIT: Final = "exit"
USUAL_HISTORY: Final = 50
NOTHING_SENT: Final = "Nothing was sent."


@dataclass(frozen=True)
class Say:
    """Send this text."""

    text: str


@dataclass(frozen=True)
class Leave:
    """Leave, with a last word or without."""

    word: str = ""


@dataclass(frozen=True)
class Help:
    """Tell the commands and keys."""


@dataclass(frozen=True)
class Who:
    """Tell who is here."""


@dataclass(frozen=True)
class History:
    """Show so many older lines."""

    lines: int


@dataclass(frozen=True)
class Nick:
    """Go by another name."""

    name: str


@dataclass(frozen=True)
class Mistake:
    """Do nothing and say why; the line stays to be edited if it is `worth_keeping`."""

    sentence: str
    worth_keeping: bool = False


Typed: TypeAlias = Say | Leave | Help | Who | History | Nick | Mistake


@dataclass(frozen=True)
class Command:
    """One row of /help, and how what stands behind the command is read."""

    usage: str
    meaning: str
    read: Callable[[str], Typed]


def _without_arguments(name: str, command: Typed) -> Callable[[str], Typed]:
    def read(rest: str) -> Typed:
        return Mistake(f"/{name} takes nothing behind it. {NOTHING_SENT}") if rest else command

    return read


def _action(rest: str) -> Typed:
    return _checked(ACTION + rest) if rest else Mistake(f"/me takes words, such as /me waves. {NOTHING_SENT}")


def _history(rest: str) -> Typed:
    if not rest:
        return History(USUAL_HISTORY)
    if rest.isascii() and rest.isdigit() and len(rest) <= 9 and 1 <= int(rest) <= MAX_HISTORY:
        return History(int(rest))
    return Mistake(f"/history takes a number of lines from 1 to {MAX_HISTORY}, such as /history 100. {NOTHING_SENT}")


def _nick(rest: str) -> Typed:
    return Nick(rest) if rest else Mistake(f"/nick takes a name, such as /nick Alicia. {NOTHING_SENT}")


def _quit(rest: str) -> Typed:
    said = _checked(rest)
    return said if isinstance(said, Mistake) else Leave(rest)


COMMANDS: Final[Mapping[str, Command]] = {
    "help": Command("/help", "show this", _without_arguments("help", Help())),
    "who": Command("/who", "who is here", _without_arguments("who", Who())),
    "me": Command("/me waves", "say what you do: * Alice waves", _action),
    "history": Command("/history [n]", f"n older lines ({USUAL_HISTORY} if you do not say)", _history),
    "nick": Command("/nick NAME", "go by another name", _nick),
    "quit": Command("/quit [word]", f"leave, with a last word; {EXIT} leaves, too", _quit),
}
HELP: Final = (
    *((command.usage, command.meaning) for command in COMMANDS.values()),
    ("//text", "say /text, with the slash"),
    ("Tab", "complete a name or a command; again: the next one"),
    ("Up, Down", "what you entered before"),
    ("Ctrl-C", "clear the line; on an empty line: leave"),
)


def read_typed(line: str) -> Typed:
    """Read a line as it stood at the prompt. What was pasted may have line breaks, and keeps them."""
    text = line.strip("\n").rstrip() if "\n" in line.strip() else line.strip()
    if text == EXIT:
        return Leave()
    if not text.startswith("/"):
        return _checked(text)
    if text.startswith("//"):
        return _checked(_literal(text[1:]))
    return _command(text)


def _literal(text: str) -> str:
    """Give a text that begins with a slash as such: what would be an action has a space before it, and so is none."""
    return f" {text}" if text.startswith(ACTION) else text


def _command(text: str) -> Typed:
    name, _, rest = text[1:].partition(" ")
    if command := COMMANDS.get(name.casefold()):
        return command.read(rest.strip())
    first_line = name.split("\n")[0]
    close = difflib.get_close_matches(first_line.casefold(), COMMANDS, 1)
    hint = f"Did you mean /{close[0]}?" if close else "/help lists them; for a text that begins with a slash, type two."
    return Mistake(f"There is no command /{printable(first_line)[:40]}. {hint} {NOTHING_SENT}", "\n" in text)


def _checked(text: str) -> Typed:
    if len(text) > MAX_TEXT_CHARS:
        told = f"Too long by {len(text) - MAX_TEXT_CHARS:,}: at most {MAX_TEXT_CHARS:,} characters. {NOTHING_SENT}"
        return Mistake(told, worth_keeping=True)
    return Say(text)
