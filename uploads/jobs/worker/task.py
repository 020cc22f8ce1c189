"""The task function: one attempt at one job, in a worker of the cluster."""

from __future__ import annotations

import traceback
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError
from django_q.exceptions import TimeoutException

from uploads.jobs.lifecycle import execution
from uploads.jobs.lifecycle.failure_report import AttemptFailed, FailureReport
from uploads.jobs.lifecycle.worker_id import this_worker
from uploads.jobs.queue import producer
from uploads.jobs.worker import shutdown
from uploads.jobs.worker.assembly import make_whole
from uploads.jobs.worker.heartbeat import Heartbeat
from uploads.models import UploadJob
from uploads.processing.sandbox.client.sandbox import Done, Failed, Sandbox, SandboxConfig, Stopped
from uploads.processing.sanitize import clean_text
from uploads.storage.fsync import StorageUnavailable
from uploads.storage.kept import local
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)
_sandbox: Sandbox | None = None


def sandbox() -> Sandbox:
    """This process's sandbox, started by its main thread: the zygote dies with the thread that starts it."""
    global _sandbox
    if _sandbox is None:
        _sandbox = Sandbox(
            SandboxConfig(
                processors=settings.UPLOADS_PROCESSORS,
                limits=settings.UPLOADS_LIMITS,
                allowed_types=settings.UPLOADS_ALLOWED_TYPES,
            )
        )
        _sandbox.start()
        if _sandbox.missing_fences:
            log.warning("sandbox.fences_missing", missing=list(_sandbox.missing_fences))
    return _sandbox


def work(job_id: str) -> None:
    """Run the next attempt of a job, if it is due. Raises AttemptFailed, which the failure hook records."""
    uid = UUID(job_id)
    if shutdown.asked():
        producer.wake(uid)  # prefetched behind the stop: somebody else's now
        return
    job = execution.start(uid, this_worker())
    if job is None:
        _wake_again_if_early(uid)
        return
    with structlog.contextvars.bound_contextvars(job=job_id, attempt=job.attempt):
        kept = False
        try:
            kept = _attempt(job)
        except (Exception, TimeoutException) as wrong:  # any bug of ours becomes a recorded failure
            if _lost(job):
                log.info("attempt.fenced_off", reason=type(wrong).__qualname__)
                return
            if isinstance(wrong, AttemptFailed):
                raise
            raise _failed(job, wrong) from wrong
        finally:
            _clear(job, kept=kept)


def _lost(job: UploadJob) -> bool:
    """Whether this attempt is not the job's any more: its file may be gone with it, which is nobody's failure."""
    try:
        return not UploadJob.objects.running(job.attempt).filter(pk=job.pk).exists()
    except DatabaseError as wrong:
        log.warning("attempt.unknown", reason=str(wrong))
        return False  # the recorder looks again


def _wake_again_if_early(job_id: UUID) -> None:
    """A wake-up before its time (two clocks) is sent again; one for a job that has moved on is spent."""
    wait = execution.seconds_until_due(job_id)
    if wait:
        producer.wake(job_id, wait)
    log.info("attempt.not_due", job=str(job_id), again_in=wait)


def _attempt(job: UploadJob) -> bool:
    """Open the file in the sandbox and commit what comes of it; whether its artifacts are to stay."""
    artifacts = local.open_attempt(job.pk, job.attempt)
    with Heartbeat(job.pk, job.attempt) as heartbeat:
        outcome = None
        if make_whole(job, lambda: bool(heartbeat.reason)):
            outcome = sandbox().run(
                local.file_path(job.pk), job.filename, artifacts,
                on_progress=heartbeat.progress, stop_fd=heartbeat.stop_fd,
            )  # fmt: skip
    match outcome:
        case Done():
            if outcome.artifacts:
                local.close_attempt(job.pk, job.attempt, keep=True)
            moved = execution.succeed(job.pk, job.attempt, outcome)
            if not moved:
                log.info("attempt.fenced_off")
            return moved and bool(outcome.artifacts)
        case Failed():
            raise AttemptFailed(_report(job, outcome))
        case Stopped() | None:
            if heartbeat.reason == "stopping":
                execution.release(job.pk, job.attempt)
            log.info("attempt.stopped", reason=heartbeat.reason)
            return False


def _clear(job: UploadJob, *, kept: bool) -> None:
    """Remove what an attempt leaves that did not win."""
    if not kept:
        try:
            local.close_attempt(job.pk, job.attempt, keep=False)
        except StorageUnavailable as wrong:
            log.error("storage.removal_failed", reason=str(wrong))


def _report(job: UploadJob, failed: Failed) -> FailureReport:
    return FailureReport(
        job=str(job.pk), attempt=job.attempt, code=failed.code,
        message=clean_text(failed.message, 1_000), detail=failed.detail,  # it may quote the file
        exception_type=failed.exception_type, traceback=failed.traceback, kind=failed.kind,
        content_type=failed.content_type, worker=this_worker().name,
        peak_memory=failed.usage.peak_memory_bytes, cpu_seconds=failed.usage.cpu_seconds,
        wall_seconds=failed.usage.wall_seconds, bytes_written=failed.usage.bytes_written,
    )  # fmt: skip


def _failed(job: UploadJob, wrong: BaseException) -> AttemptFailed:
    """What goes wrong around the sandbox, as a report."""
    code, message = "internal_error", "Something went wrong on our side while working on the file."
    match wrong:
        case TimeoutException():
            code, message = "timed_out", "Working on the file took longer than is allowed."
        case FileNotFoundError():
            code, message = "file_missing", "The stored file of this job is gone."
        case StorageUnavailable():
            code, message = "storage_unavailable", "Our storage did not answer."
        case OperationalError() | InterfaceError():  # a restart or a lock of the database, no bug
            code, message = "storage_unavailable", "Our database did not answer."
    return AttemptFailed(
        FailureReport(
            job=str(job.pk), attempt=job.attempt, code=code, message=message, detail=str(wrong),
            exception_type=type(wrong).__qualname__, traceback="".join(traceback.format_exception(wrong)),
            worker=this_worker().name,
        )
    )  # fmt: skip
