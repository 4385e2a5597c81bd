"""The numbers (`seq`) of a log: one more for each entry, but for the gap that each restore of a backup leaves.

A backup does not know which numbers were given out after it was made. Its log therefore goes on above all of them, so
that a recipient that ignores every `seq` up to its last one ignores nothing that is new.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

# So many numbers for each second of the clock, and after each restore at least: more than a server can give out.
STEP: Final = 2**20
# Above 2^53 a number is not exact in every JSON parser (RFC 8259, section 6); this leaves 2^40 numbers to go on with.
HIGHEST_START: Final = 2**53 - 2**40


class Gap(NamedTuple):
    """Numbers that no entry of the log has: those above `after`, up to and including `up_to`."""

    after: int
    up_to: int


def gap_at_restore(newest: int, now: float) -> Gap:
    """Return the gap between a restored log, which ends at `newest`, and what comes next; `now` in Unix seconds.

    The clock makes the start differ from those of other restores of the same backup. A clock that is far beyond any
    real time is not used: the numbers must not run out.
    """
    by_clock = int(now * STEP)
    return Gap(newest, max(newest + STEP, by_clock if by_clock <= HIGHEST_START else 0))


def count_entries(after: int, up_to: int, gaps: Iterable[Gap]) -> int:
    """Count the entries that were stored above `after`, up to and including `up_to`, whether or not they are kept."""
    skipped = sum(max(0, min(gap.up_to, up_to) - max(gap.after, after)) for gap in gaps)
    return max(0, up_to - after - skipped)
