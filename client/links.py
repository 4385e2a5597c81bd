"""Where links stand in a text. The page has the same rule (`web/static/format.js`)."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlsplit

# `\` begins an escape of `client.printable`, and no URL has one (RFC 3986, section 2).
CANDIDATE: Final = re.compile(r"(?<![A-Za-z0-9_])https?://[^\s<>\"`\\]+", re.IGNORECASE)
SENTENCE_ENDS: Final = ".,;:!?'\"*_~"
BRACKETS: Final = {")": "(", "]": "[", "}": "{"}
ENDING_CATEGORIES: Final = frozenset({"Po", "Ps", "Pe", "Pi", "Pf"})
WITHIN_WORDS: Final = frozenset("·・")  # Catalan and Japanese titles, as Wikipedia has them in addresses
MAX_TARGET_CHARS: Final = 2083  # longer ones are ignored by terminals (VTE)
SAFE_IN_TARGET: Final = "%:/?#[]@!$&'()*+,;=-._~|^{}"


def find_links(text: str) -> Iterator[tuple[int, int]]:
    """Give begin and end of each link. Punctuation of the sentence and brackets around it are not part of it."""
    for found in CANDIDATE.finditer(text):
        link = _up_to_end(found[0]).rstrip(SENTENCE_ENDS)
        if _has_host(link):
            yield found.start(), found.start() + len(link)


def target_of(link: str) -> str:
    """Give the URL in ASCII, as a terminal takes it; empty if it is too long for that."""
    target = quote(link, safe=SAFE_IN_TARGET, errors="replace")
    return target if len(target) <= MAX_TARGET_CHARS else ""


def _up_to_end(link: str) -> str:
    """Cut a link at punctuation that is not ASCII, and at the first bracket that was not opened in it."""
    opened: Counter[str] = Counter()
    for place, char in enumerate(link):
        opened[char] += 1
        if _ends_a_link(char) or (char in BRACKETS and opened[char] > opened[BRACKETS[char]]):
            return link[:place]
    return link


def _ends_a_link(char: str) -> bool:
    """Tell whether this is a full stop of Chinese, a typographic quotation mark or the like."""
    return not char.isascii() and char not in WITHIN_WORDS and unicodedata.category(char) in ENDING_CATEGORIES


def _has_host(link: str) -> bool:
    try:
        return bool(urlsplit(link).hostname)
    except ValueError:  # an IPv6 address that is none
        return False
