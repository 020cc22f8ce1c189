"""The sweep: a periodic search for lost work. Every supervisor does it, any number at once.

A step looks first, then moves each row by a verb that looks again, on the database's clock; being too late
is normal. A step returns its findings, and with `dry_run` does no more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django_q.models import Task

from uploads.jobs.lifecycle import execution
from uploads.jobs.lifecycle.failure_report import FailureReport
from uploads.jobs.queue import producer
from uploads.jobs.worker import failure_hook
from uploads.linux import processes
from uploads.models import UploadJob
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

BATCH = 500
REWAKE_AFTER = 5.0  # seconds after which a due job that nobody started is woken again
DUE_SLACK = 2.0  # seconds that a delayed message of the database's own broker may be late by
MESSAGES_PER_WORKER = 4  # a queue that is longer needs no more wake-ups
SHORT_QUEUE = 200  # as many as a pusher may take with it
CONFIRM_SECONDS = 0.4  # less than a round of the keeper: two looks in a row decide


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was lost: `what` it is, and its `cure` as a participle; `job` and `attempt` where known."""

    what: str
    cure: str
    job: UUID | None = None
    attempt: int = 0

    def __str__(self) -> str:
        attempt = f", attempt {self.attempt}" if self.attempt else ""
        return f"{f'Job {self.job}{attempt}: ' if self.job else ''}{self.what}"


@dataclass(frozen=True, slots=True)
class RunningAttempt:
    """The current attempt of a running job, as its host can judge it."""

    job_id: UUID
    number: int
    pid: int
    pid_started: int
    worker: str
    node_id: UUID | None
    overdue: bool


class Rescue:
    """Fast rescue: attempts of this host whose worker process is gone are failed at once.

    A worker that ends after a failure leaves its report to the monitor, which needs a moment to record
    it: so an attempt is judged only when its worker has been gone for CONFIRM_SECONDS.
    """

    def __init__(self, boot_id: str, pid_namespace: str) -> None:
        self._here = Q(attempts__node__boot_id=boot_id, attempts__node__pid_namespace=pid_namespace)
        self._gone_since: dict[tuple[UUID, int], float] = {}

    def look(self, *, confirm: float = CONFIRM_SECONDS, dry_run: bool = False) -> list[Finding]:
        """Fail what is confirmed lost. Raises DatabaseError."""
        now, found = time.monotonic(), []
        gone = {(one.job_id, one.number): one for one in running(self._here) if not _alive(one)}
        self._gone_since = {key: self._gone_since.get(key, now) for key in gone}
        for key, one in gone.items():
            if now - self._gone_since[key] >= confirm:
                if not dry_run and not self._judge(one):
                    continue
                found.append(Finding(f"its worker {one.worker} is gone", "failed", one.job_id, one.number))
        return found

    def _judge(self, one: RunningAttempt) -> bool:
        if recorded_by_hook(one):
            return False
        if one.overdue:
            return _fail(one, "timed_out", "Working on the file took longer than is allowed.")
        return _fail(one, "worker_lost", "The process that worked on the file was ended from outside.")


def release_own(node_id: UUID) -> list[Finding]:
    """Give back what a node that has stopped left running: nobody's failure. Raises DatabaseError."""
    found = []
    for one in running():
        if one.node_id != node_id or _alive(one):
            continue
        if not recorded_by_hook(one) and execution.release(one.job_id, one.number):
            found.append(Finding("its node has stopped", "released", one.job_id, one.number))
    return found


def expired_leases(*, dry_run: bool = False) -> list[Finding]:
    """Fail attempts whose worker, wherever it is, has not renewed its lease. Raises DatabaseError."""
    late = Q(lease_until__lt=Now())
    found = []
    for one in running(late):
        message = "The worker has not been heard of for too long."
        if dry_run or (not recorded_by_hook(one) and _fail(one, "worker_lost", message, late)):
            found.append(Finding("its lease has expired", "failed", one.job_id, one.number))
    return found


def passed_deadlines(*, dry_run: bool = False) -> list[Finding]:
    """Fail attempts that beat on but do not end, as a hung call into C does. Raises DatabaseError."""
    found = []
    for one in running(Q(attempts__deadline__lt=Now())):
        message = "Working on the file took longer than is allowed."
        if dry_run or _fail(one, "timed_out", message):
            found.append(Finding("it has passed its deadline", "failed", one.job_id, one.number))
    return found


def lost_wake_ups(workers: int, *, at_once: bool = False, dry_run: bool = False) -> list[Finding]:
    """Wake due jobs again that nobody starts, the longest due first. Raises DatabaseError and broker errors.

    Only while the queue is short: jobs behind a long queue wait, and messages never pile up. `at_once`,
    after a pusher has died with messages in its hands, wakes the next few whatever the queue says.
    """
    most = MESSAGES_PER_WORKER * workers
    if producer.in_database():
        most = max(most, SHORT_QUEUE)  # a look at the table keeps messages from piling up
    room = most if at_once else most - producer.due_depth(most)
    if room <= 0:
        return []
    age = 0.0 if at_once else REWAKE_AFTER
    slack = DUE_SLACK if producer.in_database() and not at_once else 0.0
    asleep = (
        UploadJob.objects.queued()
        .unpaused()
        .filter(
            Q(woken_at__isnull=True) | Q(woken_at__lt=Now() - timedelta(seconds=age)),
            run_after__lte=Now() - timedelta(seconds=slack),
        )
    )
    asleep = producer.without_message(asleep)
    found = []
    for job_id in list(asleep.order_by("run_after").values_list("pk", flat=True)[:room]):
        if not dry_run:
            with transaction.atomic():
                if not asleep.filter(pk=job_id).update(woken_at=Now()):
                    continue
                producer.wake(job_id)
        found.append(Finding("it is due and nobody starts it", "woken again", job_id))
    return found


def recorded_by_hook(one: RunningAttempt) -> bool:
    """Whether django-q2 has saved this attempt's real failure, which is then recorded as the hook would."""
    since = UploadJob.objects.filter(pk=one.job_id).values("started_at")[:1]
    task = (
        Task.objects.filter(name=str(one.job_id), success=False, stopped__gte=since)
        .order_by("stopped")
        .last()
    )
    if task is None:
        return False
    failure_hook.record_failure(task)
    return not UploadJob.objects.running(one.number).filter(pk=one.job_id).exists()


def running(only: Q | None = None) -> list[RunningAttempt]:
    """Current attempts of running jobs, at most BATCH of them. Raises DatabaseError.

    The few running jobs lead the query; a condition on `node_id` would lead it through a node's whole history.
    """
    rows = (
        UploadJob.objects.running()
        .filter(only or Q(), attempts__number=F("attempt"))
        .annotate(overdue=Case(When(attempts__deadline__lt=Now(), then=Value(True)), default=Value(False)))
        .order_by()
        .values_list(
            "pk",
            "attempt",
            "attempts__pid",
            "attempts__pid_started",
            "attempts__worker",
            "attempts__node",
            "overdue",
        )
    )
    return [RunningAttempt(*row) for row in rows[:BATCH]]


def _alive(one: RunningAttempt) -> bool:
    # Without a start time nothing tells a reused pid: such an attempt is left to its lease.
    return not one.pid_started or processes.alive(one.pid, one.pid_started)


def _fail(one: RunningAttempt, code: str, message: str, only: Q | None = None) -> bool:
    report = FailureReport(
        job=str(one.job_id), attempt=one.number, code=code, message=message, worker=one.worker,
        detail=f"Found by the sweep: process {one.pid} of {one.worker}.",
    )  # fmt: skip
    return execution.fail(report, only)
