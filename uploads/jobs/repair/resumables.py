"""Resumable uploads without news: expired, or whole and never queued; and what they leave behind.

Steps of the sweep, beside those of `tidy`. Raise DatabaseError and StorageUnavailable.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from uploads.codes import Refused
from uploads.jobs.lifecycle import execution
from uploads.jobs.repair.rescue import Finding
from uploads.jobs.resumable import uploads
from uploads.models import Concat, JobQuerySet, Transfer, UploadJob
from uploads.storage import fence, parts, scan
from uploads.storage.fsync import storage_errors
from uploads.storage.kept import local
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

BATCH = 500
UNQUEUED_AFTER = timedelta(seconds=60)  # a request that finishes an upload takes much less
STRAY_AGE = 3600.0  # seconds

_RECEIVING = Exists(UploadJob.objects.receiving().filter(pk=OuterRef("pk")))


def unqueued_transfers(*, dry_run: bool = False) -> list[Finding]:
    """Queue uploads that are whole, and whose last request ended before it could do so."""
    quiet = Now() + timedelta(seconds=settings.UPLOADS_TUS_EXPIRY) - UNQUEUED_AFTER
    whole = Q(length=F("offset")) | Q(pk__in=_shut())
    rows = Transfer.objects.filter(whole, _RECEIVING, expires_at__lt=quiet).exclude(concat=Concat.PARTIAL)
    found = []
    for transfer in rows.order_by("expires_at")[:BATCH]:
        if not dry_run and not _finish(transfer):
            continue
        found.append(Finding("a whole upload was never queued", "queued", transfer.pk))
    return found


def expired_transfers(*, dry_run: bool = False) -> list[Finding]:
    """Give up resumable uploads past their time, with their bytes."""
    late = Transfer.objects.filter(_RECEIVING, expires_at__lt=Now())
    late = late.filter(Q(length__isnull=True) | ~Q(length=F("offset")) | Q(concat=Concat.PARTIAL))
    found = []
    for job_id in list(late.order_by("expires_at").values_list("pk", flat=True)[:BATCH]):
        if not dry_run:
            uploads.settle(job_id)  # all of it may be here, and its server have died before it said so
            with transaction.atomic():
                # Looked at again under locks, the job's first: its client may have come back this moment.
                job = UploadJob.objects.receiving().filter(pk=job_id).select_for_update().first()
                expired = late.filter(pk=job_id).select_for_update().first()
                if job is None or expired is None or not execution.abandon(job_id):
                    continue
            local.remove_job(job_id)
        found.append(Finding("a resumable upload has expired", "given up", job_id))
    return found


def old_transfers(*, dry_run: bool = False) -> list[Finding]:
    """Forget uploads that have long ended: whoever comes back now is told that there is no such upload."""
    ended = Now() - timedelta(seconds=settings.UPLOADS_TUS_EXPIRY)
    keys = list(
        Transfer.objects.filter(~_RECEIVING, expires_at__lt=ended).values_list("pk", flat=True)[:BATCH]
    )
    if keys and not dry_run:
        Transfer.objects.filter(pk__in=keys).delete()
    return [Finding(f"{len(keys)} resumable uploads ended long ago", "forgotten")] if keys else []


def stray_fences(*, dry_run: bool = False) -> list[Finding]:
    """Remove fences of uploads that are over or of processes that have ended, and parts whose whole has gone."""
    now = time.time()
    found = []
    for job_id in _without(scan.fences(now), UploadJob.objects.receiving()):
        if not dry_run:
            with storage_errors():
                fence.remove(job_id)
        found.append(Finding("a fence without an upload", "removed", job_id))
    spares = [one.path for one in scan.spares(now) if one.age > STRAY_AGE][:BATCH]
    if spares and not dry_run:
        with storage_errors():
            for path in spares:
                path.unlink(missing_ok=True)  # whose process still wants it makes another one
    if spares:
        found.append(Finding(f"{len(spares)} fences were kept and not used", "removed"))
    for job_id in _without(scan.parts(now), UploadJob.objects.all()):
        if not dry_run:
            parts.drop(job_id)
        found.append(Finding("parts without their whole", "removed", job_id))
    return found


def _finish(transfer: Transfer) -> bool:
    try:
        uploads.settle(transfer.pk)
        upload = uploads.find(transfer.owner_id, transfer.pk, expired=True)
        if not upload.to_finish:
            return False
        uploads.finish(upload)
    except Refused as wrong:
        log.info("transfer.not_queued", job=str(transfer.pk), reason=wrong.detail)
        return False
    return True


def _shut() -> list[UUID]:
    """Uploads on which nobody may write on, at most BATCH: whole ones, for the moment until they are queued."""
    with storage_errors():
        shut = (one.job_id for one in scan.fences(time.time()) if fence.is_shut(one.job_id))
        return list(islice(shut, BATCH))


def _without(found: Iterator[scan.Found], jobs: JobQuerySet) -> list[UUID]:
    """Those older than an hour whose job is not among `jobs`, at most BATCH."""
    old = [one.job_id for one in found if one.age > STRAY_AGE][:BATCH]
    there = set(jobs.filter(pk__in=old).values_list("pk", flat=True))
    return [job_id for job_id in old if job_id not in there]
