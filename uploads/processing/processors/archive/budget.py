"""How much may be unpacked from one file, all layers together, and when it counts as a bomb."""

from __future__ import annotations

import time

from uploads.processing.base import MIB, Context, ProcessingError

GIB = 1 << 30

# A ratio above this is a bomb once the total is above BOMB_BYTES: deflate cannot pass 1,032, text stays
# below 50, and a file of a few megabytes of zeros harms nobody.
BOMB_RATIO = 200
BOMB_BYTES = 100 * MIB
# Nobody unpacks more than this by accident, whatever its ratio.
MAX_BYTES = 256 * GIB
# Contents are checked as far as this and half of the time the job may take; a result says if that was all.
CHECKED_BYTES = GIB
CHECKED_SHARE = 0.5
# An archive in an archive in an archive: a quine never ends.
MAX_DEPTH = 4


class BudgetSpent(Exception):
    """The bytes or seconds for checking contents are used up: what is known so far is the result."""


class Budget:
    """Counts unpacked bytes; `packed` is the size in bytes of the whole upload.

    `declared` adds up what inner archives claim to unpack to.
    """

    def __init__(self, packed: int, seconds: float, limit: int = CHECKED_BYTES) -> None:
        self.packed = packed
        self.limit = limit
        self.spent = 0
        self.declared = 0
        self.deadline = time.monotonic() + seconds

    @classmethod
    def of(cls, job: Context) -> Budget:
        return cls(job.size, min(job.limits.wall_seconds, job.limits.cpu_seconds) * CHECKED_SHARE)

    def spend(self, count: int) -> None:
        """Note `count` more bytes; with 0 look at the time only.

        Raises ProcessingError(too_complex) for a bomb, BudgetSpent at the end of bytes or time.
        """
        self.spent += count
        refuse_bomb(self.spent, self.packed)
        if self.spent > self.limit or time.monotonic() > self.deadline:
            raise BudgetSpent


def refuse_bomb(total: int, packed: int) -> None:
    """Raise ProcessingError(too_complex) when `total` bytes out of `packed` are more than can be meant."""
    ratio = total / max(1, packed)
    if total > BOMB_BYTES and ratio > BOMB_RATIO:
        message = (
            f"The archive is a bomb: {human(packed)} unpack to at least {human(total)}, {ratio:,.0f} to one."
        )
        raise ProcessingError("too_complex", message)
    if total > MAX_BYTES:
        message = f"The archive unpacks to {human(total)}; at most {human(MAX_BYTES)} are accepted."
        raise ProcessingError("too_complex", message)


def human(count: int) -> str:
    """Return a number of bytes in words: 999 bytes, 1.5 kB, 4.2 GB (powers of ten)."""
    if count < 1000:
        return f"{count} bytes"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        amount /= 1000
        if amount < 1000:
            return f"{amount:.1f} {unit}"
    return f"{amount:.3g} PB"
