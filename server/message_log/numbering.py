"""The numbers (`seq`) of a log: they grow by 1 for each entry, with a gap at each restore of a backup.

A backup does not contain the numbers that were assigned after it was made. A restored log therefore continues above all
of them: otherwise a recipient that ignores every `seq` up to its cursor would ignore new messages.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

# Numbers per second of the clock, and the minimum gap after a restore: more than a server can assign.
STEP: Final = 2**20
# Above 2^53 a number is not exact in every JSON parser (RFC 8259, section 6); this leaves 2^40 numbers.
HIGHEST_START: Final = 2**53 - 2**40


class Gap(NamedTuple):
    """Numbers that are not used in the log: those above `after`, up to and including `up_to`."""

    after: int
    up_to: int


def gap_at_restore(newest: int, now: float) -> Gap:
    """Return the gap after a restored log that ends at `newest`; `now` is in Unix seconds.

    The gap depends on the clock, so that restores of the same backup continue at different numbers. A clock far in the
    future is not used: the numbers must not run out.
    """
    by_clock = int(now * STEP)
    return Gap(newest, max(newest + STEP, by_clock if by_clock <= HIGHEST_START else 0))


def count_entries(after: int, up_to: int, gaps: Iterable[Gap]) -> int:
    """Count the entries that were stored above `after`, up to and including `up_to`, whether or not they are kept."""
    skipped = sum(max(0, min(gap.up_to, up_to) - max(gap.after, after)) for gap in gaps)
    return max(0, up_to - after - skipped)
