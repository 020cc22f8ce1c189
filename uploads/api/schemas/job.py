"""What goes out and comes in, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from uploads.codes import FAILURE_CODES
from uploads.i18n import phrases
from uploads.jobs.lifecycle.queue_position import EMPTY, Line
from uploads.models import ErrorRecord, Pause, State, UploadJob

# Kept as a closed list in the description, though it is plain text in the row.
StateName = Annotated[str, Field(json_schema_extra={"enum": list(State.values)})]
# No text of ours holds a NUL, and PostgreSQL takes none.
NO_NUL = r"^[^\x00]*$"
Words = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str, Field(max_length=200, description="`next_cursor` of the page before.")]


def _known_code(text: str) -> str:
    if text not in FAILURE_CODES:
        raise ValueError("there is no such failure code")
    return text


CodeName = Annotated[str, AfterValidator(_known_code), Field(json_schema_extra={"enum": [*FAILURE_CODES]})]


class FieldFault(Schema):
    """One fault of an invalid request."""

    field: str
    message: str


class Problem(Schema):
    """A refusal or an error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable: programs may decide by it.")
    errors: list[FieldFault] | None = None


class ArtifactOut(Schema):
    """A file derived from an upload; its bytes are at /api/jobs/{id}/artifacts/{name}."""

    name: str
    content_type: str
    size: int


class FaultOut(Schema):
    """The uploader's face of the last failure."""

    code: str
    message: str
    advice: str
    retryable: bool


class JobOut(Schema):
    """One uploaded file and what becomes of it. Times are UTC; `size` is bytes, `progress` percent."""

    id: UUID
    filename: str
    size: int
    sha256: str | None = Field(description="Null until all bytes are here.")
    content_type: str | None = Field(description="What the content says it is; null until somebody looked.")
    state: StateName
    progress: int
    note: str
    attempt: int = Field(description="Number of the latest attempt; 0 before the first.")
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    next_attempt_at: datetime | None = Field(description="When it is tried again after a failed attempt.")
    position: int | None = Field(description="Its place among the jobs that may start, from 1.")
    estimated_start_at: datetime | None = Field(description="By the pace of the latest attempts.")
    result: Any = Field(description="What the processor found; null until the job has succeeded.")
    artifacts: list[ArtifactOut]
    error: FaultOut | None

    @classmethod
    def of(cls, job: UploadJob, line: Line = EMPTY) -> JobOut:
        """The face of a row that was read `with_story()`, and that stands in `line` where it waits."""
        error = job.last_error
        wait = line.wait(job.pk)
        return cls(
            id=job.pk,
            filename=job.filename,
            size=job.size,
            sha256=job.sha256 or None,
            content_type=job.content_type or None,
            state=job.state,
            progress=job.progress,
            note=job.note or job.contradiction,
            attempt=job.attempt,
            created_at=job.created_at,
            queued_at=job.queued_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            next_attempt_at=job.next_attempt_at,
            position=wait and wait.position,
            estimated_start_at=line.start(job.pk),
            result=job.result,
            artifacts=[
                ArtifactOut(name=one.name, content_type=one.content_type, size=one.size)
                for one in job.artifacts.all()
            ],
            error=None
            if error is None
            else FaultOut(
                code=error.code,
                message=phrases.translated(error.message),
                advice=phrases.translated(error.advice),
                retryable=error.retryable,
            ),
        )


class JobsOut(Schema):
    """The jobs that one request made."""

    jobs: list[JobOut]


class JobQuery(Schema):
    """What narrows the list of jobs."""

    state: list[State] = Field([], description="Only these states; may be repeated.")
    q: Words | None = Field(None, description="A part of the file name, in any case, or a job's whole id.")
    sha256: list[Digest] = Field(
        [], max_length=100, description="The SHA-256 of the file, in hexadecimal; may be repeated."
    )
    limit: Limit = 50
    cursor: Cursor | None = None


class JobPage(Schema):
    """Jobs, newest first."""

    items: list[JobOut]
    next_cursor: str | None


class JobErrorOut(Schema):
    """One failed attempt, as its uploader reads it."""

    attempt: int
    code: str
    message: str
    advice: str
    retryable: bool
    occurred_at: datetime
    will_retry: bool = Field(description="Whether it was tried again by itself.")

    @classmethod
    def of(cls, record: ErrorRecord) -> JobErrorOut:
        return cls(
            attempt=record.attempt,
            code=record.code,
            message=phrases.translated(record.message),
            advice=phrases.translated(record.advice),
            retryable=record.retryable,
            occurred_at=record.occurred_at,
            will_retry=record.will_retry,
        )


class JobErrors(Schema):
    """The failed attempts of a job, in order."""

    items: list[JobErrorOut]


class ErrorOut(Schema):
    """One failed attempt, as an operator sees it."""

    id: int
    job: UUID = Field(description="The job's id; the record outlives the job.")
    job_exists: bool
    attempt: int
    code: str
    message: str
    advice: str = Field(description="To the operator.")
    retryable: bool
    will_retry: bool
    occurred_at: datetime
    state: Literal["open", "resolved"]
    resolved_at: datetime | None
    resolved_by: str | None
    resolution_note: str
    owner: str | None
    filename: str
    size: int
    sha256: str | None
    kind: str
    content_type: str
    worker: str
    exception_type: str
    detail: str
    traceback: str

    @classmethod
    def of(cls, record: ErrorRecord) -> ErrorOut:
        """The face of a record that was read with its `owner` and `resolved_by`."""
        return cls(
            id=record.pk,
            job=record.job_uuid,
            job_exists=record.job_id is not None,
            attempt=record.attempt,
            code=record.code,
            message=record.message,
            advice=record.operator_advice,
            retryable=record.retryable,
            will_retry=record.will_retry,
            occurred_at=record.occurred_at,
            state="resolved" if record.is_resolved else "open",
            resolved_at=record.resolved_at,
            resolved_by=record.resolved_by.get_username() if record.resolved_by else None,
            resolution_note=record.resolution_note,
            owner=record.owner.get_username() if record.owner else None,
            filename=record.filename,
            size=record.size,
            sha256=record.sha256 or None,
            kind=record.kind,
            content_type=record.content_type,
            worker=record.worker,
            exception_type=record.exception_type,
            detail=record.detail,
            traceback=record.traceback,
        )


class ErrorQuery(Schema):
    """What narrows the list of error records."""

    code: CodeName | None = Field(None, description="Only this failure code.")
    state: Literal["open", "resolved"] | None = None
    job: UUID | None = Field(None, description="Only those of this job, by its id.")
    limit: Limit = 50
    cursor: Cursor | None = None


class ErrorPage(Schema):
    """Error records, newest first."""

    items: list[ErrorOut]
    next_cursor: str | None


class Resolution(BaseModel):
    """How an operator dealt with an error record."""

    # Not a ninja Schema: that one reads attributes, and so takes any list for an empty resolution.
    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(max_length=5_000, pattern=NO_NUL)] = ""


class PauseOut(Schema):
    """Starts that an operator has paused."""

    id: int
    kind: str = Field(description="Empty: all kinds.")
    note: str
    since: datetime
    by: str | None

    @classmethod
    def of(cls, pause: Pause) -> PauseOut:
        by = pause.by.get_username() if pause.by else None
        return cls(id=pause.pk, kind=pause.kind, note=pause.note, since=pause.since, by=by)


class PauseList(Schema):
    """All pauses there are."""

    items: list[PauseOut]


class NewPause(BaseModel):
    """What to pause, and why."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(max_length=40, pattern=NO_NUL, description="Empty: all kinds.")] = ""
    note: Annotated[str, Field(max_length=300, pattern=NO_NUL)] = ""
