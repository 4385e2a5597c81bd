"""The colours of the terminal face, readable on dark and on light backgrounds."""

import hashlib
import unicodedata
from typing import Final

from prompt_toolkit.styles import Style

# From the 256-colour palette, colours with a contrast of at least 4 to black and to white (WCAG 2), with hues as far
# apart as that allows. Neighbours in this list differ strongly, too.
NAMES: Final = (
    "#0087af",
    "#d70087",
    "#008700",
    "#d700d7",
    "#af5f00",
    "#5f5fff",
    "#d7005f",
    "#00875f",
    "#af5faf",
    "#5f8700",
    "#875fd7",
    "#af5f5f",
)
GREY: Final = "#767676"  # contrast 4.5 to black and to white

QUIET: Final = "class:quiet"
UNREAD: Final = "class:unread"
MENTION: Final = "class:mention"
ERROR: Final = "class:error"
LINK: Final = "class:link"

STYLE: Final = Style.from_dict(
    {
        "quiet": GREY,
        "unread": "#d75f00 bold",
        "error": "#d75f00",
        "link": "underline",  # also marks the rows of a long link, which have no gutter
        "mention": "#d75f00 bold reverse",  # reverse video is visible without colours, too
        "rprompt": GREY,
        **{f"name{number}": color for number, color in enumerate(NAMES)},
    }
)


def uncolored(style: str) -> str:
    """Return the style without its colours; empty if the style is only a colour."""
    return style if style in (UNREAD, MENTION) or style.startswith(LINK) else ""


def link_style(target: str) -> str:
    """Return the style of a link to the URL `target`; `target` is empty if the URL cannot be written to a terminal."""
    return f"{LINK} {target}".rstrip()


def link_target(style: str) -> str:
    """Return the URL in the style of a link; empty for any other style."""
    return style.removeprefix(f"{LINK} ") if style.startswith(f"{LINK} ") else ""


def style_of_name(name: str) -> str:
    """Return the style of a name: the same in every run and on every computer, upper and lower case alike."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    digest = hashlib.sha256(folded.encode(errors="surrogatepass")).digest()
    return f"class:name{int.from_bytes(digest[:4]) % len(NAMES)}"
