"""Lines of the chat as pieces of text with a style. All text is safe for a terminal."""

import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeAlias

from client.faces.links import find_links, target_of
from client.faces.terminal.palette import MENTION, QUIET, link_style, style_of_name, uncolored
from client.faces.text import ACTION, ESCAPE, GUTTER, parts_of, printable, printable_lines, wrapped
from protocol.messages import ChatMessage

Line: TypeAlias = list[tuple[str, str]]  # (style, text)

ME: Final = "You"


class Me(Protocol):
    """The participant at this terminal."""

    id: str
    name: str


def chat_line(message: ChatMessage, at: str, me: Me, others: Iterable[str] = ()) -> Line:
    """Return the line of a message: time, name in its colour, text. Notices are grey, mentions of `me` highlighted.

    `others` are the names that contain the name of `me`: `@Ann Smith` does not mention Ann.
    """
    before, name, after = parts_of(message)
    if message.is_system:
        return quiet(f"{at} {before}")
    if message.sender_id == me.id:
        return own_line(message.text, at, me.name)
    colored_name = (style_of_name(message.sender_name), name)
    return [(QUIET, f"{at} "), ("", before), colored_name, *_marked(after, _names_in_text(me.name, others), me.name)]


def own_line(text: str, at: str, name: str) -> Line:
    """Return the line of a message that this participant sent, as it looked at the prompt."""
    if text.startswith(ACTION):
        return [(QUIET, f"{at} "), *_marked(f"* {printable(name)} {printable_lines(text.removeprefix(ACTION))}")]
    return [(QUIET, f"{at} "), *_marked(f"{ME}: {printable_lines(text)}")]


def quiet(text: str) -> Line:
    """Return a grey line, for texts that are not messages."""
    return [(QUIET, text)]


def rule(text: str, style: str = QUIET) -> Line:
    """Return a line that divides the chat: a date, or the start of the unread messages."""
    return [(style, f"── {text} ──")]


def mentions(message: ChatMessage, me: Me, others: Iterable[str] = ()) -> bool:
    """Return whether a message of another participant mentions `me`, and not a longer name in `others`."""
    is_others = not message.is_system and message.sender_id != me.id
    return is_others and any(_find_name(message.text, _names_in_text(me.name, others), me.name))


def without_colors(line: Line) -> Line:
    """Return the line without colours; neighbouring pieces with the same remaining style are joined."""
    return _joined([(uncolored(style), text) for style, text in line])


def fitted(line: Line, columns: int) -> Line:
    """Return the line wrapped as `wrapped` does, styles kept; continuation rows start with a grey gutter."""
    text = "".join(piece for _, piece in line)
    rest, styled = deque(line), Line()
    place = 0
    for number, part in enumerate(wrapped(text, columns).split(GUTTER)):
        if number:
            styled.append((QUIET, GUTTER))
            if text.startswith(GUTTER, place):  # the text had this gutter already
                place += sum(len(piece) for _, piece in _taken(rest, len(GUTTER)))
        styled += _taken(rest, len(part))
        place += len(part)
    return _joined(styled)


def _taken(rest: deque[tuple[str, str]], count: int) -> Iterator[tuple[str, str]]:
    """Remove `count` characters from the start of `rest`, and yield them with their styles."""
    while count:
        style, text = rest.popleft()
        if len(text) > count:
            rest.appendleft((style, text[count:]))
        yield style, text[:count]
        count -= min(count, len(text))


def _joined(pieces: Iterable[tuple[str, str]]) -> Line:
    groups = itertools.groupby((piece for piece in pieces if piece[1]), key=lambda piece: piece[0])
    return [(style, "".join(text for _, text in group)) for style, group in groups]


def _marked(text: str, names: re.Pattern[str] | None = None, mine: str = "") -> Line:
    """Return the text with links and mentions of `mine` marked. Text with escaped characters gets no links."""
    line: Line = []
    done = 0
    for begin, end in () if ESCAPE in text else find_links(text):
        link = text[begin:end]
        line += [*_mentioning(text[done:begin], names, mine), (link_style(target_of(link)), link)]
        done = end
    return [*line, *_mentioning(text[done:], names, mine)]


def _mentioning(text: str, names: re.Pattern[str] | None, mine: str) -> Iterator[tuple[str, str]]:
    done = 0
    for found in _find_name(text, names, mine) if names else ():
        yield from (("", text[done : found.start()]), (MENTION, found[0]))
        done = found.end()
    yield "", text[done:]


def _find_name(text: str, names: re.Pattern[str], mine: str) -> Iterator[re.Match[str]]:
    """Return the matches of `names` that are `mine`, not a longer name."""
    return (found for found in names.finditer(text) if found[1].casefold() == mine.casefold())


def _names_in_text(mine: str, others: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of the names as whole words, with or without @; the longest name wins."""
    names = sorted({mine, *others}, key=len, reverse=True)
    return re.compile(rf"(?<!\w)@?({'|'.join(map(re.escape, names))})(?!\w|[\u0300-\u036f])", re.IGNORECASE)
