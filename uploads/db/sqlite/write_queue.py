"""Taking turns to write: whoever begins a transaction waits for a lock that wakes in time.

SQLite has one writer at a time, and one that finds the database locked sleeps longer and longer, up to a tenth
of a second (`sqliteDefaultBusyCallback` in SQLite's main.c), however short the others' transactions are. So writers
of all processes first take turns on a lock file, which they look at every half millisecond.
"""

from __future__ import annotations

import fcntl
import os
import time

LOOK_SECONDS = 0.0005
# A writer that has stopped in mid-turn must not stop all others: SQLite's own time-out decides then.
MOST_SECONDS = 2.0


class Turn:
    """One writer's turns. A turn is advice: where there can be none, SQLite's own lock does what it always does."""

    def __init__(self) -> None:
        self._handle = -1

    def take(self, path: str) -> None:
        """Wait for the turn on the lock file `path`, at most MOST_SECONDS. The file is made where there is none."""
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # a directory that may only be read, say
        until = time.monotonic() + MOST_SECONDS
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > until:
                    return
                time.sleep(LOOK_SECONDS)
            else:
                return

    def give_back(self) -> None:
        """End the turn, also in children that were forked meanwhile. Without one, nothing happens."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)
