"""The queue: a message is a wake-up that carries a job's id, and no more.

In the database (our own broker) the message is written in the caller's transaction; on Redis it is sent
after the commit, and a broker that is down costs a wake-up, never an acknowledged upload.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, OuterRef
from django.db.models.functions import Now
from django_q.brokers import Broker, get_broker
from django_q.models import OrmQ
from django_q.tasks import async_task
from redis.exceptions import RedisError

from uploads.jobs.queue import messages, notify
from uploads.jobs.queue.broker import HOOK, TASK, QuickBroker, read
from uploads.models import JobQuerySet, Message
from uploads.models.job import PRIORITIES
from uploads.telemetry.logs import get_logger

# What a broker outside the database raises while it is down.
BROKER_ERRORS = (OSError, RedisError)
AWAY_SECONDS = 5.0  # for which a broker that is down is not asked again: the sweep wakes meanwhile
MANY = 1_000

log = get_logger(__name__)
_away_until = 0.0


@cache
def _broker() -> Broker:
    return get_broker()  # made once: it costs 5 ms on PostgreSQL


def in_database() -> bool:
    """Whether messages live in the same database as the rows, so that both commit together."""
    return isinstance(_broker(), QuickBroker)


def wake(job_id: UUID, delay: float = 0) -> None:
    """Tell the cluster that a job is due, now or `delay` seconds from now."""
    wake_all([job_id], delay)


def wake_all(job_ids: Sequence[UUID], delay: float = 0) -> None:
    """Tell the cluster that jobs, whose rows are there, are due now or `delay` seconds from now."""
    if in_database():
        # Rows and messages may be timed to the millisecond: never wake a moment before the job is due.
        messages.put_jobs(_broker().list_key, job_ids, delay + 0.01 if delay else 0)
    elif not delay:
        # A delay is the sweep's on such a broker: it has no due times of its own.
        transaction.on_commit(lambda: _send_outside(job_ids))


def _send_outside(job_ids: Sequence[UUID]) -> None:
    global _away_until
    if time.monotonic() < _away_until:
        return
    try:
        for job_id in job_ids:
            async_task(TASK, str(job_id), hook=HOOK, task_name=str(job_id), broker=_broker())
    except BROKER_ERRORS as wrong:
        _away_until = time.monotonic() + AWAY_SECONDS
        log.warning("queue.wake_up_lost", jobs=[str(job_id) for job_id in job_ids[:5]], reason=str(wrong))


def wake_missing(rows: JobQuerySet) -> int:
    """Wake those jobs of a query that no message wakes, the most urgent first, in short transactions."""
    rows = rows.order_by("-priority", "run_after", "pk")
    if in_database():
        rows = rows.filter(~Exists(Message.objects.filter(job=OuterRef("pk"))))
    asleep = list(rows.values_list("pk", flat=True))
    for start in range(0, len(asleep), MANY):
        wake_all(asleep[start : start + MANY])
    return len(asleep)


def ring() -> None:
    """Let the cluster look at its queue now: what holds it back may have gone."""
    if in_database():
        notify.ring()


def without_message(rows: JobQuerySet) -> JobQuerySet:
    """Those jobs of a query that no due message wakes, as far as the broker can tell."""
    if not in_database():
        return rows
    return rows.filter(~Exists(Message.objects.filter(job=OuterRef("pk"), due__lte=Now())))


def prioritise(job_id: UUID) -> None:
    """Let the messages of a job wait where its priority now puts them. Redis knows no priorities."""
    if in_database():
        messages.move(job_id)


def adopt() -> int:
    """Take over what django-q2's own ORM broker left: messages of the last version; how many there were.

    Jobs are woken by messages of ours, tasks of somebody else's are queued as they are.
    """
    if not in_database():
        return 0
    adopted = 0
    while True:
        with transaction.atomic():
            old = list(OrmQ.objects.select_for_update(skip_locked=_can_skip()).order_by("pk")[:MANY])
            for one in old:
                job_id = _job_of(one.payload)
                if job_id is not None:
                    messages.put_jobs(one.key, [job_id])
                elif one.payload:
                    messages.put_payload(one.key, one.payload)
            OrmQ.objects.filter(pk__in=[one.pk for one in old]).delete()
        adopted += len(old)
        if len(old) < MANY:
            return adopted


def _can_skip() -> bool:
    return bool(transaction.get_connection().features.has_select_for_update_skip_locked)


def _job_of(payload: str) -> UUID | None:
    """Whom a message of the last version wakes; None where it cannot be read, or is not one of ours."""
    try:
        task, _current = read(payload)
        return UUID(str(task["args"][0])) if task["func"] == TASK else None
    except Exception as wrong:
        # What cannot be read is told when a pusher takes it; unpickling may raise anything.
        log.debug("queue.not_ours", reason=str(wrong), exc_info=True)
        return None


def due_depth(at_most: int) -> int:
    """Messages that a pusher could take now, counted no further than needed."""
    broker = _broker()
    if isinstance(broker, QuickBroker):
        # Every priority is named, so that the index is read only where messages are due.
        due = Message.objects.filter(queue=broker.list_key, priority__in=PRIORITIES, due__lte=Now())
        return due.order_by().values("pk")[:at_most].count()
    return min(at_most, int(broker.queue_size() or 0))


def waiting() -> dict[UUID, int] | None:
    """How many messages each job has in the queue; None where the broker cannot list them."""
    if not in_database():
        return None
    rows = Message.objects.filter(job__isnull=False).order_by().values_list("job").annotate(Count("pk"))
    return {job_id: count for job_id, count in rows.iterator(MANY) if job_id}


def depth() -> int:
    """Messages that wait in the queue, due or not."""
    broker = _broker()
    return int(broker.queue_size() or 0) + int(broker.lock_size() or 0)
