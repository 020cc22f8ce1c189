"""Pages of a list, newest first: an opaque cursor names the last row that was seen (keyset paging).

A new row never shifts a page, and a deep page costs as little as the first.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from uploads.codes import Refused

Row = TypeVar("Row", bound=Model)
_LEAST = timedelta(microseconds=1)


class Pages(Generic[Row]):
    """Rows of one list, ordered by `-when`, `-id`; `read_id` reads an id back from its text."""

    def __init__(self, when: str, read_id: Callable[[str], UUID | int]) -> None:
        self.when = when
        self.read_id = read_id

    def page(self, rows: QuerySet[Row], limit: int, cursor: str | None) -> tuple[list[Row], str | None]:
        """At most `limit` rows after `cursor`, and the cursor of the next page, None at the end.

        Raises Refused(invalid_request) for a cursor that is not one of ours.
        """
        if cursor:
            earlier, later, row_id = self._read(cursor)
            rows = rows.filter(**{f"{self.when}__lt": later})
            rows = rows.filter(Q(**{f"{self.when}__lte": earlier}) | Q(pk__lt=row_id))
        found = list(rows.order_by(f"-{self.when}", "-pk")[: limit + 1])
        if len(found) <= limit:
            return found, None
        return found[:limit], self._write(found[limit - 1])

    def _write(self, row: Row) -> str:
        at: datetime = getattr(row, self.when)
        text = f"{at.astimezone(UTC).isoformat(timespec='microseconds')} {row.pk}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _read(self, cursor: str) -> tuple[datetime, datetime, Any]:
        """The times just before and just after that of the last row, and its id.

        SQLite compares times as texts of three or six digits, where .123 is less than .123000: so "the same
        time" is asked for as what lies between these two.
        """
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
            when, _space, row_id = text.partition(" ")
            at = datetime.fromisoformat(when)
            if at.tzinfo is None:
                raise ValueError("a time without a zone")
            return at - _LEAST, at + _LEAST, self.read_id(row_id)
        except (binascii.Error, ValueError, OverflowError) as wrong:
            raise Refused("invalid_request", "The cursor is not one that this list gave.") from wrong
