"""Whose session is whose, remembered for a moment, so that a page to which nothing happens costs one query.

Only "nothing has changed" is answered by this, which tells nothing to anybody: a session that has ended is
noticed at the next change, or after SECONDS.
"""

from __future__ import annotations

import time

SECONDS = 30.0
MOST = 10_000

_known: dict[str, tuple[int, float]] = {}


def met(session_key: str | None, user_id: int) -> None:
    """This session was just seen to be that user's."""
    if session_key:
        if len(_known) >= MOST:
            _known.clear()
        _known[session_key] = user_id, time.monotonic() + SECONDS


def of(session_key: str | None) -> int | None:
    """The user of a session that was met lately."""
    user_id, until = _known.get(session_key or "", (None, 0.0))
    return user_id if until > time.monotonic() else None
