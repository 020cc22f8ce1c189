"""Any value of a cell made plain: JSON-safe, bounded, clean."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice

from uploads.processing.base import Json
from uploads.processing.sanitize import clean_text

CELL = 100
NAME = 120
# Columns that are summed up; the rest are counted.
FIELDS = 1000
PREVIEW_ROWS, PREVIEW_COLUMNS = 20, 100
# JavaScript reads larger whole numbers inexactly, so they travel as strings.
_EXACT = 1 << 53


def plain(value: object, limit: int = CELL) -> Json:
    """`value` as JSON may hold it: dates in ISO 8601, large integers and long decimals as strings, no NaN."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else _digits(value, limit)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return clean_text(value, limit)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return clean_text(bytes(value[: limit + 1]).hex(), limit)
    if isinstance(value, Decimal) and value.is_finite() and len(value.as_tuple().digits) <= 15:
        return float(value)  # exact enough: a double holds fifteen digits
    if isinstance(value, Decimal | timedelta):
        return clean_text(str(value), limit)
    return clean_text(_bounded_repr(value, limit), limit)


def _digits(value: int, limit: int) -> str:
    try:
        return clean_text(str(value), limit)
    except ValueError:  # more digits than Python is willing to print
        return clean_text(hex(value), limit)


def _bounded_repr(value: object, limit: int) -> str:
    """A nested value (a list or struct of Parquet) in short, without printing all of it first."""
    if isinstance(value, dict):
        pairs = (f"{plain(key, limit)}: {plain(one, limit)}" for key, one in islice(value.items(), 20))
        inner = ", ".join(pairs)
        return "{" + inner + (", …}" if len(value) > 20 else "}")
    if isinstance(value, list | tuple):
        inner = ", ".join(str(plain(one, limit)) for one in value[:20])
        return "[" + inner + (", …]" if len(value) > 20 else "]")
    return str(value)
