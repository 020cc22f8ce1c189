"""What SQLite and PostgreSQL say differently in the few statements that are written by hand.

They are those of every job, where building a query anew each time costs more than running it.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from django.db import connection


class Dialect(NamedTuple):
    """Pieces of SQL: now; now plus %s seconds; seconds until the column `due`; rows by a query of their keys."""

    now: str
    later: str
    until: str
    picked: str


# "now" is what django.db.models.functions.Now means.
_DIALECTS = {
    "sqlite": Dialect(
        now="STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')",
        later="STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', %s || ' seconds')",
        until="(JULIANDAY(due) - JULIANDAY('NOW')) * 86400.0",
        picked="id IN ({})",
    ),
    "postgresql": Dialect(
        now="STATEMENT_TIMESTAMP()",
        later="STATEMENT_TIMESTAMP() + MAKE_INTERVAL(secs => %s)",
        until="EXTRACT(EPOCH FROM due - STATEMENT_TIMESTAMP())::float8",
        # An array is computed once, where a planner may run the subquery of an IN again and lock other rows.
        picked="id = ANY(ARRAY({} FOR UPDATE SKIP LOCKED))",
    ),
}


def dialect() -> Dialect:
    """The pieces for the database in use."""
    return _DIALECTS[connection.vendor]


def key(uuid: UUID) -> UUID | str:
    """A UUID as this database's driver takes it."""
    return uuid.hex if connection.vendor == "sqlite" else uuid
