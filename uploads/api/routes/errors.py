"""Error records, for operators: look, retry their jobs, resolve, reopen."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from uploads.api.auth import user_of
from uploads.api.openapi import answers
from uploads.api.pagination import Pages
from uploads.api.schemas.job import ErrorOut, ErrorPage, ErrorQuery, JobOut, Resolution
from uploads.codes import Refused
from uploads.jobs.errors import review
from uploads.jobs.lifecycle import execution, permissions
from uploads.models import ErrorRecord, UploadJob

router = Router(tags=["errors"])
pages: Pages[ErrorRecord] = Pages("occurred_at", int)

ErrorId = Annotated[int, Field(ge=1, le=2**63 - 1)]


@router.get(
    "", response=ErrorPage, summary="Error records, newest first",
    openapi_extra=answers("invalid_request", "not_allowed"),
)  # fmt: skip
def list_errors(request: HttpRequest, wanted: Query[ErrorQuery]) -> ErrorPage:
    _operator(request, "view")
    rows = ErrorRecord.objects.select_related("owner", "resolved_by")
    if wanted.code is not None:
        rows = rows.filter(code=wanted.code)
    if wanted.state is not None:
        rows = rows.filter(resolved_at__isnull=wanted.state == "open")
    if wanted.job is not None:
        rows = rows.filter(job_uuid=wanted.job)
    items, next_cursor = pages.page(rows, wanted.limit, wanted.cursor)
    return ErrorPage(items=[ErrorOut.of(record) for record in items], next_cursor=next_cursor)


@router.get(
    "/{error_id}", response=ErrorOut, summary="One error record",
    openapi_extra=answers("not_found", "not_allowed"),
)  # fmt: skip
def get_error(request: HttpRequest, error_id: ErrorId) -> ErrorOut:
    _operator(request, "view")
    return ErrorOut.of(_record(error_id))


@router.post(
    "/{error_id}/retry", response=JobOut, summary="Run the job of an error record again",
    openapi_extra=answers("not_found", "not_allowed", "wrong_state", unsafe=True),
)  # fmt: skip
def retry_error(request: HttpRequest, error_id: ErrorId) -> JobOut:
    _operator(request, "retry")
    job_id = _record(error_id).job_id
    if job_id is None:
        raise Refused("wrong_state", "The job of this record has been deleted.")
    execution.retry(job_id)
    return JobOut.of(_job(job_id))


@router.post(
    "/{error_id}/resolve", response=ErrorOut, summary="Mark an error record as dealt with",
    openapi_extra=answers(
        "invalid_request", "incomplete_body", "not_found", "not_allowed", "wrong_state", "too_large",
        unsafe=True,
    ),
)  # fmt: skip
def resolve_error(request: HttpRequest, error_id: ErrorId, resolution: Resolution) -> ErrorOut:
    _operator(request, "resolve")
    _record(error_id)
    if not review.resolve([error_id], user_of(request), resolution.note):
        raise Refused("wrong_state", "This record is resolved already.")
    return ErrorOut.of(_record(error_id))


@router.post(
    "/{error_id}/reopen", response=ErrorOut, summary="Take a resolution back",
    openapi_extra=answers("not_found", "not_allowed", "wrong_state", unsafe=True),
)  # fmt: skip
def reopen_error(request: HttpRequest, error_id: ErrorId) -> ErrorOut:
    _operator(request, "resolve")
    _record(error_id)
    if not review.reopen([error_id]):
        raise Refused("wrong_state", "This record is open already.")
    return ErrorOut.of(_record(error_id))


def _operator(request: HttpRequest, act: str) -> None:
    """Raises Refused for who may not `view`, `retry` or `resolve` error records."""
    for needed in {"view", act}:
        if not permissions.is_operator(user_of(request), f"uploads.{needed}_errorrecord"):
            raise Refused("not_allowed", "Error records are for operators.")


def _record(error_id: int) -> ErrorRecord:
    found = ErrorRecord.objects.select_related("owner", "resolved_by").filter(pk=error_id).first()
    if found is None:
        raise Refused("not_found", "There is no such error record.")
    return found


def _job(job_id: UUID) -> UploadJob:
    job: UploadJob | None = UploadJob.objects.with_story().filter(pk=job_id).first()
    if job is None:
        raise Refused("not_found", "The job has been deleted meanwhile.")
    return job
