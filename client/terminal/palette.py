"""The colours of the terminal, all to be read on a dark and on a light background."""

import hashlib
import unicodedata
from typing import Final

from prompt_toolkit.styles import Style

# Of the 256 colours that terminals agree on, some with a contrast of 4 and more to black and to white (WCAG 2), as far
# apart in hue as that leaves room for. Neighbours in this list are far apart, too.
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
GREY: Final = "#767676"  # 4.5 to both

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
        "link": "underline",  # as are the rows of a long one, which have no gutter
        "mention": "#d75f00 bold reverse",  # what is reversed is seen without colours, too
        "rprompt": GREY,
        **{f"name{number}": color for number, color in enumerate(NAMES)},
    }
)


def uncolored(style: str) -> str:
    """Give what is left of a style without colours: nothing, where it was but a colour."""
    return style if style in (UNREAD, MENTION) or style.startswith(LINK) else ""


def link_style(target: str) -> str:
    """Give the style of a link; `target` is the URL where it leads, empty if that cannot be told to a terminal."""
    return f"{LINK} {target}".rstrip()


def link_target(style: str) -> str:
    """Give the URL in the style of a link; empty for any other style."""
    return style.removeprefix(f"{LINK} ") if style.startswith(f"{LINK} ") else ""


def style_of_name(name: str) -> str:
    """Give the style of a name: the same in every run and at every computer, whatever the case."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    digest = hashlib.sha256(folded.encode(errors="surrogatepass")).digest()
    return f"class:name{int.from_bytes(digest[:4]) % len(NAMES)}"
