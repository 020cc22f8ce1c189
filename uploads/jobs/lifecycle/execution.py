"""The verbs: what may happen to a job, one function and one guarded UPDATE each.

Verbs called by machines return whether the row moved: a second delivery, or being too late, is normal.
Verbs called by people raise Refused. Times are the database's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from uploads.codes import FAILURE_CODES, Refused
from uploads.db import group_commit
from uploads.db.insertion import Insertion
from uploads.jobs.lifecycle import capacity, retry_policy, statements
from uploads.jobs.lifecycle.failure_report import FailureReport
from uploads.jobs.lifecycle.submission import Landed, accept
from uploads.jobs.lifecycle.worker_id import Worker
from uploads.jobs.queue import producer
from uploads.models import Artifact, ErrorRecord, Outcome, State, UploadJob
from uploads.models.job import PRIORITIES
from uploads.storage import parts
from uploads.storage.fsync import StorageUnavailable
from uploads.storage.kept import local
from uploads.telemetry import metrics
from uploads.telemetry.logs import get_logger

if TYPE_CHECKING:
    from uploads.processing.sandbox.client.sandbox import Done

__all__ = [
    "Landed", "abandon", "accept", "cancel", "delete", "fail", "measure", "open_upload", "prioritise", "release",
    "renew", "retry", "seconds_until_due", "start", "succeed",
]  # fmt: skip

log = get_logger(__name__)


def open_upload(
    owner_id: int, filename: str, declared_type: str, size: int, *, job_id: UUID | None = None, note: str = "",
    also: Insertion | None = None,
) -> UUID:  # fmt: skip
    """Announce an upload of `size` bytes: a receiving row, which reserves its share. Raises Refused.

    `also` is written within the same commit.
    """
    job_id = job_id or uuid4()
    insertion = Insertion(
        UploadJob(
            id=job_id, owner_id=owner_id, filename=filename, declared_type=declared_type, size=size, note=note,
            state=State.RECEIVING,
        )
    )  # fmt: skip

    def write() -> None:
        capacity.check(owner_id, 1, size)
        insertion.write()
        if also is not None:
            also.write()

    group_commit.commit(write, moves=False)
    log.info("job.opened", job=str(job_id), size=size)
    return job_id


def measure(job_id: UUID, size: int) -> bool:
    """Correct the declared size of an upload whose bytes are all in: it reserves no more than those."""
    return bool(UploadJob.objects.receiving().filter(pk=job_id).update(size=size))


def abandon(job_id: UUID) -> bool:
    """Remove an upload that was cut, row and bytes."""
    gone, _rows = UploadJob.objects.receiving().filter(pk=job_id).delete()
    if gone:
        log.info("job.abandoned", job=str(job_id))
    return bool(gone)


def start(job_id: UUID, worker: Worker) -> UploadJob | None:
    """Begin the next attempt of a queued and due job; None where it is not, is paused, or somebody was faster."""
    with transaction.atomic():
        job = statements.begin(job_id, worker)
    if job is not None:
        log.info("attempt.started", job=str(job_id), attempt=job.attempt)
    return job


def seconds_until_due(job_id: UUID) -> float:
    """How long a queued job still waits, by the database's clock; 0 where it does not."""
    rows = UploadJob.objects.queued().filter(pk=job_id, run_after__gt=Now())
    row = rows.annotate(now=Now()).values_list("run_after", "now").first()
    return (row[0] - row[1]).total_seconds() if row and row[0] else 0.0


def renew(job_id: UUID, attempt: int, **progress: Any) -> bool:
    """Renew the lease of a running attempt, with its progress; False once the attempt is not its own."""
    lease = Now() + timedelta(seconds=settings.UPLOADS_LEASE_SECONDS)
    rows = UploadJob.objects.running(attempt).filter(pk=job_id)
    return bool(rows.update(lease_until=lease, **progress))


def succeed(job_id: UUID, attempt: int, done: Done) -> bool:
    """Commit result, artifacts and state together, if the attempt is still the current one."""
    with transaction.atomic():
        if not statements.win(job_id, attempt, done):
            return False
        used = done.usage
        statements.end(
            job_id, attempt, Outcome.SUCCEEDED, peak_memory=used.peak_memory_bytes,
            cpu_seconds=used.cpu_seconds, wall_seconds=used.wall_seconds, bytes_written=used.bytes_written,
        )  # fmt: skip
        if done.artifacts:
            Artifact.objects.bulk_create(
                Artifact(
                    job_id=job_id, attempt=attempt, name=it.name, content_type=it.content_type, size=it.size
                )
                for it in done.artifacts
            )
    metrics.ATTEMPT_SECONDS.labels(done.kind, "succeeded").observe(done.usage.wall_seconds)
    log.info("attempt.succeeded", job=str(job_id), attempt=attempt, kind=done.kind)
    return True


def fail(report: FailureReport, only: Q | None = None) -> bool:
    """Record a failed attempt: an error record, and the job failed or queued again as its budget decides.

    `only` is a condition on the job's row under which alone it fails, such as a lease that has expired.
    """
    job_id, attempt = report.job_id, report.attempt
    with transaction.atomic():
        running = UploadJob.objects.running(attempt).filter(only or Q(), pk=job_id)
        job = running.select_for_update().first()
        if job is None:
            return False
        before = ErrorRecord.objects.filter(job_uuid=job_id, code=report.code, attempt__gt=job.budget_from)
        delay = retry_policy.delay_after(report.code, before.count() + 1)
        learned = {"kind": report.kind or job.kind, "content_type": report.content_type or job.content_type}
        if delay is None:
            moved = running.update(
                state=State.FAILED, note="", lease_until=None, finished_at=Now(), **learned
            )
        else:
            # Of one sum and one time of the same millisecond, SQLite finds the sum later: it has more digits.
            due = Now() + timedelta(seconds=delay) if delay else Now()
            moved = running.update(
                state=State.QUEUED, progress=0, note="", lease_until=None,
                queued_at=Now(), run_after=due, woken_at=Now(), **learned,
            )  # fmt: skip
        if not moved:
            return False
        ErrorRecord.objects.create(
            job_id=job_id, job_uuid=job_id, attempt=attempt, code=report.code, message=report.message,
            detail=report.detail, exception_type=report.exception_type, traceback=report.traceback,
            worker=report.worker, will_retry=delay is not None, filename=job.filename, sha256=job.sha256,
            size=job.size, owner_id=job.owner_id, occurred_at=Now(), **learned,
        )  # fmt: skip
        statements.end(
            job_id, attempt, Outcome.FAILED, peak_memory=report.peak_memory, cpu_seconds=report.cpu_seconds,
            wall_seconds=report.wall_seconds, bytes_written=report.bytes_written,
        )  # fmt: skip
        if delay is not None:
            producer.wake(job_id, delay)
    metrics.FAILURES.labels(report.code).inc()
    metrics.ATTEMPT_SECONDS.labels(learned["kind"], report.code).observe(report.wall_seconds or 0)
    # The file's own fault is an ordinary end; a bug of ours is loud, with where it was.
    more = {"traceback": report.traceback} if report.code == "internal_error" else {}
    say = log.error if more else log.info if FAILURE_CODES[report.code].files_own_fault else log.warning
    say(
        "attempt.failed", job=str(job_id), attempt=attempt, code=report.code, again_in=delay,
        reason=report.message, **more,
    )  # fmt: skip
    return True


def release(job_id: UUID, attempt: int) -> bool:
    """Give a running job back unharmed: no error, no budget spent; the number of attempts never falls."""
    with transaction.atomic():
        moved = UploadJob.objects.running(attempt).filter(pk=job_id).update(
            state=State.QUEUED, progress=0, note="", lease_until=None,
            queued_at=Now(), run_after=Now(), woken_at=Now(),
        )  # fmt: skip
        if moved:
            statements.end(job_id, attempt, Outcome.RELEASED)
            producer.wake(job_id)
    return bool(moved)


def cancel(job_id: UUID) -> None:
    """Stop a job that is not finished. Raises Refused where it is, or where there is none."""
    with transaction.atomic():
        job = _locked(job_id)
        moved = (
            UploadJob.objects.active()
            .filter(pk=job_id, state=job.state)
            .update(state=State.CANCELLED, note="", lease_until=None, run_after=None, finished_at=Now())
        )
        if not moved:
            raise Refused("wrong_state", f"The job is {job.get_state_display()}; there is nothing to cancel.")
        if job.state == State.RUNNING:
            statements.end(job_id, job.attempt, Outcome.CANCELLED)
        if job.state == State.RECEIVING:
            transaction.on_commit(lambda: _remove_bytes(job_id))
    log.info("job.cancelled", job=str(job_id))


def retry(job_id: UUID) -> None:
    """Queue a failed or cancelled job again with fresh budgets. Raises Refused where that can't be."""
    with transaction.atomic():
        job = _locked(job_id)
        if job.state not in (State.FAILED, State.CANCELLED):
            raise Refused(
                "wrong_state",
                f"The job is {job.get_state_display()}; only failed and cancelled jobs are retried.",
            )
        if not (local.file_path(job_id).is_file() or parts.pending(job_id)):
            raise Refused("wrong_state", "The file of this job is not here any more. Send it again.")
        moved = UploadJob.objects.filter(pk=job_id, state=job.state).update(
            state=State.QUEUED, progress=0, note="", finished_at=None, budget_from=F("attempt"),
            queued_at=Now(), run_after=Now(), woken_at=Now(),
        )  # fmt: skip
        if not moved:
            raise Refused("wrong_state", "Somebody else has just moved this job.")
        producer.wake(job_id)
    log.info("job.retried", job=str(job_id))


def prioritise(job_id: UUID, priority: int) -> None:
    """Let a job that is not finished go before (9) or behind (0) others. Raises Refused, ValueError."""
    if priority not in PRIORITIES:
        raise ValueError(f"a priority is from 0 to 9, not {priority}")
    with transaction.atomic():
        job = _locked(job_id)
        if not UploadJob.objects.active().filter(pk=job_id).update(priority=priority):
            raise Refused("wrong_state", f"The job is {job.get_state_display()}; it does not wait any more.")
        producer.prioritise(job_id)
    log.info("job.prioritised", job=str(job_id), priority=priority)


def delete(job_id: UUID) -> None:
    """Remove a job in any state; its files go after the commit, its error records stay. Raises Refused."""
    with transaction.atomic():
        _locked(job_id).delete()
        transaction.on_commit(lambda: _remove_bytes(job_id))
    log.info("job.deleted", job=str(job_id))


def _locked(job_id: UUID) -> UploadJob:
    job = UploadJob.objects.select_for_update().filter(pk=job_id).first()
    if job is None:
        raise Refused("not_found", "There is no such job.")
    return job


def _remove_bytes(job_id: UUID) -> None:
    try:
        local.remove_job(job_id)
        parts.drop(job_id)
    except StorageUnavailable as wrong:
        # The row is gone and stays so; the sweep finds files without one.
        log.error("storage.removal_failed", job=str(job_id), reason=str(wrong))
