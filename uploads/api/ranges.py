"""Byte ranges of a download (RFC 9110, section 14): header grammar, pure text work."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*\Z", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """The header is a range, but none of the file lies within it."""


@dataclass(frozen=True, slots=True)
class Range:
    """`length` bytes from `start` on, of `size` in all."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def parse(header: str, size: int) -> Range | None:
    """The one range that `Range: header` asks for of a file of `size` bytes.

    None means the whole file: another unit, bad grammar, or several ranges (which a server may ignore).
    Raises Unsatisfiable.
    """
    found = _ONE.match(header.strip())
    if found is None:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:  # the last so many bytes
        length = min(int(last), size)
        if length == 0:
            raise Unsatisfiable
        return Range(size - length, length, size)
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return None  # bad grammar, so no range at all
    if start >= size:
        raise Unsatisfiable
    return Range(start, min(end, size - 1) - start + 1, size)
