"""The doctor: compares storage, jobs and queue, and says of each difference what it means.

It changes nothing. A live system moves while one looks, so every suspicion about a job is looked at twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q
from django.db.models.functions import Now

from uploads.jobs.queue import producer
from uploads.jobs.repair import cleanup, rescue, resumables
from uploads.models import Artifact, Attempt, ErrorRecord, Node, Outcome, State, UploadJob
from uploads.storage import parts, scan
from uploads.storage.kept import local

MANY = 2_000  # rows read at a time
ASLEEP = timedelta(seconds=2 * rescue.REWAKE_AFTER)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One difference, as a sentence; `wrong` where somebody or something has to act on it."""

    sentence: str
    wrong: bool = True


def examine() -> list[Diagnosis]:
    """All that does not agree. Raises DatabaseError, StorageUnavailable and the broker's errors."""
    return [*_files(), *_strays(), *_artifacts(), *_running(), *_history(), *_messages(), *_nodes()]


# ---------------------------------------------------------------- storage and jobs


def _files() -> Iterator[Diagnosis]:
    meaning = {
        State.QUEUED: "its next attempt will fail with file_missing",
        State.RUNNING: "its attempt will fail with file_missing",
        State.FAILED: "it cannot be retried",
        State.SUCCEEDED: "it cannot be downloaded",
    }
    rows = UploadJob.objects.filter(state__in=meaning).order_by().values_list("pk", "size")
    for job_id, size in rows.iterator(MANY):
        if _kept_size(job_id) == size:
            continue
        job = UploadJob.objects.filter(pk=job_id, state__in=meaning).first()
        found = _kept_size(job_id)
        if job is None or found == job.size:
            continue  # deleted meanwhile
        if found is None:
            yield Diagnosis(f"Job {job_id} ({job.state}) has no file: {meaning[State(job.state)]}.")
        else:
            yield Diagnosis(f"The file of job {job_id} has {found} bytes where its row says {job.size}.")


def _strays() -> Iterator[Diagnosis]:
    for one in _sweepable():
        yield Diagnosis(f"{one}; to be {one.cure} by the sweep, within half an hour.")
    for path in scan.strangers():
        yield Diagnosis(f"{path} is not of our making; look at it, then move it away.", wrong=False)


def _sweepable() -> Iterator[rescue.Finding]:
    yield from cleanup.partial_uploads(dry_run=True)
    yield from resumables.unqueued_transfers(dry_run=True)
    yield from resumables.expired_transfers(dry_run=True)
    yield from resumables.stray_fences(dry_run=True)
    yield from cleanup.stray_spool(dry_run=True)
    for prefix in scan.PREFIXES:
        yield from cleanup.stray_files(prefix, dry_run=True)
        yield from cleanup.lost_artifacts(prefix, dry_run=True)


def _artifacts() -> Iterator[Diagnosis]:
    for one in Artifact.objects.select_related("job").order_by().iterator(MANY):
        if one.attempt != one.job.attempt:
            yield Diagnosis(
                f"Artifact {one.name} of job {one.job_id} is from attempt {one.attempt}, "
                f"but attempt {one.job.attempt} is the last."
            )
        path = local.artifact_path(one.job_id, one.attempt, one.name)
        if not path.is_file() and Artifact.objects.filter(pk=one.pk).exists():
            yield Diagnosis(f"Artifact {one.name} of job {one.job_id} has no file; retry is of no use to it.")


# ---------------------------------------------------------------- jobs and those who work on them


def _running() -> Iterator[Diagnosis]:
    late = [*rescue.expired_leases(dry_run=True), *rescue.passed_deadlines(dry_run=True)]
    for one in late:
        yield Diagnosis(f"{one}; to be {one.cure} by the sweep, within seconds.")
    without = UploadJob.objects.running().annotate(rows=Count("attempts", Q(attempts__number=F("attempt"))))
    for job_id, attempt in without.filter(rows=0).values_list("pk", "attempt"):
        yield Diagnosis(f"Job {job_id} is running attempt {attempt}, of which there is no row.")


def _history() -> Iterator[Diagnosis]:
    current = UploadJob.objects.running().filter(pk=OuterRef("job_id"), attempt=OuterRef("number"))
    for job_id, number in (
        Attempt.objects.filter(~Exists(current), outcome="").values_list("job_id", "number").iterator(MANY)
    ):
        yield Diagnosis(f"Attempt {number} of job {job_id} has no outcome, though the job has moved on.")
    record = ErrorRecord.objects.filter(job_uuid=OuterRef("job_id"), attempt=OuterRef("number"))
    for job_id, number in (
        Attempt.objects.filter(~Exists(record), outcome=Outcome.FAILED)
        .values_list("job_id", "number")
        .iterator(MANY)
    ):
        yield Diagnosis(f"Attempt {number} of job {job_id} failed without an error record.")


def _nodes() -> Iterator[Diagnosis]:
    alive = Node.objects.live()
    waiting = UploadJob.objects.due().unpaused().count()
    if waiting and not alive.exists():
        yield Diagnosis(f"No cluster is alive and jobs are due ({waiting}): start `manage.py qcluster`.")
    for node in alive.filter(restarts__gt=0):
        yield Diagnosis(
            f"The cluster of {node.name} (process {node.pid}) was started anew {node.restarts} times; "
            f"the last time: {node.note}",
            wrong=False,
        )


# ---------------------------------------------------------------- jobs and queue


def _messages() -> Iterator[Diagnosis]:
    messages = producer.waiting()
    if messages is None:
        return  # this broker cannot be asked; the sweep wakes whoever is not started
    asleep = (
        UploadJob.objects.due()
        .unpaused()
        .filter(Q(woken_at__isnull=True) | Q(woken_at__lt=Now() - ASLEEP), run_after__lt=Now() - ASLEEP)
    )
    most = rescue.MESSAGES_PER_WORKER * settings.WORKERS
    if producer.due_depth(most) >= most:
        # Behind a long queue a job without a message may be in a cluster's hands, and nobody wakes it yet.
        asleep = asleep.none()
    for job_id in _absent(asleep.order_by().values_list("pk", flat=True).iterator(MANY), messages):
        yield Diagnosis(
            f"Job {job_id} is due and no message wakes it; to be woken by the sweep, within seconds."
        )
    doubled = sum(count - 1 for count in messages.values())
    if doubled:
        yield Diagnosis(f"Messages for jobs that have another one: {doubled}; harmless.", wrong=False)
    idle = _idle(list(messages))
    if idle:
        yield Diagnosis(f"Messages for jobs that do not wait any more: {idle}; harmless.", wrong=False)


def _absent(job_ids: Iterable[UUID], messages: dict[UUID, int]) -> Iterator[UUID]:
    for job_id in job_ids:
        if job_id not in messages and UploadJob.objects.due().filter(pk=job_id).exists():
            yield job_id


def _idle(job_ids: list[UUID]) -> int:
    waiting = 0
    for start in range(0, len(job_ids), 500):
        some = job_ids[start : start + 500]
        waiting += UploadJob.objects.filter(pk__in=some, state__in=(State.QUEUED, State.RUNNING)).count()
    return len(job_ids) - waiting


def _kept_size(job_id: UUID) -> int | None:
    try:
        return parts.size(job_id) if parts.pending(job_id) else local.file_path(job_id).stat().st_size
    except FileNotFoundError:
        return None


def census() -> str:
    """What was compared, in a sentence."""
    began = time.time()
    files = sum(1 for prefix in scan.PREFIXES for _one in scan.kept(prefix, began))
    return f"Jobs: {UploadJob.objects.count()}, kept files: {files}, messages: {producer.depth()}."
