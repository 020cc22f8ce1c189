"""SQLite as Django has it, with writers that take turns, and connections that a process may keep.

A connection costs more to open than most requests do with it: a millisecond's worth of functions to register and
a schema to read. Once a process has asked for it (`keep_idle`), one that is closed in good order waits for the
next thread that needs one, which is what Django has for PostgreSQL as `pool`.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from typing import Any

from django.db.backends.sqlite3 import base

from uploads.db.sqlite.write_queue import Turn

MOST_IDLE = 16

_keeper = 0  # the process that keeps its idle connections
_idle: deque[tuple[int, str, sqlite3.Connection]] = deque()
# A child must not even close these (https://sqlite.org/howtocorrupt.html).
_parents: list[sqlite3.Connection] = []


def keep_idle() -> None:
    """Let this process, but no child of it, keep a few idle connections."""
    global _keeper
    _keeper = os.getpid()


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's, but that transactions begin in turn, `close` may give a sound connection to the pool, and
    `connect` takes one from there."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._turn = Turn()

    def _start_transaction_under_autocommit(self) -> None:
        if not self.is_in_memory_db():
            self._turn.take(f"{self.settings_dict['NAME']}-turn")
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
        except BaseException:
            self._turn.give_back()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self._turn.give_back()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._turn.give_back()

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
        self._turn.give_back()
        kept: sqlite3.Connection | None = self.connection
        if kept is None:
            return
        sound = not (self.errors_occurred or self.in_atomic_block or kept.in_transaction)
        keeping = _keeper == os.getpid() and len(_idle) < MOST_IDLE
        if keeping and sound and not self.is_in_memory_db():
            _idle.append((os.getpid(), str(self.settings_dict["NAME"]), kept))
        else:
            with self.wrap_database_errors:
                kept.close()


def drain() -> None:
    """Close all that wait in the pool."""
    while _idle:
        _idle.pop()[2].close()
