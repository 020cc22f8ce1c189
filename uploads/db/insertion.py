"""Writing a new row as it stands: what `save(force_insert=True)` does, for the rows of every upload.

Django builds the statement anew for each row, which costs five times what running it does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.db import connection, models
from django.db.models.expressions import DatabaseDefault


class Insertion:
    """A row to be inserted whose key is known or the database's; what is not set gets the database's default.

    It is prepared when it is made, before the transaction in which it is written: others wait for that.
    No signal is sent, and a key that the database gives is not read back.
    """

    def __init__(self, row: models.Model) -> None:
        self._row = row
        names: list[str] = []
        self._values: list[Any] = []
        for field in row._meta.concrete_fields:
            value = field.pre_save(row, add=True)
            if isinstance(value, DatabaseDefault) or (value is None and field.primary_key):
                continue
            names.append(str(field.column))
            self._values.append(field.get_db_prep_save(value, connection=connection))
        self._statement = _statement(row._meta.db_table, tuple(names), connection.vendor)

    def write(self) -> None:
        """Insert the row. Raises DatabaseError."""
        with connection.cursor() as cursor:
            cursor.execute(self._statement, self._values)
        self._row._state.adding, self._row._state.db = False, connection.alias


@lru_cache(maxsize=64)
def _statement(table: str, names: tuple[str, ...], vendor: str) -> str:
    quote: Any = connection.ops.quote_name
    marks = ", ".join(["%s"] * len(names))
    columns = ", ".join(quote(name) for name in names)
    return f"INSERT INTO {quote(table)} ({columns}) VALUES ({marks})"  # noqa: S608 - names of our models
