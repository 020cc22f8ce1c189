"""Whether this node is stopping: a flag that the supervisor sets and all its forked workers see."""

from __future__ import annotations

import multiprocessing
import time

from django.conf import settings

# A plain shared double: seconds of CLOCK_MONOTONIC at which the stop was asked for, 0 while it was not.
# Without a lock, since the one writer may be a signal handler.
_asked_at = multiprocessing.get_context("fork").RawValue("d", 0.0)


def ask() -> None:
    """Begin to stop: no new starts, UPLOADS_STOP_GRACE seconds for running attempts. Signal-safe."""
    if not _asked_at.value:
        _asked_at.value = time.monotonic()


def asked() -> bool:
    return bool(_asked_at.value)


def grace_is_over() -> bool:
    return asked() and time.monotonic() - _asked_at.value >= settings.UPLOADS_STOP_GRACE


def forget() -> None:
    """Start anew, for a cluster that is started again in the same supervisor."""
    _asked_at.value = 0.0
