"""The invisible characters that a name needs: joiners of languages and of emoji, and the letters behind a flag."""

import re
import unicodedata
from typing import Final

from idna import valid_contextj

JOINERS: Final = frozenset("\u200c\u200d")
# Emoji that are joined to others (emoji-zwj-sequences.txt), each with a variation selector or a skin tone; younger ones
# lie in the same blocks.
_EMOJI: Final = (
    "[\u2194\u2195\u2620\u2640\u2642\u2695\u2696\u26a7\u26d3\u26f9\u2708\u2744\u2764\u27a1\u2b1b"
    "\U0001f300-\U0001f3fa\U0001f400-\U0001f53d\U0001f546-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb"
    "\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff]?"
)
_JOINED_EMOJI: Final = re.compile(f"{_EMOJI}(?:\u200d{_EMOJI})+")
# The flags of England, Scotland and Wales (emoji-sequences.txt): a black flag, and letters that nobody sees.
_FLAG: Final = re.compile(
    "\U0001f3f4\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)\U000e007f"
)
# A joiner in front of a virama keeps RA whole: ya-phalaa behind it in Bengali (র‍্যাব), a conjunct without repha in
# Kannada (Unicode Standard 16.0, sections 12.2 and 12.8). RFC 5892 knows joiners behind a virama only.
_WHOLE_RA: Final = re.compile("(?:(?<=\u09b0)\u200d(?=\u09cd)|(?<=\u0cb0)\u200d(?=\u0ccd))")
_SELECTORS: Final = frozenset("\ufe0e\ufe0f")
_KEYCAP: Final = "\u20e3"
_KEYS: Final = frozenset("#*0123456789")


def without_stray_selectors(text: str) -> str:
    """Return `text` without the selectors of text or emoji style that stand where they can show nothing.

    They count behind a symbol, and within a keycap (emoji-variation-sequences.txt); NFKC leaves others behind letters.
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
    """Return `text` without the joiners and flag letters that stand where they must; others stay.

    For words the rules are those of domain names (RFC 5892, appendix A.1 and A.2): a joiner stands behind a virama, a
    non-joiner also between letters that would be joined; and in front of a virama behind some letters RA.
    """
    text = _FLAG.sub("\U0001f3f4", text)
    text = _WHOLE_RA.sub("", text)
    text = _JOINED_EMOJI.sub(lambda sequence: sequence[0].replace("\u200d", ""), text)
    return "".join(char for place, char in enumerate(text) if not (char in JOINERS and valid_contextj(text, place)))
