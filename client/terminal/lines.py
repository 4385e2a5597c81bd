"""What a line of the chat is made of: pieces of text, each with its style. All of it is safe for a terminal."""

import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeAlias

from client.printable import ACTION, GUTTER, parts_of, printable, printable_lines, wrapped
from client.terminal.palette import MENTION, QUIET, style_of_name, uncolored
from protocol.messages import ChatMessage

Line: TypeAlias = list[tuple[str, str]]  # (style, text)

ME: Final = "You"


class Me(Protocol):
    """Who sits at the terminal."""

    id: str
    name: str


def chat_line(message: ChatMessage, at: str, me: Me) -> Line:
    """Show a message behind the time of day: the name in its colour, a notice quietly, one's own name bright."""
    before, name, after = parts_of(message)
    if message.is_system:
        return quiet(f"{at} {before}")
    if message.sender_id == me.id:
        return own_line(message.text, at, me.name)
    return [(QUIET, f"{at} "), ("", before), (style_of_name(message.sender_name), name), *_mentioning(after, me.name)]


def own_line(text: str, at: str, name: str) -> Line:
    """Show what one says oneself, as it stood at the prompt."""
    if text.startswith(ACTION):
        return [(QUIET, f"{at} "), ("", f"* {printable(name)} {printable_lines(text.removeprefix(ACTION))}")]
    return [(QUIET, f"{at} "), ("", f"{ME}: {printable_lines(text)}")]


def quiet(text: str) -> Line:
    """Show what is not said by anybody."""
    return [(QUIET, text)]


def rule(text: str, style: str = QUIET) -> Line:
    """Show what divides the chat: a day, the begin of what is unread."""
    return [(style, f"── {text} ──")]


def mentions(message: ChatMessage, me: Me) -> bool:
    """Tell whether somebody else says the name of who sits here."""
    is_others = not message.is_system and message.sender_id != me.id
    return is_others and _name_in_text(me.name).search(message.text) is not None


def without_colors(line: Line) -> Line:
    """Leave out the colours, and the seams between pieces that differ in nothing else."""
    return _joined([(uncolored(style), text) for style, text in line])


def fitted(line: Line, columns: int) -> Line:
    """Break a line as `wrapped` does: what goes on below stands behind the gutter, which is quiet."""
    text = "".join(piece for _, piece in line)
    rest, styled = deque(line), Line()
    place = 0
    for number, part in enumerate(wrapped(text, columns).split(GUTTER)):
        if number:
            styled.append((QUIET, GUTTER))
            if text.startswith(GUTTER, place):  # one that was there before
                place += sum(len(piece) for _, piece in _taken(rest, len(GUTTER)))
        styled += _taken(rest, len(part))
        place += len(part)
    return _joined(styled)


def _taken(rest: deque[tuple[str, str]], count: int) -> Iterator[tuple[str, str]]:
    """Take so many letters away from the begin, and give them with their styles."""
    while count:
        style, text = rest.popleft()
        if len(text) > count:
            rest.appendleft((style, text[count:]))
        yield style, text[:count]
        count -= min(count, len(text))


def _joined(pieces: Iterable[tuple[str, str]]) -> Line:
    groups = itertools.groupby((piece for piece in pieces if piece[1]), key=lambda piece: piece[0])
    return [(style, "".join(text for _, text in group)) for style, group in groups]


def _mentioning(text: str, name: str) -> Line:
    line: Line = []
    done = 0
    for found in _name_in_text(printable(name)).finditer(text):
        line += [("", text[done : found.start()]), (MENTION, found[0])]
        done = found.end()
    return [*line, ("", text[done:])]


def _name_in_text(name: str) -> re.Pattern[str]:
    """Find the name as a word of its own, with or without an @."""
    return re.compile(rf"(?<!\w)@?{re.escape(name)}(?!\w)", re.IGNORECASE)
