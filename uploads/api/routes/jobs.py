"""Jobs: list, look, retry, cancel, delete, and why attempts failed."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest
from django.views.decorators.http import conditional_page
from ninja import Query, Router
from ninja.decorators import decorate_view

from uploads.api.auth import user_of
from uploads.api.openapi import NOT_MODIFIED, answers
from uploads.api.pagination import Pages
from uploads.api.schemas.job import JobErrorOut, JobErrors, JobOut, JobPage, JobQuery
from uploads.jobs.lifecycle import execution, permissions, queue_position
from uploads.models import State, UploadJob

router = Router(tags=["jobs"])
pages: Pages[UploadJob] = Pages("created_at", UUID)

_MOST_ERRORS = 500


@router.get(
    "", response=JobPage, summary="Your jobs, newest first",
    openapi_extra=answers("invalid_request", more=NOT_MODIFIED),
)  # fmt: skip
@decorate_view(conditional_page)
def list_jobs(request: HttpRequest, wanted: Query[JobQuery]) -> JobPage:
    rows = permissions.own(user_of(request))
    if wanted.state:
        rows = rows.filter(state__in=wanted.state)
    if wanted.q:
        job_id, named = _uuid(wanted.q), Q(filename__icontains=wanted.q)
        rows = rows.filter(named if job_id is None else named | Q(pk=job_id))
    if wanted.sha256:
        rows = rows.filter(sha256__in=[digest.lower() for digest in wanted.sha256])
    items, next_cursor = pages.page(rows, wanted.limit, wanted.cursor)
    return JobPage(items=_faces(*items), next_cursor=next_cursor)


@router.get(
    "/{job_id}", response=JobOut, summary="One job", openapi_extra=answers("not_found", more=NOT_MODIFIED)
)
@decorate_view(conditional_page)
def get_job(request: HttpRequest, job_id: UUID) -> JobOut:
    (job,) = _faces(permissions.job_for(user_of(request), job_id))
    return job


@router.delete(
    "/{job_id}", response={204: None}, summary="Remove a job and its files, in any state",
    openapi_extra=answers("not_found", "not_allowed", unsafe=True),
)  # fmt: skip
def delete_job(request: HttpRequest, job_id: UUID) -> None:
    permissions.job_for(user_of(request), job_id, "delete")
    execution.delete(job_id)


@router.post(
    "/{job_id}/retry", response=JobOut, summary="Run a failed or cancelled job again",
    openapi_extra=answers("not_found", "not_allowed", "wrong_state", unsafe=True),
)  # fmt: skip
def retry_job(request: HttpRequest, job_id: UUID) -> JobOut:
    permissions.job_for(user_of(request), job_id, "retry")
    execution.retry(job_id)
    return JobOut.of(permissions.job_for(user_of(request), job_id))


@router.post(
    "/{job_id}/cancel", response=JobOut, summary="Stop a job that is not finished",
    openapi_extra=answers("not_found", "not_allowed", "wrong_state", unsafe=True),
)  # fmt: skip
def cancel_job(request: HttpRequest, job_id: UUID) -> JobOut:
    permissions.job_for(user_of(request), job_id, "cancel")
    execution.cancel(job_id)
    return JobOut.of(permissions.job_for(user_of(request), job_id))


@router.get(
    "/{job_id}/errors", response=JobErrors, summary="Why attempts of a job failed",
    openapi_extra=answers("not_found"),
)  # fmt: skip
def list_job_errors(request: HttpRequest, job_id: UUID) -> JobErrors:
    """The latest 500 failed attempts, in order, in the uploader's words."""
    job = permissions.job_for(user_of(request), job_id)
    latest = job.errors.order_by("-attempt")[:_MOST_ERRORS]
    return JobErrors(items=[JobErrorOut.of(record) for record in reversed(latest)])


def _faces(*jobs: UploadJob) -> list[JobOut]:
    """Of a job that waits, with its place in line."""
    waits = any(job.state == State.QUEUED for job in jobs)
    stand = queue_position.line() if waits else queue_position.EMPTY
    return [JobOut.of(job, stand) for job in jobs]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
