"""A result card as a template needs it, and what cards of all kinds share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from uploads.web.wording import formatting, translated

Facts = list[tuple[str, str]]


@dataclass(slots=True)
class Table:
    """A table as shown: `head` may be empty, `more` says what is left out."""

    head: list[str]
    rows: list[list[str]]
    more: str = ""


@dataclass(slots=True)
class Card:
    """All that a result card may show; each part may be missing. `gist` is its one line."""

    gist: str = ""
    facts: Facts = field(default_factory=list)
    table: Table | None = None
    text: str = ""
    notes: list[translated.Said] = field(default_factory=list)


def facts(*pairs: tuple[str, object]) -> Facts:
    return [(label, formatting.text(value, 300)) for label, value in pairs if formatting.text(value)]


def sentences(result: Mapping[str, Any]) -> list[translated.Said]:
    """The remarks of a processor: `notes`, `findings` and `warnings`, as texts or {"name", "message"}."""
    found = []
    said = [formatting.items(result.get(name)) for name in ("findings", "notes", "warnings")]
    for one in chain.from_iterable(said):
        if isinstance(one, dict):
            told = translated.said(formatting.text(one.get("message"), 300))
            found.append(
                translated.Said(
                    formatting.join(formatting.text(one.get("name"), 80), told.text, by=": "), told.lang
                )
            )
        else:
            found.append(translated.said(formatting.text(one, 300)))
    return [one for one in found if one]
