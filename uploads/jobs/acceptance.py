"""Accepting uploads: all files of a request in one commit, which requests that come together share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from uploads.codes import Refused
from uploads.jobs import capacity, clock, together
from uploads.models import State, UploadJob
from uploads.processing.guess import guess_kind
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Landed:
    """A file whose bytes are durable under `job_id`; `opened` where its row exists as receiving."""

    job_id: UUID
    filename: str
    declared_type: str
    size: int
    sha256: str
    opened: bool = False


def accept(
    owner_id: int, files: Sequence[Landed], *, also: Callable[[], object] | None = None
) -> list[UploadJob]:
    """Queue whole files, all in one commit, in their order; `also` writes more within it.

    Raises Refused where there is no room, or one of them was cancelled meanwhile; then none is queued.
    """

    def write() -> list[UploadJob]:
        jobs = _write(owner_id, files)
        if also is not None:
            also()
        return jobs

    # A row that was cancelled is found in mid-way: only then is there anything to undo.
    moves = any(file.opened for file in files)
    jobs = together.commit(write, moves=moves, wake=[file.job_id for file in files])
    for file in files:
        log.info("job.accepted", job=str(file.job_id), size=file.size, sha256=file.sha256)
    return jobs


def _write(owner_id: int, files: Sequence[Landed]) -> list[UploadJob]:
    fresh = [file for file in files if not file.opened]
    opened = [file for file in files if file.opened]
    if fresh:
        capacity.check(owner_id, len(fresh), sum(file.size for file in fresh))
    now = clock.now()
    queued = {"state": State.QUEUED, "queued_at": now, "run_after": now, "woken_at": now}
    for file in opened:
        rows = UploadJob.objects.receiving().filter(pk=file.job_id)
        kind = guess_kind(file.filename, file.declared_type)
        if not rows.update(size=file.size, sha256=file.sha256, kind=kind, progress=0, **queued):
            raise Refused("wrong_state", "The upload was cancelled meanwhile.")
    jobs = {
        file.job_id: UploadJob(
            id=file.job_id, owner_id=owner_id, filename=file.filename,
            declared_type=file.declared_type, kind=guess_kind(file.filename, file.declared_type),
            size=file.size, sha256=file.sha256, created_at=now, **queued,
        )
        for file in fresh
    }  # fmt: skip
    UploadJob.objects.bulk_create(jobs.values())
    if opened:
        jobs |= UploadJob.objects.in_bulk([file.job_id for file in opened])
    return [jobs[file.job_id].without_story() for file in files]
