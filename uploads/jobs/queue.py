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
from django_q.tasks import async_task

from uploads.telemetry.logs import get_logger

TASK = "uploads.jobs.worker.work"
HOOK = "uploads.jobs.failures.record_failure"

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
    except (OSError, ConnectionError, TimeoutError) as wrong:
        log.warning("queue.wake_up_lost", job=str(job_id), reason=str(wrong))


def depth() -> int:
    """Messages that wait in the queue, due or not."""
    broker = _broker()
    return int(broker.queue_size() or 0) + int(broker.lock_size() or 0)
