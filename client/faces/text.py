"""Make untrusted text safe for a terminal or a log: it cannot move the cursor or imitate another line.

Visible characters stay: letters, digits, symbols, spaces, and a few marks on each. `unicodedata` decides which these
are: an emoji that is newer than Python's tables is shown as its number.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

from client.faces.links import find_links
from protocol.messages import ChatMessage

GUTTER: Final = "\n    | "
TAB: Final = "    "
ESCAPE: Final = "\\u{"  # begins the escape of a character that is not shown

# More marks cover the lines above, and no living script needs more on a letter (Burmese and pointed Hebrew come near).
MOST_MARKS: Final = 5
NARROWEST: Final = 20  # columns; terminals in use have more
EMOJI_SELECTOR: Final = "\ufe0f"
ACTION: Final = "/me "  # begins a text that describes an action of its sender (XEP-0245)

# Control, format (with the bidi overrides), surrogate, private use, unassigned, line and paragraph separator:
# Unicode 16.0, table 4-4.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt) without these and the variation selectors: the combining
# grapheme joiner, the Hangul fillers, the inherent vowels of Khmer.
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_SELECTORS: Final = frozenset(
    map(chr, (*range(0x180B, 0x180E), 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
_JOINERS: Final = frozenset("\u200c\u200d")
# Parts of an emoji that are not of category So: the skin tones, and the arrow of a shaken head.
VIRAMA: Final = 9  # canonical combining class
# The flags of England, Scotland and Wales: a black flag and invisible letters (emoji-sequences.txt).
_TAGS: Final = frozenset(map(chr, range(0xE0020, 0xE0080)))
_FLAG: Final = re.compile(
    "(?<=\U0001f3f4)(\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)\U000e007f)"
)
_EMOJI_PARTS: Final = frozenset("\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff\u2194")


def printable(text: str) -> str:
    r"""Return `text` as a single line; control and invisible characters become escapes such as `\u{1b}`."""
    if text.isascii() and text.isprintable():
        return text
    parts = _FLAG.split(text)  # every second part holds the letters of a flag
    return "".join(part if place % 2 else "".join(_shown(part)) for place, part in enumerate(parts))


def printable_lines(text: str) -> str:
    """Return `text` with its line breaks; a gutter before each further line keeps it from imitating a message."""
    return GUTTER.join(printable(line.expandtabs(len(TAB))) for line in text.replace("\r\n", "\n").split("\n"))


def line_of(message: ChatMessage) -> str:
    """Return the line of a message: `Bob: hi`, `* Bob waves` or `[SYSTEM] Bob joined the chat`."""
    return "".join(parts_of(message))


def parts_of(message: ChatMessage) -> tuple[str, str, str]:
    """Return the parts of that line: the text before the sender's name, the name, and the text after it."""
    if message.is_system:
        return f"[SYSTEM] {printable_lines(message.text)}", "", ""
    name = printable(message.sender_name)
    if name.startswith(("[", "* ")):  # only notices and actions begin with these
        name = _escape(name[0]) + name[1:]
    if not message.text.startswith(ACTION):
        return "", name, f": {printable_lines(message.text)}"
    if " " in name:  # distinguishes `Eve Smith` from an action of Eve
        name = f'"{name}"'
    return "* ", name, f" {printable_lines(message.text.removeprefix(ACTION))}"


def wrapped(line: str, columns: int) -> str:
    """Wrap a line from `line_of` to `columns`, with the gutter before each continuation.

    Otherwise a sender could pad a message so that the wrapped remainder looks like a line of its own.
    """
    width = max(columns, NARROWEST) - 1  # some terminals wrap after a character in the last column
    first, *further = line.split("\n")
    room = len(GUTTER) - 1
    parts = [*_broken(first, width, width - room)]
    for part in further:
        parts.extend(_broken(part.removeprefix(GUTTER[1:]), width - room, width - room))
    return GUTTER.join(parts)


def _shown(text: str) -> Iterator[str]:
    left = 0  # marks that may still follow; 0 after an escape and before the first letter
    for before, char, after in zip("\0" + text, text, text[1:] + "\0", strict=False):
        category = unicodedata.category(char)
        if category[0] == "M" and char not in _INVISIBLE:
            passes = left > 0 and (char not in _SELECTORS or (left == MOST_MARKS and before != " "))
            left = left - 1 if passes else 0
        elif char in _JOINERS:
            passes = left > 0 and _is_joined(before, after)
        else:
            passes = category not in _UNSAFE and char not in _INVISIBLE
            left = MOST_MARKS if passes else 0
        yield char if passes else _escape(char)


def _is_joined(before: str, after: str) -> bool:
    """Return whether a joiner is legitimate there: within a word (Persian, the scripts of India) or an emoji."""
    if VIRAMA in (unicodedata.combining(before), unicodedata.combining(after)):  # RFC 5892, appendix A; RA of Bengali
        return True
    marked = unicodedata.category(before)[0] == "M"
    return (marked or _is_letter_or_emoji(before)) and _is_letter_or_emoji(after)


def _is_letter_or_emoji(char: str) -> bool:
    category = unicodedata.category(char)
    return (category[0] == "L" or category == "So" or char in _EMOJI_PARTS) and char not in _INVISIBLE


def _escape(char: str) -> str:
    return f"{ESCAPE}{ord(char):x}}}"


def _broken(line: str, width: int, width_below: int) -> Iterator[str]:
    """Split a line: the first part has at most `width` columns, the rest `width_below`; letters keep their marks.

    A part ends after a blank if its second half has one, else within a word. A link stays whole, so that it can be
    copied. A link longer than a part ends its part, and the terminal itself wraps it.
    """
    begun = used = 0
    word = used_by_words = 0  # where the last word begins, and the columns before it
    for unit in _units(line, width_below):
        if unit.begin and line[unit.begin - 1] == " ":
            word, used_by_words = unit.begin, used
        is_long = unit.columns > width_below
        if used + unit.columns > width and not is_long:
            is_at_word = not unit.is_link and word > begun and used_by_words > width / 2
            end, kept = (word, used_by_words) if is_at_word else (unit.begin, used)
            yield line[begun:end]
            begun, used, width = end, used - kept, width_below
        used += unit.columns
        if is_long:
            yield line[begun : unit.end]
            begun, used, width = unit.end, 0, width_below
    if begun < len(line) or not line:
        yield line[begun:]


class _Unit(NamedTuple):
    """An unbreakable part of a line: a character with its marks, or a link."""

    begin: int
    end: int
    columns: int
    is_link: bool = False


def _units(line: str, width: int) -> Iterator[_Unit]:
    begin = 0
    for link in _whole_links(line, width):
        yield from _letters(line, begin, link.begin)
        yield link
        begin = link.end
    yield from _letters(line, begin, len(line))


def _whole_links(line: str, width: int) -> Iterator[_Unit]:
    """Return the links that stay whole: links that fit, and longer links that cannot imitate another line of the chat.

    A line of the chat has a blank after the time, and without a sender it begins with a tag in brackets.
    """
    for begin, end in find_links(line):
        link = line[begin:end]
        columns = sum(map(_columns, link))
        if columns <= width or (link.isascii() and not set(link) & set("[]")):
            yield _Unit(begin, end, columns, is_link=True)


def _letters(line: str, begin: int, end: int) -> Iterator[_Unit]:
    letter, columns = begin, 0
    for place in range(begin, end):
        if not _is_mark(line[place]) and place > letter:
            yield _Unit(letter, place, columns)
            letter, columns = place, 0
        columns += _columns(line[place], line[place - 1] if place else "")
    if letter < end:
        yield _Unit(letter, end, columns)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M" or char in _JOINERS or char in _TAGS


def _columns(char: str, before: str = "") -> int:
    """Return the most columns that a terminal uses for a character: it may draw any symbol as an emoji."""
    if char == EMOJI_SELECTOR and before:  # requests the emoji form of the character `before`
        return 2 - min(2, _columns(before))
    category = unicodedata.category(char)
    if category in ("Mn", "Me") or char in _JOINERS or char in _TAGS:
        return 0
    # Some numbers that are not digits are as wide as a symbol: counting rods, numbers in circles.
    is_symbol = not char.isascii() and (category[0] == "S" or category in ("No", "Nl"))
    return 2 if is_symbol or unicodedata.east_asian_width(char) in "WF" else 1
