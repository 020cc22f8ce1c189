"""The failure hook: django-q2 calls it in its monitor process for every task it has saved.

It is the ordinary recorder of failures. It may come twice, or never: the row decides, and other
recorders exist for workers that died.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from uploads.jobs.lifecycle import execution
from uploads.jobs.lifecycle.failure_report import FailureReport
from uploads.models import UploadJob
from uploads.telemetry.logs import get_logger

if TYPE_CHECKING:
    from django_q.models import Task

log = get_logger(__name__)


def record_failure(task: Task) -> None:
    """Write the error record of a failed task. Short and idempotent: the monitor runs it serially."""
    if task.success:
        return
    report = _report(task)
    if report is None:
        log.error("hook.unreadable_failure", task=task.name, result=str(task.result)[:500])
    elif not execution.fail(report):
        log.info("hook.nothing_to_record", job=report.job, attempt=report.attempt)


def _report(task: Task) -> FailureReport | None:
    text = str(task.result or "")
    try:
        return FailureReport.loads(text)
    except ValueError:
        # Not raised by our task function but around it: a hard time-out, or a broken installation.
        return _unstructured(task, text)


def _unstructured(task: Task, text: str) -> FailureReport | None:
    try:
        job_id = UUID(str(task.args[0]))
    except (TypeError, IndexError, ValueError):
        return None
    job = UploadJob.objects.running().filter(pk=job_id).first()
    if job is None:
        return None
    return FailureReport(
        job=str(job_id), attempt=job.attempt, code="internal_error",
        message="Something went wrong on our side while working on the file.",
        traceback=text, exception_type="unstructured",
    )  # fmt: skip
