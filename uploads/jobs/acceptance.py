"""Accepting uploads: all files of a request in one commit, and requests that come together in one commit too.

A commit that survives a power cut costs an fsync, and on SQLite the lock that only one writer has at a
time. So whoever gets to commit takes along all that wait behind it; each is answered for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction

from uploads.codes import Refused
from uploads.jobs import capacity, clock, queue
from uploads.models import State, UploadJob
from uploads.processing.guess import guess_kind
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

_MOST_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class Landed:
    """A file whose bytes are durable under `job_id`; `opened` where its row exists as receiving."""

    job_id: UUID
    filename: str
    declared_type: str
    size: int
    sha256: str
    opened: bool = False


@dataclass(eq=False, slots=True)
class _Request:
    """What one request brings, and what became of it: `jobs`, or what is to be raised where it waits."""

    owner_id: int
    files: Sequence[Landed]
    jobs: list[UploadJob] = field(default_factory=list)
    wrong: Exception | None = None
    decided: bool = False


_waiting: list[_Request] = []
_waiting_lock = threading.Lock()
_committing = threading.Lock()


def accept(owner_id: int, files: Sequence[Landed]) -> list[UploadJob]:
    """Queue whole files, all in one commit, in their order.

    Raises Refused where there is no room, or one of them was cancelled meanwhile; then none is queued.
    """
    mine = _Request(owner_id, files)
    with _waiting_lock:
        _waiting.append(mine)
    with _committing:
        if not mine.decided:  # nobody took it along
            _commit_those_that_wait(mine)
    if mine.wrong:
        raise mine.wrong
    for file in files:
        log.info("job.accepted", job=str(file.job_id), size=file.size, sha256=file.sha256)
    return mine.jobs


def _commit_those_that_wait(mine: _Request) -> None:
    with _waiting_lock:
        others = [one for one in _waiting if one is not mine][: _MOST_TOGETHER - 1]
        together = [mine, *others]
        _waiting[:] = [one for one in _waiting if one not in together]
    try:
        with transaction.atomic():
            for one in together:
                _queue(one)
            accepted = [one for one in together if one.wrong is None]
            queue.wake_all([file.job_id for one in accepted for file in one.files])
    except Exception as wrong:
        for one in together:
            one.wrong = one.wrong or wrong
        raise
    finally:
        for one in together:
            one.decided = True


def _queue(request: _Request) -> None:
    """Write the rows of one request, or note why not; a refusal undoes what this request has written."""
    try:
        # A row that was cancelled is found in mid-way: only then is there anything to undo.
        if any(file.opened for file in request.files):
            with transaction.atomic():
                request.jobs = _write(request)
        else:
            request.jobs = _write(request)
    except Refused as refused:
        request.wrong = refused


def _write(request: _Request) -> list[UploadJob]:
    fresh = [file for file in request.files if not file.opened]
    opened = [file for file in request.files if file.opened]
    if fresh:
        capacity.check(request.owner_id, len(fresh), sum(file.size for file in fresh))
    now = clock.now()
    queued = {"state": State.QUEUED, "queued_at": now, "run_after": now, "woken_at": now}
    for file in opened:
        rows = UploadJob.objects.receiving().filter(pk=file.job_id)
        kind = guess_kind(file.filename, file.declared_type)
        if not rows.update(size=file.size, sha256=file.sha256, kind=kind, progress=0, **queued):
            raise Refused("wrong_state", "The upload was cancelled meanwhile.")
    jobs = {
        file.job_id: UploadJob(
            id=file.job_id, owner_id=request.owner_id, filename=file.filename,
            declared_type=file.declared_type, kind=guess_kind(file.filename, file.declared_type),
            size=file.size, sha256=file.sha256, created_at=now, **queued,
        )
        for file in fresh
    }  # fmt: skip
    UploadJob.objects.bulk_create(jobs.values())
    if opened:
        jobs |= UploadJob.objects.in_bulk([file.job_id for file in opened])
    return [jobs[file.job_id].without_story() for file in request.files]
