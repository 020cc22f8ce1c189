"""SQLite connections that a process keeps, not a thread: what Django has for PostgreSQL as `pool`.

To open one costs more than most requests do with it: a millisecond's worth of functions to register and a
schema to read. Here a connection that is closed in good order waits for the next thread that needs one.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from typing import Any

from django.db.backends.sqlite3 import base

MOST_IDLE = 16

_idle: deque[tuple[int, str, sqlite3.Connection]] = deque()
_parents: list[
    sqlite3.Connection
] = []  # a child must not even close these (https://sqlite.org/howtocorrupt.html)


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's, but that `close` gives a sound connection to the pool, and `connect` takes one from there."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        while _idle:
            try:
                pid, name, kept = _idle.pop()  # the latest: its pages are still in memory
            except IndexError:
                break  # another thread was quicker
            if pid == os.getpid() and name == str(conn_params["database"]):
                return kept
            if pid != os.getpid():
                _parents.append(kept)
        opened: sqlite3.Connection = super().get_new_connection(conn_params)
        return opened

    def _close(self) -> None:
        kept: sqlite3.Connection | None = self.connection
        if kept is None:
            return
        sound = not (self.errors_occurred or self.in_atomic_block or kept.in_transaction)
        if sound and len(_idle) < MOST_IDLE and not self.is_in_memory_db():
            _idle.append((os.getpid(), str(self.settings_dict["NAME"]), kept))
        else:
            with self.wrap_database_errors:
                kept.close()


def drain() -> None:
    """Close all that wait in the pool."""
    while _idle:
        _idle.pop()[2].close()
