"""Text of others, made safe for a terminal or a log: nothing in it can move the cursor or pose as another line."""

import unicodedata
from typing import Final

from protocol.messages import ChatMessage

GUTTER: Final = "\n    | "
TAB: Final = "    "

# Control, format (the bidi overrides are there), surrogate, line and paragraph separator: Unicode 16.0, table 4-4.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""Give `text` as one line, what a terminal would obey or not show written as `\u{1b}`."""
    return "".join(_escape(char) for char in text)


def printable_lines(text: str) -> str:
    """Give `text` with its line breaks kept, each further line behind a gutter, so that it cannot pose as a line."""
    return GUTTER.join(printable(line.expandtabs(len(TAB))) for line in text.replace("\r\n", "\n").split("\n"))


def line_of(message: ChatMessage) -> str:
    """Show a message as the terminal does: `Bob: hi`, `[SYSTEM] Bob joined the chat`."""
    text = printable_lines(message.text)
    return f"[SYSTEM] {text}" if message.is_system else f"{printable(message.sender_name)}: {text}"


def _escape(char: str) -> str:
    return f"\\u{{{ord(char):x}}}" if unicodedata.category(char) in _UNSAFE else char
