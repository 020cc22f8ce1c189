"""The message table: putting wake-ups in, taking many out in one statement. SQLite and PostgreSQL alike.

Due times are the database's. A message is taken by deleting it: the job's row is the truth, so a message
lost with its taker is a wake-up lost, which the sweep sends again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from uploads.db.sql import dialect, key
from uploads.jobs.queue import notify
from uploads.models import Message, Pause, UploadJob
from uploads.models.job import NORMAL_PRIORITY

_TABLE, _JOBS, _PAUSES = (model._meta.db_table for model in (Message, UploadJob, Pause))
_CHUNK = 500  # SQLite takes a bounded number of parameters

# When the first message of each priority is due: ten seeks in an index, however many wait.
_LOOK = (
    "WITH p(n) AS (VALUES (9), (8), (7), (6), (5), (4), (3), (2), (1), (0)) "  # noqa: S608
    f"SELECT n, (SELECT {{until}} FROM {_TABLE} WHERE queue = %s AND priority = n ORDER BY due LIMIT 1) "
    f"FROM p WHERE NOT EXISTS (SELECT 1 FROM {_PAUSES} WHERE kind = '')"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message out of the queue: the job it wakes, or the payload of a task of somebody else's."""

    job: UUID | None
    payload: str


def put_jobs(queue: str, job_ids: Sequence[UUID], delay: float = 0) -> None:
    """Write a message for each job that exists, due in `delay` seconds, with the priority of its row.

    Within the caller's transaction, if there is one; who waits for messages is woken when it commits.
    """
    sql = dialect()
    for start in range(0, len(job_ids), _CHUNK):
        some = job_ids[start : start + _CHUNK]
        marks = ", ".join(["%s"] * len(some))
        statement = (
            f"INSERT INTO {_TABLE} (queue, priority, due, job, payload) "  # noqa: S608 - our own names
            f"SELECT %s, priority, {sql.later}, id, '' FROM {_JOBS} WHERE id IN ({marks})"
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, [queue, round(delay, 3), *map(key, some)])
    notify.ring()


def put_payload(queue: str, payload: str) -> None:
    """Write a message with a signed task of somebody else's, due now."""
    later = dialect().later
    statement = f"INSERT INTO {_TABLE} (queue, priority, due, payload) VALUES (%s, %s, {later}, %s)"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [queue, NORMAL_PRIORITY, 0, payload])
    notify.ring()


def take(queue: str, at_most: int) -> tuple[list[Taken], float | None]:
    """Take due messages of the highest priority that has any, the longest due first.

    With none due the answer is empty, with the seconds until the next one is; None where none waits or
    an operator has paused all starts.
    Looking costs ten short reads of an index and no lock, however many messages wait.
    """
    sql = dialect()
    with connection.cursor() as cursor:
        cursor.execute(_LOOK.format(until=sql.until), [queue])
        waits = {priority: wait for priority, wait in cursor.fetchall() if wait is not None}
        due = [priority for priority, wait in waits.items() if wait <= 0]
        if not due:
            return [], min(waits.values(), default=None)
        first = (
            f"SELECT id FROM {_TABLE} WHERE queue = %s AND priority = %s AND due <= {sql.now} "  # noqa: S608
            "ORDER BY due LIMIT %s"
        )
        cursor.execute(
            f"DELETE FROM {_TABLE} WHERE {sql.picked.format(first)} RETURNING due, id, job, payload",  # noqa: S608
            [queue, max(due), at_most],
        )
        rows = sorted(cursor.fetchall(), key=lambda row: (row[0], row[1]))
    return [Taken(UUID(str(job)) if job else None, payload) for _due, _id, job, payload in rows], 0.0


def move(job_id: UUID) -> None:
    """Give the waiting messages of a job the priority of its row."""
    Message.objects.filter(job=job_id).update(
        priority=UploadJob.objects.filter(pk=job_id).values("priority")[:1]
    )
    notify.ring()
