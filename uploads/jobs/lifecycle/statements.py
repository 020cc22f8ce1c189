"""The rows of every attempt, in statements written by hand: begun, won, ended. Verbs are in execution.py.

Each is part of its caller's transaction. Building these few queries anew for each job would cost five times
what the database does about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from uploads.db.sql import dialect, key
from uploads.models import Attempt, Outcome, Pause, State, UploadJob

if TYPE_CHECKING:
    from uploads.jobs.lifecycle.worker_id import Worker
    from uploads.processing.sandbox.client.sandbox import Done

_JOBS, _ATTEMPTS, _PAUSES = (model._meta.db_table for model in (UploadJob, Attempt, Pause))
_RESULT = UploadJob._meta.get_field("result")
# What a worker asks of the row, in the order of the model; the rest is read when somebody does.
_KNOWN = ("id", "filename", "sha256", "state", "attempt")

_BEGIN = (
    f"UPDATE {_JOBS} SET state = '{State.RUNNING.value}', attempt = attempt + 1, progress = 0, note = '', "  # noqa: S608
    "run_after = NULL, started_at = {now}, lease_until = {later} "
    f"WHERE id = %s AND state = '{State.QUEUED.value}' AND run_after <= {{now}} AND NOT EXISTS "
    f"(SELECT 1 FROM {_PAUSES} p WHERE p.kind = '' OR p.kind = {_JOBS}.kind) RETURNING filename, sha256, state, attempt"
)
_WRITE = (
    f"INSERT INTO {_ATTEMPTS} "  # noqa: S608
    "(job_id, number, node_id, worker, pid, pid_started, started_at, deadline, outcome) "
    f"SELECT id, attempt, %s, %s, %s, %s, started_at, {{later}}, '' FROM {_JOBS} WHERE id = %s"
)
_WIN = (
    f"UPDATE {_JOBS} SET state = '{State.SUCCEEDED.value}', progress = 100, note = '', lease_until = NULL, "  # noqa: S608
    "finished_at = {now}, result = %s, kind = %s, content_type = %s, contradiction = %s "
    f"WHERE id = %s AND state = '{State.RUNNING.value}' AND attempt = %s"
)
_END = (
    f"UPDATE {_ATTEMPTS} SET outcome = %s, finished_at = {{now}}, peak_memory = %s, cpu_seconds = %s, "  # noqa: S608
    "wall_seconds = %s, bytes_written = %s WHERE job_id = %s AND number = %s AND outcome = ''"
)


def begin(job_id: UUID, worker: Worker) -> UploadJob | None:
    """Make a due and unpaused job run, and write its attempt; None where it is not, or somebody was faster."""
    sql = dialect()
    with connection.cursor() as cursor:
        cursor.execute(
            _BEGIN.format(now=sql.now, later=sql.later), [settings.UPLOADS_LEASE_SECONDS, key(job_id)]
        )
        row = cursor.fetchone()
        if row is None:
            return None
        node = key(worker.node) if worker.node else None
        mine = [node, worker.name, worker.pid, worker.started, settings.UPLOADS_TASK_TIMEOUT, key(job_id)]
        cursor.execute(_WRITE.format(later=sql.later), mine)
    return UploadJob.from_db(connection.alias, _KNOWN, [job_id, *row])


def win(job_id: UUID, attempt: int, done: Done) -> bool:
    """Write the result of a running attempt; whether it was still its job's."""
    told: Any = _RESULT.get_db_prep_save(done.result, connection=connection)
    values = [told, done.kind, done.content_type, done.contradiction, key(job_id), attempt]
    with connection.cursor() as cursor:
        cursor.execute(_WIN.format(now=dialect().now), values)
        return bool(cursor.rowcount)


def end(
    job_id: UUID,
    attempt: int,
    outcome: Outcome,
    *,
    peak_memory: int | None = None,
    cpu_seconds: float | None = None,
    wall_seconds: float | None = None,
    bytes_written: int | None = None,
) -> None:
    """Write how an attempt ended and what it cost, unless that was written before."""
    spent = [peak_memory, cpu_seconds, wall_seconds, bytes_written]
    with connection.cursor() as cursor:
        cursor.execute(_END.format(now=dialect().now), [outcome.value, *spent, key(job_id), attempt])
