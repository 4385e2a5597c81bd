"""Which texts look alike, and which mix scripts that nobody mixes but to deceive (UTS 39, Unicode Security Mechanisms).

The tables are those of confusable-homoglyphs (confusables.txt) and fontTools (Scripts.txt, ScriptExtensions.txt).
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Final

from confusable_homoglyphs.confusables import confusables_data
from fontTools.unicodedata import script_extension

LEFT_TO_RIGHT_MARK: Final = "\u200e"  # which the table puts around letters that are written from the right
ANY_SCRIPT: Final = frozenset({"Zyyy", "Zinh"})  # Common, Inherited: digits, punctuation, emoji, combining marks
# The writing systems that use several scripts (UTS 39, section 5.1).
AUGMENTED: Final = {
    "Hani": {"Hanb", "Jpan", "Kore"},
    "Hira": {"Jpan"},
    "Kana": {"Jpan"},
    "Hang": {"Kore"},
    "Bopo": {"Hanb"},
}
# Those that are commonly mixed with Latin letters: the level "Highly Restrictive" (UTS 39, section 5.2).
MIXED_WITH_LATIN: Final = ("Jpan", "Hanb", "Kore")


def skeleton(text: str) -> str:
    """Give what two texts have in common when they look alike (UTS 39, section 4); it is not for showing."""
    prototypes = unicodedata.normalize("NFD", text).translate(_PROTOTYPES)
    return unicodedata.normalize("NFD", prototypes)


def is_highly_restrictive(text: str) -> bool:
    """Tell whether a text is of one writing system, or of Latin and one of those that are mixed with it."""
    scripts = [_scripts_of(char) for char in set(text)]
    scripts = [found for found in scripts if not found & ANY_SCRIPT]
    if not scripts or reduce(frozenset.intersection, scripts):
        return True
    return any(all(found & {"Latn", other} for found in scripts) for other in MIXED_WITH_LATIN)


def _scripts_of(char: str) -> frozenset[str]:
    found: set[str] = script_extension(char)
    return frozenset(found.union(*(AUGMENTED.get(script, ()) for script in found)))


def _prototypes(table: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[int, str]:
    """Make of "a and b look alike", which the table says of each to the other, the one that all others stand for.

    In confusables.txt many characters lead to one text, the prototype, which itself leads nowhere. So it is the one of
    more than one character, or with more than one look-alike; in a pair of two characters either will do.
    """
    alike = {_bare(text): [_bare(other["c"]) for other in others] for text, others in table.items()}
    found: dict[int, str] = {}
    for text, others in alike.items():
        prototype = min([text, *others], key=lambda one: (-len(alike[one]), -len(one), one))
        if len(text) == 1 and text != prototype:
            found[ord(text)] = prototype
    # A prototype of several characters may hold one of a pair of which the other was taken.
    return {code: prototype.translate(found) for code, prototype in found.items()}


def _bare(text: str) -> str:
    return text.strip(LEFT_TO_RIGHT_MARK) or text


def _without(codes: Iterable[int]) -> dict[int, str]:
    return dict.fromkeys(codes, "")


# Joiners, variation selectors, and the letters of flags: two texts that differ by these may look the same.
_UNSEEN: Final = (0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0xE0020, 0xE0080))
_PROTOTYPES: Final = {**_prototypes(confusables_data), **_without(_UNSEEN)}
