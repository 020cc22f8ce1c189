"""Accepting uploads: all files of a request in one commit, which requests that come together share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection

from uploads.codes import Refused
from uploads.db import clock, group_commit
from uploads.db.insertion import Insertion
from uploads.db.sql import dialect, key
from uploads.jobs.lifecycle import capacity
from uploads.jobs.queue import producer
from uploads.models import State, UploadJob
from uploads.processing.detection.by_name import guess_kind
from uploads.telemetry.logs import get_logger

if TYPE_CHECKING:
    from datetime import datetime

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


def land(file: Landed, *, also: Callable[[], object]) -> None:
    """Queue one opened upload, whose row nobody has to see now; `also` writes more within the same commit.

    Raises Refused(wrong_state) where it was cancelled meanwhile, or queued already.
    """

    def write() -> None:
        _move(file)
        also()

    group_commit.commit(write, moves=True, before_commit=producer.wake_all, keys=[file.job_id])
    log.info("job.accepted", job=str(file.job_id), size=file.size, sha256=file.sha256)


def accept(
    owner_id: int, files: Sequence[Landed], *, also: Callable[[], object] | None = None
) -> list[UploadJob]:
    """Queue whole files, all in one commit, in their order; `also` writes more within it.

    Raises Refused where there is no room, or one of them was cancelled meanwhile; then none is queued.
    """
    fresh = [file for file in files if not file.opened]
    size, now = sum(file.size for file in fresh), clock.now()
    rows = {file.job_id: _row(owner_id, file, now) for file in fresh}
    insertions = [Insertion(row) for row in rows.values()]

    def write() -> None:
        if fresh:
            capacity.check(owner_id, len(fresh), size)
        for file in files:
            if file.opened:
                _move(file)
        for insertion in insertions:
            insertion.write()
        if also is not None:
            also()

    # A row that was cancelled is found in mid-way: only then is there anything to undo.
    moves = any(file.opened for file in files)
    group_commit.commit(
        write, moves=moves, before_commit=producer.wake_all, keys=[file.job_id for file in files]
    )
    for file in files:
        log.info("job.accepted", job=str(file.job_id), size=file.size, sha256=file.sha256)
    if moves:
        rows |= UploadJob.objects.in_bulk([file.job_id for file in files if file.opened])
    return [rows[file.job_id].without_story() for file in files]


def _move(file: Landed) -> None:
    """Let an opened upload go from receiving to queued. Raises Refused."""
    sql = dialect()
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {UploadJob._meta.db_table} SET state = 'queued', size = %s, sha256 = %s, kind = %s, "  # noqa: S608
            f"progress = 0, queued_at = {sql.now}, run_after = {sql.now}, woken_at = {sql.now} "
            "WHERE id = %s AND state = 'receiving'",
            [file.size, file.sha256, guess_kind(file.filename, file.declared_type), key(file.job_id)],
        )
        if not cursor.rowcount:
            raise Refused("wrong_state", "The upload was cancelled meanwhile.")


def _row(owner_id: int, file: Landed, now: datetime) -> UploadJob:
    return UploadJob(
        id=file.job_id, owner_id=owner_id, filename=file.filename, declared_type=file.declared_type,
        kind=guess_kind(file.filename, file.declared_type), size=file.size, sha256=file.sha256,
        state=State.QUEUED, created_at=now, queued_at=now, run_after=now, woken_at=now,
    )  # fmt: skip
