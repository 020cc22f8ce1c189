"""Back-pressure: whether there is room for more jobs. Asked before a body is read and at the commit."""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from uploads.codes import Refused
from uploads.models import ACTIVE, State, UploadJob

_LOCK = 0x57484152  # "WHAR", our advisory lock


def check(owner_id: int, files: int, size: int) -> None:
    """Raise Refused where `files` more jobs of `size` bytes together do not fit the queue or the quota.

    Inside a transaction the answer holds until its end: SQLite's transactions are IMMEDIATE, and on
    PostgreSQL those near a limit wait for each other.
    """
    waiting = _count(UploadJob.objects.filter(state__in=(State.RECEIVING, State.QUEUED)), _most() + 1)
    if connection.vendor == "postgresql" and connection.in_atomic_block and _near(owner_id, waiting):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        waiting = _count(UploadJob.objects.filter(state__in=(State.RECEIVING, State.QUEUED)), _most() + 1)
    if waiting + files > _most():
        raise Refused("queue_full", "The queue is full. Try again in a minute.", retry_after=60)
    own_most = settings.UPLOADS_USER_MAX_QUEUED
    if _count(UploadJob.objects.filter(owner_id=owner_id, state__in=ACTIVE), own_most + 1) + files > own_most:
        raise Refused(
            "quota_exceeded",
            f"You may have {own_most} files waiting at a time. Try again later.",
            retry_after=60,
        )
    quota = settings.UPLOADS_USER_QUOTA
    if quota and _used(owner_id) + size > quota:
        raise Refused(
            "quota_exceeded",
            f"Your files may take {quota} bytes in all. Delete some, then try again.",
            retry_after=3600,
        )


def _near(owner_id: int, waiting: int) -> bool:
    """Whether racing transactions could pass a limit together. A quota in bytes can always be passed."""
    if settings.UPLOADS_USER_QUOTA or waiting > _most() - 512:
        return True
    most = settings.UPLOADS_USER_MAX_QUEUED
    return _count(UploadJob.objects.filter(owner_id=owner_id, state__in=ACTIVE), most) > most - 512


def _most() -> int:
    return settings.UPLOADS_MAX_QUEUED


def _count(rows: object, at_most: int) -> int:
    """Count no further than needed: a backlog of 200,000 must not slow each upload."""
    return rows.order_by().values("pk")[:at_most].count()  # type: ignore[attr-defined, no-any-return]


def _used(owner_id: int) -> int:
    return UploadJob.objects.filter(owner_id=owner_id).aggregate(used=Sum("size"))["used"] or 0
