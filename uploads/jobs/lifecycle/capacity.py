"""Back-pressure: whether there is room for more jobs. Asked before a body is read and at the commit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from uploads.codes import Refused
from uploads.models import UploadJob

_TABLE = UploadJob._meta.db_table
_COUNT = f"(SELECT COUNT(*) FROM (SELECT 1 FROM {_TABLE} WHERE {{where}} LIMIT %s) counted)"  # noqa: S608
_WAITING = "state IN ('receiving', 'queued')"
_OWN = "owner_id = %s AND state IN ('receiving', 'queued', 'running')"
_USED = f"(SELECT COALESCE(SUM(size), 0) FROM {_TABLE} WHERE owner_id = %s)"  # noqa: S608
_LOCK = 0x57484152  # "WHAR", our advisory lock
_MARGIN = 512  # more than can race each other
_PLENTY_SECONDS = 0.5
# So far from every limit, not each commit has to count: a backlog of ten thousand costs a millisecond, under the
# lock. What 32 web workers may add meanwhile is no more than the margin.
_UNCOUNTED_SECONDS = 0.05
_UNCOUNTED_FILES = 16
_plenty: dict[int, float] = {}
_uncounted = (0, 0.0, 0)  # one owner, until when, and how many more files: the queue's limit is everybody's


@dataclass(frozen=True, slots=True)
class _Load:
    """What is there already: jobs that wait, the owner's unfinished ones, and the owner's bytes."""

    waiting: int
    own: int
    used: int

    @property
    def near(self) -> bool:
        """Whether racing transactions could pass a limit together. A quota in bytes can always be passed."""
        return bool(
            settings.UPLOADS_USER_QUOTA
            or self.waiting > settings.UPLOADS_MAX_QUEUED - _MARGIN
            or self.own > settings.UPLOADS_USER_MAX_QUEUED - _MARGIN
        )


def foresee(owner_id: int, files: int, size: int) -> None:
    """Before a body is read: raise Refused where there is no room. Plenty of room is remembered a moment.

    What is decided here may be wrong by the time the body is in; `check` decides at the commit.
    """
    now = time.monotonic()
    if files < _MARGIN // 2 and _plenty.get(owner_id, 0) > now and not settings.UPLOADS_USER_QUOTA:
        return
    load = _decide(owner_id, files, size, _load(owner_id))
    if len(_plenty) > 10_000:
        _plenty.clear()
    if not load.near:
        _plenty[owner_id] = now + _PLENTY_SECONDS


def check(owner_id: int, files: int, size: int) -> None:
    """Inside a transaction: raise Refused where `files` more jobs of `size` bytes together do not fit.

    The answer holds until its end: SQLite's transactions are IMMEDIATE, and on PostgreSQL those near a
    limit wait for each other. Far from it, an answer holds for a few files and a moment more.
    """
    global _uncounted
    now = time.monotonic()
    owner, until, left = _uncounted
    if owner == owner_id and now < until and files <= left and not settings.UPLOADS_USER_QUOTA:
        _uncounted = owner_id, until, left - files
        return
    load = _load(owner_id)
    if load.near and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        load = _load(owner_id)
    _decide(owner_id, files, size, load)
    _uncounted = owner_id, now + _UNCOUNTED_SECONDS, 0 if load.near else _UNCOUNTED_FILES


def enlarge(job_id: UUID, owner_id: int, size: int) -> None:
    """Let an upload of unknown length reserve `size` bytes in all. Raises Refused.

    No job is added, so that only bytes count.
    """
    with transaction.atomic():
        row = UploadJob.objects.receiving().filter(pk=job_id)
        before = row.values_list("size", flat=True).first()
        if before is None:
            raise Refused("wrong_state", "The upload was cancelled meanwhile.")
        check(owner_id, 0, size - before)
        row.update(size=size)


def _decide(owner_id: int, files: int, size: int, load: _Load) -> _Load:
    if load.waiting + files > settings.UPLOADS_MAX_QUEUED:
        _plenty.pop(owner_id, None)
        raise Refused("queue_full", "The queue is full. Try again in a minute.", retry_after=60)
    if load.own + files > settings.UPLOADS_USER_MAX_QUEUED:
        raise Refused(
            "quota_exceeded",
            f"You may have {settings.UPLOADS_USER_MAX_QUEUED:,} files waiting at a time. Try again later.",
            retry_after=60,
        )
    quota = settings.UPLOADS_USER_QUOTA
    if quota and load.used + size > quota:
        raise Refused(
            "quota_exceeded",
            f"Your files may take {quota:,} bytes in all. Delete some, then try again.",
            retry_after=3600,
        )
    return load


def _load(owner_id: int) -> _Load:
    """Look once. Counts go no further than needed: a backlog of 200,000 must not slow each upload."""
    parts = [_COUNT.format(where=_WAITING), _COUNT.format(where=_OWN)]
    values = [settings.UPLOADS_MAX_QUEUED + 1, owner_id, settings.UPLOADS_USER_MAX_QUEUED + 1]
    if settings.UPLOADS_USER_QUOTA:
        parts.append(_USED)
        values.append(owner_id)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", values)
        counts = cursor.fetchone()
    return _Load(counts[0], counts[1], counts[2] if len(counts) > 2 else 0)
