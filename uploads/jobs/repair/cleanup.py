"""Tidying: bytes without a row, rows without news, and what no longer tells anybody anything.

Slow work beside the sweep, done in slices; error records are never touched. Of what was just written
nothing is removed: its row may be about to be committed.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now
from django_q.models import Task

from uploads.jobs.lifecycle import execution
from uploads.jobs.repair.rescue import Finding
from uploads.models import Node, State, UploadJob
from uploads.storage import scan
from uploads.storage.fsync import storage_errors
from uploads.storage.kept import local
from uploads.storage.scan import Found
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

BATCH = 500
LOST_ARTIFACTS_AGE = 60.0  # seconds
FAILED_TASKS_AGE = timedelta(days=7)
SILENT_NODES_AGE = timedelta(days=1)


def partial_uploads(*, dry_run: bool = False) -> list[Finding]:
    """Give up receiving jobs whose bytes have not grown for UPLOADS_PARTIAL_SECONDS; resumable ones expire.

    Raises DatabaseError and StorageUnavailable.
    """
    limit = timedelta(seconds=settings.UPLOADS_PARTIAL_SECONDS)
    plain = UploadJob.objects.receiving().filter(transfer__isnull=True)
    old = plain.filter(created_at__lt=Now() - limit)
    found = []
    for job_id in list(old.order_by("created_at").values_list("pk", flat=True)[:BATCH]):
        if _silence(job_id) < settings.UPLOADS_PARTIAL_SECONDS:
            continue
        if not dry_run:
            if not execution.abandon(job_id):
                continue
            local.remove_job(job_id)
        found.append(Finding("an upload without news for too long", "given up", job_id))
    return found


def stray_spool(*, dry_run: bool = False) -> list[Finding]:
    """Remove incoming files that belong to no job. Raises DatabaseError and StorageUnavailable."""
    old = (one for one in scan.spooled(time.time()) if one.age > _stray_age())
    return [_removed(one, "an incoming file without a job", dry_run) for one in _without_row(old)]


def stray_files(prefix: str, *, dry_run: bool = False) -> list[Finding]:
    """Remove kept files, of one prefix, that belong to no job. Raises DatabaseError and StorageUnavailable."""
    old = (one for one in scan.kept(prefix, time.time()) if one.age > _stray_age())
    return [_removed(one, "a kept file without a job", dry_run) for one in _without_row(old)]


def lost_artifacts(prefix: str, *, dry_run: bool = False) -> list[Finding]:
    """Remove artifacts, of one prefix, of attempts that neither won nor run.

    Raises DatabaseError and StorageUnavailable.
    """
    found = []
    old = (one for one in scan.derived(prefix, time.time()) if one.age > LOST_ARTIFACTS_AGE)
    for batch in _batches(old):
        rows = UploadJob.objects.in_bulk({one.job_id for one in batch})
        for one in batch:
            job = rows.get(one.job_id)
            if job and one.attempt == job.attempt and job.state in (State.SUCCEEDED, State.RUNNING):
                continue
            if one.attempt == 0 and job is not None:
                continue  # an empty directory, which the next attempt may be about to use
            found.append(_removed(one, "artifacts of an attempt that did not win", dry_run))
    return found


def old_records(*, dry_run: bool = False) -> list[Finding]:
    """Prune django-q2's copies of failures after a week, and nodes that were silent for a day.

    Raises DatabaseError.
    """
    found = []
    tasks = Task.objects.filter(success=False, stopped__lt=Now() - FAILED_TASKS_AGE)
    for count in _pruned(tasks, dry_run):
        found.append(Finding(f"{count} failures in django-q2's table are older than a week", "pruned"))
    nodes = Node.objects.filter(beat_at__lt=Now() - SILENT_NODES_AGE)
    for count in _pruned(nodes, dry_run):
        found.append(Finding(f"{count} nodes have not been heard of for a day", "pruned"))
    return found


def _pruned(rows: object, dry_run: bool) -> Iterator[int]:
    """Delete at most BATCH rows; yields how many there were, if any."""
    keys = list(rows.order_by().values_list("pk", flat=True)[:BATCH])  # type: ignore[attr-defined]
    if keys:
        if not dry_run:
            rows.filter(pk__in=keys).delete()  # type: ignore[attr-defined]
        yield len(keys)


def _stray_age() -> float:
    """How long a file may wait for its row: a request of many files commits them all at its end."""
    return max(3600.0, float(settings.UPLOADS_PARTIAL_SECONDS))


def _silence(job_id: UUID) -> float:
    """Seconds since bytes of a receiving job came in; endless where there are none."""
    try:
        return time.time() - local.spool_path(job_id).stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _without_row(found: Iterable[Found]) -> Iterator[Found]:
    """Those whose job is not there. The rows are read after the files, so a row that came first is seen."""
    for batch in _batches(found):
        there = set(
            UploadJob.objects.filter(pk__in={one.job_id for one in batch}).values_list("pk", flat=True)
        )
        yield from (one for one in batch if one.job_id not in there)


def _batches(found: Iterable[Found]) -> Iterator[list[Found]]:
    rest = iter(found)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _removed(one: Found, what: str, dry_run: bool) -> Finding:
    if not dry_run:
        with storage_errors():
            try:
                if one.path.is_dir():
                    shutil.rmtree(one.path)
                    if one.attempt:
                        with contextlib.suppress(OSError):  # other attempts may be there
                            one.path.parent.rmdir()
                else:
                    one.path.unlink()
            except FileNotFoundError:
                log.debug("tidy.gone_already", path=one.path.name)
    return Finding(what, "removed", one.job_id, one.attempt)
