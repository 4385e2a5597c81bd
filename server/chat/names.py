"""Validates names, and decides when two names are the same."""

import re
import unicodedata
from typing import Final, NamedTuple

from protocol.methods import MAX_NAME_CHARS
from server.chat.confusables import is_highly_restrictive, skeleton
from server.chat.joiners import without_joiners, without_stray_selectors

FORBIDDEN_CHARACTERS: Final = frozenset("@/:")
# Names that would impersonate the chat itself, or the reader.
RESERVED: Final = ("system", "server", "you")
RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})  # UAX 9
# The words of notices. A name that contains them would make a notice state something else as well.
NOTICES: Final = ("joined the chat", "left the chat", " is now ")
# NFKC composes at most four characters into a single character, so a longer text is too long in any case. Normalizing
# it could take minutes: the time grows with the square of the number of combining marks in a row.
MAX_RAW_CHARS: Final = 4 * MAX_NAME_CHARS
# General categories (Unicode Standard, table 4-4) that a name may not hold: control, format, surrogate, private use,
# unassigned, line and paragraph separators.
FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Invisible letters, marks and symbols: the other code points of Default_Ignorable_Code_Point
# (DerivedCoreProperties.txt), except the variation selectors of emoji; the blank Braille pattern, the null notehead,
# and the replacement characters U+FFFC and U+FFFD.
INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\ufffc\ufffd\U0001d159\U000e0100-\U000e01ef]"
)
# A stroke through a letter, and an extra dot on i, j or l (or dotless i or j): too faint to distinguish two names.
HARDLY_VISIBLE: Final = re.compile("[\u0334-\u0338]|[ijl\u0131\u0237]\u0307")
UNICODE: Final = unicodedata.unidata_version
MAX_MARKS: Final = 4  # on one letter (UTS 39, section 5.4): more marks overlap the lines above and below


class NameProblem(ValueError):
    """A text that is not a valid name; `str()` is the reason, as the end of a sentence that begins with "name"."""


def normalize_name(text: str) -> str:
    """Return the name as it is shown and stored (NFKC). Raise `NameProblem`."""
    if len(text) > MAX_RAW_CHARS:
        raise NameProblem(f"must have at most {MAX_NAME_CHARS} characters, not {len(text)}")
    name = without_stray_selectors(unicodedata.normalize("NFKC", text))
    if not name.strip():
        raise NameProblem("must not be empty or only white space")
    if len(name) > MAX_NAME_CHARS:
        raise NameProblem(f"must have at most {MAX_NAME_CHARS} characters, not {len(name)}")
    for character in without_joiners(name):
        _check_character(character)
    _check_marks(name)
    if name != name.strip() or "  " in name:
        raise NameProblem("must not begin or end with a space or have two spaces in a row")
    if not is_highly_restrictive(name):
        raise NameProblem("must not mix letters of different writing systems, since they may look the same")
    _check_looks(name)
    return name


class NameKeys(NamedTuple):
    """The two keys of a name. Names are the same if they differ in case only, or look alike as they are written.

    The keys are not combined: `Ian` looks like `lan`, which is `Lan` in lower case, but Ian and Lan differ in look.
    """

    case_key: str
    confusable_key: str

    def clash(self, other: "NameKeys") -> bool:
        """Return whether two names are the same."""
        return self.case_key == other.case_key or self.confusable_key == other.confusable_key


def name_keys(name: str) -> NameKeys:
    """Return the keys of a name: the skeletons (UTS 39, section 4) of its case-folded NFKC and of its NFKC."""
    shown = unicodedata.normalize("NFKC", name)
    return NameKeys(skeleton(unicodedata.normalize("NFKC", shown.casefold())), skeleton(shown))


def _check_character(character: str) -> None:
    if character in FORBIDDEN_CHARACTERS:
        raise NameProblem(f"must not contain {character!r}")
    category = unicodedata.category(character)
    is_invisible = category in FORBIDDEN_CATEGORIES or INVISIBLE.match(character)
    if category == "Cn" and "\U0001f000" <= character <= "\U0001faff":  # an emoji of a later version
        raise NameProblem(f"must not contain U+{ord(character):04X}, which Unicode {UNICODE} does not have")
    if is_invisible or (category == "Zs" and character != " "):
        raise NameProblem(f"must not contain the invisible character U+{ord(character):04X}")


def _check_marks(name: str) -> None:
    marks, apart = 0, unicodedata.normalize("NFD", name)
    if HARDLY_VISIBLE.search(apart):
        raise NameProblem("must not have a barely visible mark: an overlay stroke, or an extra dot on i, j or l")
    for character in apart:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks > MAX_MARKS:
            raise NameProblem(f"must not have more than {MAX_MARKS} marks on one letter")


def _check_looks(name: str) -> None:
    """Raise `NameProblem` for a name that could be mistaken for a notice, an address or another name."""
    keys = name_keys(name)
    letters = name_keys("".join(filter(str.isalnum, name)))
    if any(letters.clash(reserved) for reserved in RESERVED_KEYS):
        raise NameProblem("is reserved: readers would mistake it for the chat itself, or for themselves")
    if name[0] == "[" or unicodedata.category(name[0])[0] == "M":
        raise NameProblem("must not begin with a bracket or a combining mark")
    directions = [unicodedata.bidirectional(character) for character in name]
    if RIGHT_TO_LEFT.intersection(directions) and directions[0] not in RIGHT_TO_LEFT:
        raise NameProblem("must begin with a right-to-left letter if it has any; else it may look like another name")
    if looks := FORBIDDEN_CHARACTERS.intersection(map(skeleton, name)):
        raise NameProblem(f"must not contain a character that looks like {min(looks)!r}")
    if any(notice in key for notice in NOTICE_KEYS for key in (keys.case_key, keys.confusable_key.lower())):
        raise NameProblem('must not contain the words of a notice, such as "joined the chat"')


RESERVED_KEYS: Final = tuple(name_keys(name) for name in RESERVED)
NOTICE_KEYS: Final = tuple(name_keys(notice).case_key for notice in NOTICES)
