"""How a web worker treats its database connections while bytes come and go."""

from __future__ import annotations

import os
import sqlite3

from django.db import connection
from django.db import connections as django_connections

from uploads.db.sqlite.base import keep_idle

_kept: tuple[int, sqlite3.Connection] | None = None


def let_go() -> None:
    """Give this thread's connections back: a slow client must not hold one."""
    for one in django_connections.all(initialized_only=True):
        if not one.in_atomic_block:
            one.close()


def pool() -> None:
    """Let this process keep a few idle SQLite connections for whichever thread needs one next.

    Call it in each web worker, before its threads begin. PostgreSQL has Django's own pool, by setting.
    """
    if connection.vendor == "sqlite":
        keep_idle()


def keep_wal() -> None:
    """Hold one idle SQLite connection for the life of this process; call it once in each web worker.

    Whoever closes the last connection to a database in WAL mode checkpoints it and deletes the log
    (https://sqlite.org/wal.html), which costs several fsyncs: with connections given back around each
    body, that would be nearly every upload. Other databases need nothing of the kind.
    """
    global _kept
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or ":memory:" in name or (_kept and _kept[0] == os.getpid()):
        return
    kept = sqlite3.connect(name, check_same_thread=False)
    kept.execute("SELECT 1 FROM sqlite_schema").fetchone()  # opens the log, not only the file
    _kept = os.getpid(), kept
