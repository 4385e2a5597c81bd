"""Detects look-alike texts and suspicious mixtures of scripts (UTS 39, Unicode Security Mechanisms).

The tables come from confusable-homoglyphs (confusables.txt) and unicodedataplus (Scripts.txt, ScriptExtensions.txt).
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Final

from confusable_homoglyphs.confusables import confusables_data
from unicodedataplus import script_extensions

LEFT_TO_RIGHT_MARK: Final = "\u200e"  # the table puts it around right-to-left letters
ANY_SCRIPT: Final = frozenset({"Zyyy", "Zinh"})  # Common, Inherited: digits, punctuation, emoji, combining marks
# The writing systems that use several scripts (UTS 39, section 5.1).
AUGMENTED: Final = {
    "Hani": {"Hanb", "Jpan", "Kore"},
    "Hira": {"Jpan"},
    "Kana": {"Jpan"},
    "Hang": {"Kore"},
    "Bopo": {"Hanb"},
}
# The writing systems that are commonly mixed with Latin letters: the level "Highly Restrictive" (UTS 39, section 5.2).
MIXED_WITH_LATIN: Final = ("Jpan", "Hanb", "Kore")


def skeleton(text: str) -> str:
    """Return the skeleton of a text (UTS 39, section 4), equal for texts that look alike; not meant for display."""
    prototypes = unicodedata.normalize("NFD", text).translate(_PROTOTYPES)
    return unicodedata.normalize("NFD", prototypes)


def is_highly_restrictive(text: str) -> bool:
    """Return whether a text uses a single writing system, or Latin with one of `MIXED_WITH_LATIN`."""
    scripts = [_scripts_of(char) for char in set(text)]
    scripts = [found for found in scripts if not found & ANY_SCRIPT]
    if not scripts or reduce(frozenset.intersection, scripts):
        return True
    return any(all(found & {"Latn", other} for found in scripts) for other in MIXED_WITH_LATIN)


def _scripts_of(char: str) -> frozenset[str]:
    found = frozenset[str](script_extensions(char))
    return found.union(*(AUGMENTED.get(script, ()) for script in found))


def _prototypes(table: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[int, str]:
    """Return a map from code point to prototype, derived from the library's symmetric table of look-alikes.

    In confusables.txt many characters map to a text, their prototype, which itself does not map to another text. In the
    symmetric table the prototype is therefore the text with the most look-alikes, or the longest; in a pair of single
    characters, either character serves.
    """
    alike = {_bare(text): [_bare(other["c"]) for other in others] for text, others in table.items()}
    found: dict[int, str] = {}
    for text, others in alike.items():
        prototype = min([text, *others], key=lambda one: (-len(alike[one]), -len(one), one))
        if len(text) == 1 and text != prototype:
            found[ord(text)] = prototype
    # A prototype of several characters may contain a character that is itself mapped to the other of its pair.
    return {code: prototype.translate(found) for code, prototype in found.items()}


def _bare(text: str) -> str:
    return text.strip(LEFT_TO_RIGHT_MARK) or text


def _without(codes: Iterable[int]) -> dict[int, str]:
    return dict.fromkeys(codes, "")


# Joiners, variation selectors, and the tag characters of flags: texts that differ only by these may look the same.
_UNSEEN: Final = (0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0xE0020, 0xE0080))
_PROTOTYPES: Final = {**_prototypes(confusables_data), **_without(_UNSEEN)}
