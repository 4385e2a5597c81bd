"""The page's icon with the number of unread messages: a file for each number.

The page's Content Security Policy allows images only from its own files, not from data: URLs.
"""

from typing import Final

MOST: Final = 9

_END: Final = "</svg>"
_BADGE: Final = (
    '<circle cx="46" cy="46" r="18" fill="#d3263a" stroke="#fff" stroke-width="3"/>'
    '<text x="46" y="55" fill="#fff" font-family="sans-serif" font-size="26" font-weight="700" text-anchor="middle">'
    "{}</text>"
)


def with_counts(icon: bytes) -> dict[str, bytes]:
    """Return the files `icon-1.svg` to `icon-9.svg`, and `icon-many.svg` for more, made from the page's icon."""
    drawing, _, _ = icon.decode().rpartition(_END)
    words = {str(count): str(count) for count in range(1, MOST + 1)} | {"many": f"{MOST}+"}
    return {f"icon-{name}.svg": (drawing + _BADGE.format(word) + _END).encode() for name, word in words.items()}
