"""What a name may be, and when two names are the same."""

import unicodedata
from typing import Final

from protocol.methods import MAX_NAME_CHARS

FORBIDDEN_CHARACTERS: Final = frozenset("@/:")
# A character of NFKC is composed of four at most, so that a text longer than this is too long in any case. To normalize
# it could take minutes: the time grows with the square of the combining marks in a row.
MAX_RAW_CHARS: Final = 4 * MAX_NAME_CHARS
# General categories (Unicode Standard, table 4-4) that a name may not hold: control, format, surrogate, private use,
# unassigned, line and paragraph separators.
FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class NameProblem(ValueError):
    """A text that cannot be a name; `str()` says why, as the end of a sentence that begins with "name"."""


def normalize_name(text: str) -> str:
    """Give the name as it is shown and stored (NFKC), or raise `NameProblem`."""
    if len(text) > MAX_RAW_CHARS:
        raise NameProblem(f"must have at most {MAX_NAME_CHARS} characters, not {len(text)}")
    name = unicodedata.normalize("NFKC", text)
    if not name.strip():
        raise NameProblem("must not be empty or only white space")
    if len(name) > MAX_NAME_CHARS:
        raise NameProblem(f"must have at most {MAX_NAME_CHARS} characters, not {len(name)}")
    for character in name:
        _check_character(character)
    if name != name.strip() or "  " in name:
        raise NameProblem("must not begin or end with a space or have two spaces in a row")
    return name


def name_key(name: str) -> str:
    """Give what is compared: two names with the same key are the same name (case-folded NFKC)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _check_character(character: str) -> None:
    if character in FORBIDDEN_CHARACTERS:
        raise NameProblem(f"must not contain {character!r}")
    category = unicodedata.category(character)
    if category in FORBIDDEN_CATEGORIES or (category == "Zs" and character != " "):
        raise NameProblem(f"must not contain the invisible character U+{ord(character):04X}")
