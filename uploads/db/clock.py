"""The database's clock: the one that all nodes share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection

_NOW = {
    "sqlite": "SELECT STRFTIME('%Y-%m-%dT%H:%M:%f', 'NOW')",  # what django.db.models.functions.Now means
    "postgresql": "SELECT STATEMENT_TIMESTAMP()",
}


def now() -> datetime:
    """The time now, for rows whose times must be known without reading them back."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW[connection.vendor])
        (told,) = cursor.fetchone()
    return moment(told)


def moment(told: Any) -> datetime:
    """A time as the database's driver gives it: SQLite's is text."""
    if isinstance(told, str):
        return datetime.fromisoformat(told).replace(tzinfo=UTC)
    time: datetime = told
    return time
