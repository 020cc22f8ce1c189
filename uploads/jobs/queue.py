"""The queue: a message is a wake-up that carries a job's id, and no more.

On the database's own broker the message is written in the caller's transaction; on another it is sent
after the commit, and a broker that is down costs a wake-up, never an acknowledged upload.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django_q.brokers import Broker, get_broker
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import BadSignature, SignedPackage
from django_q.tasks import async_task
from redis.exceptions import RedisError

from uploads.telemetry.logs import get_logger

TASK = "uploads.jobs.worker.work"
HOOK = "uploads.jobs.failures.record_failure"

# What a broker outside the database raises while it is down.
BROKER_ERRORS = (OSError, RedisError)

log = get_logger(__name__)


class DueBroker(ORM):
    """The ORM broker whose next messages are locked until a due time: a delayed wake-up."""

    def __init__(self, delay: float) -> None:
        super().__init__()
        # The database's clock may count in milliseconds: never wake a moment before the job is due.
        self.delay = timedelta(seconds=delay + 0.01)

    def enqueue(self, task: str) -> Any:
        row = OrmQ.objects.using(Conf.ORM).create(
            key=self.list_key, payload=task, lock=timezone.now() + self.delay
        )
        return row.pk


@cache
def _broker() -> Broker:
    return get_broker()  # made once: it costs 5 ms on PostgreSQL


def in_database() -> bool:
    """Whether messages live in the same database as the rows, so that both commit together."""
    return isinstance(_broker(), ORM)


def wake(job_id: UUID, delay: float = 0) -> None:
    """Tell the cluster that a job is due, now or `delay` seconds from now."""
    if in_database():
        _send(job_id, DueBroker(delay) if delay else _broker())
    else:
        # A delay is the sweep's on such a broker: it has no due times of its own.
        transaction.on_commit(lambda: None if delay else _send_outside(job_id))


def _send(job_id: UUID, broker: Broker) -> None:
    async_task(TASK, str(job_id), hook=HOOK, task_name=str(job_id), broker=broker)


def _send_outside(job_id: UUID) -> None:
    try:
        _send(job_id, _broker())
    except BROKER_ERRORS as wrong:
        log.warning("queue.wake_up_lost", job=str(job_id), reason=str(wrong))


def due_depth(at_most: int) -> int:
    """Messages that a pusher could take now, counted no further than needed."""
    broker = _broker()
    if isinstance(broker, ORM):
        due = OrmQ.objects.using(Conf.ORM).filter(key=broker.list_key, lock__lte=timezone.now())
        return int(due.values("pk")[:at_most].count())
    return min(at_most, int(broker.queue_size() or 0))


def waiting() -> dict[UUID, int] | None:
    """How many messages each job has in the queue, due or taken; None where the broker cannot list them."""
    broker = _broker()
    if not isinstance(broker, ORM):
        return None
    found: dict[UUID, int] = {}
    for payload in OrmQ.objects.using(Conf.ORM).values_list("payload", flat=True).iterator(1_000):
        job_id = _job_of(payload)
        if job_id is not None:
            found[job_id] = found.get(job_id, 0) + 1
    return found


def _job_of(payload: str) -> UUID | None:
    """Whom a message wakes; None where it cannot be read, or wakes nobody."""
    try:
        return UUID(str(SignedPackage.loads(payload)["args"][0]))
    except (BadSignature, TypeError, KeyError, IndexError, ValueError, AttributeError, ImportError):
        return None


def depth() -> int:
    """Messages that wait in the queue, due or not."""
    broker = _broker()
    return int(broker.queue_size() or 0) + int(broker.lock_size() or 0)
