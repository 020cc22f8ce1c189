"""The stage of the lifecycle's state machine: what there is, the promises as invariants, and steps of several verbs.

A worker is an entry of `workers`; time passes by moving the rows' times back.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import F
from django.db.models.functions import Now
from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.jobs.lifecycle.model import FAILED, QUEUED, SUCCEEDED, JobModel
from uploads.jobs.cluster import node
from uploads.jobs.cluster.node import NodeIdentity
from uploads.jobs.lifecycle import execution, pauses, retry_policy
from uploads.jobs.lifecycle.failure_report import FailureReport
from uploads.jobs.lifecycle.worker_id import Worker, process_started
from uploads.jobs.queue import messages, producer
from uploads.jobs.repair import rescue
from uploads.models import Artifact, Attempt, ErrorRecord, Message, Node, Pause, UploadJob
from uploads.processing.base import ArtifactFile
from uploads.processing.sandbox.client.sandbox import Done, Usage
from uploads.storage.kept import local
from uploads.storage.kept.local import Incoming

HOUR = timedelta(hours=1)
CODES = ("corrupt_file", "processor_crashed", "worker_lost", "internal_error")
WORKING, STOPPED, DEAD = "working", "stopped", "dead"
ROUNDS = 40  # more than any job's budgets
Key = tuple[UUID, int]


class Stage(RuleBasedStateMachine):
    """After each example all is left to an honest cluster, and every job must end."""

    def __init__(self) -> None:
        super().__init__()
        self.owner, _new = User.objects.get_or_create(username="owner")
        self.node = NodeIdentity()
        node.register(self.node)
        self.jobs: dict[UUID, JobModel] = {}
        self.workers: dict[Key, str] = {}  # an attempt that was started: what its worker does
        self.handed: list[UUID] = []  # messages that a pusher has taken
        self.opened: dict[UUID, Incoming] = {}

    # ------------------------------------------------------------ the promises

    @invariant()
    def every_row_is_as_promised(self) -> None:
        rows = {row.pk: row for row in UploadJob.objects.all()}
        assert set(rows) == set(self.jobs)
        artifacts = dict(Artifact.objects.values_list("job_id", "attempt"))
        for job_id, job in self.jobs.items():
            row = rows[job_id]
            assert (row.state, row.attempt) == (job.state, job.attempt)
            won = job.attempt if job.state == SUCCEEDED else None
            result: Any = row.result or {}
            assert result.get("attempt") == artifacts.get(job_id) == won

    @invariant()
    def acknowledged_bytes_are_kept(self) -> None:
        for job in self.jobs.values():
            if job.data:
                assert local.file_path(job.id).read_bytes() == job.data

    @invariant()
    def every_attempt_has_one_row_one_outcome_and_one_record_if_it_failed(self) -> None:
        attempts: dict[UUID, dict[int, str]] = {job_id: {} for job_id in self.jobs}
        for job_id, number, outcome in Attempt.objects.values_list("job_id", "number", "outcome"):
            attempts[job_id][number] = outcome
        assert attempts == {job.id: job.outcomes for job in self.jobs.values()}
        records: dict[UUID, dict[int, str]] = {job_id: {} for job_id in self.jobs}
        rows = ErrorRecord.objects.exclude(job=None).values_list("job_id", "attempt", "code")
        for job_id, number, code in rows:
            records[job_id][number] = code
        assert records == {job.id: job.records for job in self.jobs.values()}

    @invariant()
    def no_budget_is_overdrawn_and_none_is_left_unused(self) -> None:
        for job in self.jobs.values():
            left = {code: retry_policy.table()[code].budget - job.spent(code) for code in CODES}
            assert min(left.values()) >= 0
            if job.state == FAILED:
                assert left[job.records[job.attempt]] == 0

    def teardown(self) -> None:
        try:
            self._nothing_is_stuck()
        finally:
            for job_id in list(self.jobs):
                local.remove_job(job_id)
            for model in (UploadJob, ErrorRecord, Message, Pause, Node):
                model.objects.all().delete()

    def _nothing_is_stuck(self) -> None:
        """An honest cluster and time bring every job to its end."""
        for pause in Pause.objects.all():
            pauses.resume(pause.pk, self.owner)
        for incoming in self.opened.values():
            if execution.abandon(incoming.job_id):
                del self.jobs[incoming.job_id]
            incoming.discard()
        for key in [key for key, does in self.workers.items() if does == STOPPED]:
            self.workers[key] = DEAD
            Attempt.objects.filter(job_id=key[0], number=key[1]).update(pid_started=1)
        for _ in range(ROUNDS):
            for key in [key for key, does in self.workers.items() if does == WORKING]:
                self._finish(*key)
            self._time_passes()
            self._sweep(pusher_is_new=False)
            if not UploadJob.objects.active().exists():
                break
            self._work()
        self.every_row_is_as_promised()
        assert not UploadJob.objects.active().exists()

    # ------------------------------------------------------------ steps of several

    def _land(self, incoming: Incoming, data: bytes, *, opened: bool) -> None:
        incoming.write(data)
        incoming.keep()
        landed = execution.Landed(
            incoming.job_id, "a.txt", "text/plain", len(data), hashlib.sha256(data).hexdigest(), opened=opened
        )
        execution.accept(self.owner.pk, [landed])
        self.jobs[incoming.job_id] = JobModel(incoming.job_id, data)

    def _work(self) -> None:
        taken, _wait = messages.take(queue_name(), 100)
        for one in taken:
            if one.job:
                self._deliver(one.job)

    def _deliver(self, job_id: UUID) -> None:
        job = self.jobs.get(job_id)
        due = UploadJob.objects.due().filter(pk=job_id).exists() and not Pause.objects.exists()
        me = Worker(self.node.id, "here", os.getpid(), process_started(os.getpid()))
        started = execution.start(job_id, me)
        assert (started is not None) is (job is not None and job.state == QUEUED and due)
        if started is None or job is None:
            return
        assert started.attempt == job.start()
        self.workers[job_id, started.attempt] = WORKING

    def _finish(self, job_id: UUID | None, attempt: int) -> None:
        if not job_id:
            return
        path = local.open_attempt(job_id, attempt) / "note.txt"
        path.write_text(str(attempt))
        done = Done(
            "text", "text/plain", "", {"attempt": attempt}, (ArtifactFile("note.txt", "text/plain", 1),),
            Usage(1, 0.1, 1, 0.1),
        )  # fmt: skip
        runs = self._runs(job_id, attempt)
        assert execution.succeed(job_id, attempt, done) is runs
        assert not execution.succeed(job_id, attempt, done)
        if runs:
            self.jobs[job_id].end("succeeded", SUCCEEDED)
        else:
            local.close_attempt(job_id, attempt, keep=False)

    @staticmethod
    def _messages() -> Counter[UUID]:
        return Counter(one for one in Message.objects.values_list("job", flat=True) if one)

    def _fail(self, job_id: UUID, attempt: int, code: str) -> None:
        runs = self._runs(job_id, attempt)
        report = FailureReport(job=str(job_id), attempt=attempt, code=code, message="It did not work.")
        assert execution.fail(report) is runs
        if runs:
            self.jobs[job_id].fail(code)

    def _release(self, job_id: UUID, attempt: int) -> None:
        runs = self._runs(job_id, attempt)
        assert execution.release(job_id, attempt) is runs
        if runs:
            self.jobs[job_id].end("released", QUEUED)

    def _runs(self, job_id: UUID, attempt: int) -> bool:
        return job_id in self.jobs and self.jobs[job_id].runs(attempt)

    def _working(self, which: int) -> tuple[UUID | None, int]:
        """An attempt whose worker can act, be it still the current one or not; (None, 0) where that one cannot."""
        key = self._pick(list(self.workers), which)
        return key if self.workers[key] == WORKING else (None, 0)

    def _job(self, which: int) -> JobModel:
        job: JobModel = self._pick(list(self.jobs.values()), which)
        return job

    @staticmethod
    def _pick(some: list[Any], which: int) -> Any:
        return some[which % len(some)]

    def _time_passes(self) -> None:
        """Delays end; the leases of those that do not beat expire."""
        UploadJob.objects.queued().update(run_after=F("run_after") - HOUR, woken_at=F("woken_at") - HOUR)
        Message.objects.update(due=F("due") - HOUR)
        for (job_id, attempt), does in self.workers.items():
            if does != WORKING:
                UploadJob.objects.running(attempt).filter(pk=job_id).update(lease_until=Now() - HOUR)

    def _sweep(self, *, pusher_is_new: bool) -> None:
        looks = rescue.Rescue(self.node.boot_id, self.node.pid_namespace)
        late = set(UploadJob.objects.running().filter(lease_until__lt=Now()).values_list("pk", flat=True))
        looks.look(confirm=0)
        rescue.expired_leases()
        rescue.passed_deadlines()
        for (job_id, attempt), does in self.workers.items():
            if self._runs(job_id, attempt) and (does == DEAD or job_id in late):
                self.jobs[job_id].fail("worker_lost")
        judged = self._messages()
        rescue.lost_wake_ups(2, at_once=pusher_is_new)
        for job_id, count in self._messages().items():
            assert count <= max(judged.get(job_id, 0), 1)


def queue_name() -> str:
    return str(producer._broker().list_key)
