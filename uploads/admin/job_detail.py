"""The whole story of one job, for its page: attempts with what they cost, errors, artifacts, the result."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.admin.utils import unquote

from uploads.admin import formatting
from uploads.models import ACTIVE, Artifact, Attempt, ErrorRecord, State, UploadJob
from uploads.storage.kept import local

_SHOWN = 200


def of_job(object_id: str) -> dict[str, Any]:
    """The template's `attempts`, `errors`, `artifacts`, `result` and what is possible; {} without a job."""
    try:
        job = UploadJob.objects.filter(pk=UUID(unquote(object_id))).first()
    except ValueError:
        return {}
    if job is None:
        return {}
    errors = list(
        ErrorRecord.objects.filter(job_uuid=job.pk).defer("traceback").order_by("-attempt")[:_SHOWN]
    )
    return {
        "attempts": _attempts(job, errors),
        "errors_shown": errors,
        "artifacts": [_artifact(job, one) for one in job.artifacts.all()[:_SHOWN]],
        "result": formatting.pretty(job.result) if job.result is not None else "",
        "retryable": job.state in (State.FAILED, State.CANCELLED),
        "cancellable": job.state in ACTIVE,
        "shown_at_most": _SHOWN,
    }


def percent(job: UploadJob) -> int:
    """How far a running or receiving job is; for the latter, by the bytes that are on disk."""
    if job.state == State.RECEIVING and job.size:
        return min(100, local.spooled_bytes(job.pk) * 100 // job.size)
    return job.progress


def _attempts(job: UploadJob, errors: list[ErrorRecord]) -> list[dict[str, Any]]:
    by_number = {error.attempt: error for error in errors}
    rows = Attempt.objects.filter(job=job).select_related("node").order_by("-number")[:_SHOWN]
    return [
        {
            "row": row,
            "error": by_number.get(row.number),
            "took": formatting.between(row.started_at, row.finished_at),
            "memory": formatting.size(row.peak_memory),
            "cpu": formatting.seconds(row.cpu_seconds),
            "wall": formatting.seconds(row.wall_seconds),
            "written": formatting.size(row.bytes_written),
        }
        for row in rows
    ]


def _artifact(job: UploadJob, one: Artifact) -> dict[str, Any]:
    return {
        "name": one.name,
        "content_type": one.content_type,
        "size": formatting.size(one.size),
        "attempt": one.attempt,
        "url": formatting.artifact_url(job.pk, one.name),
        "is_image": one.content_type in settings.UPLOADS_INLINE_TYPES,
    }
