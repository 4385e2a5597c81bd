"""Find links in a text. The page uses the same rule (`web/static/format.js`)."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlsplit

# `\` begins an escape of `client.faces.text`, and URLs do not contain it (RFC 3986, section 2).
CANDIDATE: Final = re.compile(r"(?<![A-Za-z0-9_])https?://[^\s<>\"`\\]+", re.IGNORECASE)
SENTENCE_ENDS: Final = ".,;:!?'\"*_~"
BRACKETS: Final = {")": "(", "]": "[", "}": "{"}
ENDING_CATEGORIES: Final = frozenset({"Po", "Ps", "Pe", "Pi", "Pf"})
WITHIN_WORDS: Final = frozenset("·・")  # in Catalan and Japanese titles, such as in Wikipedia addresses
MAX_TARGET_CHARS: Final = 2083  # terminals ignore longer targets (VTE)
SAFE_IN_TARGET: Final = "%:/?#[]@!$&'()*+,;=-._~|^{}"


def find_links(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each link, without punctuation of the sentence and without brackets around the link."""
    for found in CANDIDATE.finditer(text):
        link = _up_to_end(found[0]).rstrip(SENTENCE_ENDS)
        if _has_host(link):
            yield found.start(), found.start() + len(link)


def target_of(link: str) -> str:
    """Return the URL in ASCII for a terminal, or "" if it is too long."""
    target = quote(link, safe=SAFE_IN_TARGET, errors="replace")
    return target if len(target) <= MAX_TARGET_CHARS else ""


def _up_to_end(link: str) -> str:
    """Cut a link at punctuation that is not ASCII, or at the first closing bracket without an opening bracket."""
    opened: Counter[str] = Counter()
    for place, char in enumerate(link):
        opened[char] += 1
        if _ends_a_link(char) or (char in BRACKETS and opened[char] > opened[BRACKETS[char]]):
            return link[:place]
    return link


def _ends_a_link(char: str) -> bool:
    """Return whether this is punctuation beyond ASCII, such as a Chinese full stop or a typographic quotation mark."""
    return not char.isascii() and char not in WITHIN_WORDS and unicodedata.category(char) in ENDING_CATEGORIES


def _has_host(link: str) -> bool:
    try:
        return bool(urlsplit(link).hostname)
    except ValueError:  # an invalid IPv6 address
        return False
