"""Plain data in a few words: whatever is handed in, a short text, a count, a list or a dictionary comes out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.utils.formats import date_format, number_format

CELL_CHARACTERS = 80


def label(name: str) -> str:
    """A name such as frame_rate as a label: Frame rate."""
    return text(name, 40).replace("_", " ").capitalize()


def value(value: object) -> str:
    return number(value) if isinstance(value, int | float) else text(value, 300)


def cell(value: object) -> str:
    return "" if value is None else text(value, CELL_CHARACTERS)


def text(value: object, limit: int = 200) -> str:
    """A value as text of at most `limit` characters; nothing for None and for what holds others."""
    if value is None or isinstance(value, dict | list):
        return ""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: object, *, grouped: bool = True) -> str:
    """A number as the reader's language writes it, to three decimals; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value, 40)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    short = round(value, 3)
    return number_format(int(short) if short == int(short) else short, force_grouping=grouped)


def moment(value: object) -> str:
    """An ISO 8601 time as the reader's language writes it, in its own time zone; anything else as text."""
    said = text(value, 40)
    try:
        when = datetime.fromisoformat(said)
    except ValueError:
        return said
    if len(said) <= 10:
        return date_format(when, "SHORT_DATE_FORMAT")
    return date_format(when, "SHORT_DATETIME_FORMAT") + (" UTC" if when.tzname() == "UTC" else "")


def count(value: object) -> str:
    return number(value) if isinstance(value, int) else ""


def whole(value: object) -> int:
    """A whole number, or 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def items(value: object) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else []


def fields(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def join(*parts: object, by: str = " · ") -> str:
    """The parts that say something, one after the other."""
    texts: Iterable[str] = (text(part) for part in parts)
    return by.join(text for text in texts if text)
