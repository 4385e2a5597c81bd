"""Invisible characters that are valid in a name: joiners of scripts and emoji, and the tag characters of flags."""

import re
import unicodedata
from typing import Final

from idna import valid_contextj

JOINERS: Final = frozenset("\u200c\u200d")
# Emoji that occur in joined sequences (emoji-zwj-sequences.txt), each with an optional variation selector or skin tone.
# Emoji of later versions are in the same blocks.
_EMOJI: Final = (
    "[\u2194\u2195\u2620\u2640\u2642\u2695\u2696\u26a7\u26d3\u26f9\u2708\u2744\u2764\u27a1\u2b1b"
    "\U0001f300-\U0001f3fa\U0001f400-\U0001f53d\U0001f546-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb"
    "\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff]?"
)
_JOINED_EMOJI: Final = re.compile(f"{_EMOJI}(?:\u200d{_EMOJI})+")
# The flags of England, Scotland and Wales (emoji-sequences.txt): a black flag, and invisible tag characters.
_FLAG: Final = re.compile(
    "\U0001f3f4\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)\U000e007f"
)
# A joiner before a virama keeps RA in its full form: before ya-phalaa in Bengali (র‍্যাব), in a conjunct without repha
# in Kannada (Unicode Standard 16.0, sections 12.2 and 12.8). RFC 5892 allows a joiner only after a virama.
_WHOLE_RA: Final = re.compile("(?:(?<=\u09b0)\u200d(?=\u09cd)|(?<=\u0cb0)\u200d(?=\u0ccd))")
_SELECTORS: Final = frozenset("\ufe0e\ufe0f")
_KEYCAP: Final = "\u20e3"
_KEYS: Final = frozenset("#*0123456789")


def without_stray_selectors(text: str) -> str:
    """Return `text` without the text and emoji style selectors that have no effect.

    A selector has an effect after a symbol and within a keycap (emoji-variation-sequences.txt). NFKC can leave a
    selector after a letter.
    """
    kept: list[str] = []
    for place, char in enumerate(text):
        before = kept[-1] if kept else ""
        if char not in _SELECTORS or _has_styles(before, text[place + 1 : place + 2]):
            kept.append(char)
    return "".join(kept)


def _has_styles(before: str, behind: str) -> bool:
    is_symbol = before != "" and unicodedata.category(before)[0] == "S"
    return is_symbol or (before in _KEYS and behind == _KEYCAP)


def without_joiners(text: str) -> str:
    """Return `text` without the joiners and tag characters in valid positions; those in other positions stay.

    In words, the positions are those of domain names (RFC 5892, appendix A.1 and A.2): a joiner after a virama, a
    non-joiner also between letters that would be joined; in addition, a joiner between some letters RA and a virama.
    """
    text = _FLAG.sub("\U0001f3f4", text)
    text = _WHOLE_RA.sub("", text)
    text = _JOINED_EMOJI.sub(lambda sequence: sequence[0].replace("\u200d", ""), text)
    return "".join(char for place, char in enumerate(text) if not (char in JOINERS and valid_contextj(text, place)))
