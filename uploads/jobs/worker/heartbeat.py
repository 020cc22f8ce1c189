"""The heartbeat of a running attempt: a thread of the worker beside the main thread that waits for the child.

Most attempts end before their first beat, and a thread costs as much as all their rows: so one thread of the
worker looks twice a second, and starts a heartbeat's own where an attempt is still running.

It renews the lease, writes progress, and learns that the attempt is not ours any more (cancelled,
deleted, lost) or that the node is stopping; then it makes `stop_fd` readable, which ends the child.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connections

from uploads.jobs.lifecycle import execution
from uploads.jobs.worker import shutdown
from uploads.models import UploadJob
from uploads.telemetry.logs import get_logger

if TYPE_CHECKING:
    from uuid import UUID

log = get_logger(__name__)

LOOK_EVERY = 1.0  # a cancelled job's child is gone within 2 s
RENEW_EVERY = 5.0
NOTICE_EVERY = 0.5

_lock = threading.Lock()
_current: Heartbeat | None = None
_watch: threading.Thread | None = None


def _watch_attempts() -> None:
    """Start the thread of an attempt that is under way. Never touches the database itself."""
    while True:
        time.sleep(NOTICE_EVERY)
        with _lock:
            if _current is not None:
                _current.start()


class Heartbeat:
    """Use as a context manager around the child's run. `reason` tells why it asked for a stop, else ""."""

    def __init__(self, job_id: UUID, attempt: int) -> None:
        self.job_id, self.attempt = job_id, attempt
        self.reason = ""
        self.stop_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._progress: dict[str, Any] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Heartbeat:
        global _current, _watch
        with _lock:
            _current = self
            if _watch is None or not _watch.is_alive():  # a fork takes no threads along
                _watch = threading.Thread(target=_watch_attempts, name="heartbeats", daemon=True)
                _watch.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        global _current
        with _lock:
            _current = None
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
        os.close(self.stop_fd)

    def start(self) -> None:
        """Beat from now on, in a thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

    def progress(self, percent: float, note: str) -> None:
        """Remember how far the child is; written with the next beat: a busy child costs no commits."""
        self._progress = {"progress": int(percent), "note": note}

    def _run(self) -> None:
        renewed = time.monotonic()
        try:
            while not self._ended.wait(LOOK_EVERY):
                if shutdown.grace_is_over():
                    return self._stop("stopping")
                try:
                    if self._progress or time.monotonic() - renewed >= RENEW_EVERY:
                        progress, self._progress = self._progress, {}
                        ours = execution.renew(self.job_id, self.attempt, **progress)
                        renewed = time.monotonic() if ours else renewed
                    else:
                        ours = UploadJob.objects.running(self.attempt).filter(pk=self.job_id).exists()
                except DatabaseError as wrong:
                    log.warning("heartbeat.missed", job=str(self.job_id), reason=str(wrong))
                    connections.close_all()
                    ours = time.monotonic() - renewed < settings.UPLOADS_LEASE_SECONDS
                if not ours:
                    return self._stop("lost")
        finally:
            connections.close_all()

    def _stop(self, reason: str) -> None:
        self.reason = reason
        os.eventfd_write(self.stop_fd, 1)
