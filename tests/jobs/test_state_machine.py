"""The lifecycle in any order that hypothesis thinks of, with the promises as invariants.

The real functions run in this process on a real database. A worker is a name in `self.workers`; time passes
by moving the rows' times back. After each example all is left to an honest cluster, and every job must end.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from tests.jobs.lifecycle_model import CANCELLED, FAILED, QUEUED, RECEIVING, SUCCEEDED, JobModel
from uploads.codes import Refused
from uploads.jobs import budgets, lifecycle, messages, nodes, pausing, queue, sweep
from uploads.jobs.identity import Worker, process_started
from uploads.jobs.nodes import NodeIdentity
from uploads.jobs.report import FailureReport
from uploads.models import ACTIVE, Artifact, Attempt, ErrorRecord, Message, Node, Pause, UploadJob
from uploads.processing.base import ArtifactFile
from uploads.processing.sandbox import Done, Usage
from uploads.storage import disk
from uploads.storage.disk import Incoming

HOUR = timedelta(hours=1)
CODES = ("corrupt_file", "processor_crashed", "worker_lost", "internal_error")
WORKING, STOPPED, DEAD = "working", "stopped", "dead"
EXAMPLES = 20
ROUNDS = 40  # more than any job's budgets
one_of_many = st.integers(0, 1_000)  # which of what there is, modulo how many there are
Key = tuple[UUID, int]


class Lifecycle(RuleBasedStateMachine):
    """People, clients, workers, a pusher, a monitor and a sweep, one step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.owner, _new = User.objects.get_or_create(username="owner")
        self.node = NodeIdentity()
        nodes.register(self.node)
        self.jobs: dict[UUID, JobModel] = {}
        self.workers: dict[Key, str] = {}  # an attempt that was started: what its worker does
        self.handed: list[UUID] = []  # messages that a pusher has taken
        self.opened: dict[UUID, Incoming] = {}

    # ------------------------------------------------------------ clients and people

    @rule(data=st.binary(max_size=20))
    def submit(self, data: bytes) -> None:
        incoming = Incoming(uuid4())
        self._land(incoming, data, opened=False)

    @rule()
    def open(self) -> None:
        job_id = lifecycle.open_upload(self.owner.pk, "big.txt", "text/plain", 1 << 20)
        self.opened[job_id] = Incoming(job_id)
        self.jobs[job_id] = JobModel(job_id, b"", state=RECEIVING)

    @precondition(lambda self: self.opened)
    @rule(which=one_of_many)
    def accept_what_was_opened(self, which: int) -> None:
        incoming = self._pick(list(self.opened.values()), which)
        del self.opened[incoming.job_id]
        if incoming.job_id in self.jobs and self.jobs[incoming.job_id].state == RECEIVING:
            self._land(incoming, b"all of it", opened=True)
        else:
            with pytest.raises((Refused, FileNotFoundError)):
                self._land(incoming, b"too late", opened=True)
            incoming.discard()

    @precondition(lambda self: self.opened)
    @rule(which=one_of_many)
    def abandon(self, which: int) -> None:
        incoming = self._pick(list(self.opened.values()), which)
        del self.opened[incoming.job_id]
        receiving = incoming.job_id in self.jobs and self.jobs[incoming.job_id].state == RECEIVING
        assert lifecycle.abandon(incoming.job_id) is receiving
        incoming.discard()
        if receiving:
            del self.jobs[incoming.job_id]

    @precondition(lambda self: self.jobs)
    @rule(which=one_of_many)
    def cancel(self, which: int) -> None:
        job = self._job(which)
        if job.state in ACTIVE:
            lifecycle.cancel(job.id)
            job.cancel()
        else:
            with pytest.raises(Refused):
                lifecycle.cancel(job.id)

    @precondition(lambda self: self.jobs)
    @rule(which=one_of_many)
    def retry(self, which: int) -> None:
        job = self._job(which)
        if job.state in (FAILED, CANCELLED) and disk.file_path(job.id).exists():
            lifecycle.retry(job.id)
            job.retry()
        else:
            with pytest.raises(Refused):
                lifecycle.retry(job.id)

    @precondition(lambda self: self.jobs)
    @rule(which=one_of_many)
    def delete(self, which: int) -> None:
        job = self._job(which)
        lifecycle.delete(job.id)
        del self.jobs[job.id]
        assert ErrorRecord.objects.filter(job_uuid=job.id, job=None).count() == len(job.records)

    @rule()
    def pause_or_resume_starts(self) -> None:
        paused = Pause.objects.first()
        if paused:
            pausing.resume(paused.pk, self.owner)
        else:
            pausing.pause("", self.owner)

    # ------------------------------------------------------------ the queue

    @rule()
    def take_messages(self) -> None:
        taken, _wait = messages.take(_queue(), 3)
        assert not (taken and Pause.objects.exists())
        self.handed += [one.job for one in taken if one.job]

    @precondition(lambda self: self.handed)
    @rule(which=one_of_many, again=st.booleans())
    def deliver(self, which: int, again: bool) -> None:
        """In any order, as late as it likes, and perhaps once more."""
        job_id = self._pick(self.handed, which)
        if not again:
            self.handed.remove(job_id)
        self._deliver(job_id)

    @precondition(lambda self: self.handed)
    @rule()
    def kill_the_pusher(self) -> None:
        self.handed.clear()

    # ------------------------------------------------------------ workers

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many)
    def beat(self, which: int) -> None:
        job_id, attempt = self._working(which)
        if job_id:
            assert lifecycle.renew(job_id, attempt, progress=50) is self._runs(job_id, attempt)

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many)
    def finish(self, which: int) -> None:
        self._finish(*self._working(which))

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many, code=st.sampled_from(CODES), twice=st.booleans())
    def fail(self, which: int, code: str, twice: bool) -> None:
        job_id, attempt = self._working(which)
        if not job_id:
            return
        report = FailureReport(job=str(job_id), attempt=attempt, code=code, message="It did not work.")
        runs = self._runs(job_id, attempt)
        assert lifecycle.fail(report) is runs
        if runs:
            self.jobs[job_id].fail(code)
        if twice:
            assert not lifecycle.fail(report)

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many)
    def release(self, which: int) -> None:
        job_id, attempt = self._working(which)
        if job_id:
            runs = self._runs(job_id, attempt)
            assert lifecycle.release(job_id, attempt) is runs
            if runs:
                self.jobs[job_id].end("released", QUEUED)

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many)
    def stop_and_continue_a_worker(self, which: int) -> None:
        """SIGSTOP, and SIGCONT when it is chosen again: it then goes on as if nothing had happened."""
        key = self._pick(list(self.workers), which)
        self.workers[key] = {WORKING: STOPPED, STOPPED: WORKING, DEAD: DEAD}[self.workers[key]]

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many)
    def kill_a_worker(self, which: int) -> None:
        key = self._pick(list(self.workers), which)
        self.workers[key] = DEAD
        # Another process has its pid from now on.
        Attempt.objects.filter(job_id=key[0], number=key[1]).update(pid_started=1)

    # ------------------------------------------------------------ time and the sweep

    @rule()
    def time_passes(self) -> None:
        self._time_passes()

    @rule(pusher_is_new=st.booleans())
    def sweep(self, pusher_is_new: bool) -> None:
        self._sweep(pusher_is_new=pusher_is_new)

    def _time_passes(self) -> None:
        """Delays end; the leases of those that do not beat expire."""
        UploadJob.objects.queued().update(run_after=F("run_after") - HOUR, woken_at=F("woken_at") - HOUR)
        Message.objects.update(due=F("due") - HOUR)
        for (job_id, attempt), does in self.workers.items():
            if does != WORKING:
                UploadJob.objects.running(attempt).filter(pk=job_id).update(lease_until=Now() - HOUR)

    def _sweep(self, *, pusher_is_new: bool) -> None:
        rescue = sweep.Rescue(self.node.boot_id, self.node.pid_namespace)
        late = set(UploadJob.objects.running().filter(lease_until__lt=Now()).values_list("pk", flat=True))
        rescue.look(confirm=0)
        sweep.expired_leases()
        sweep.passed_deadlines()
        for (job_id, attempt), does in self.workers.items():
            if self._runs(job_id, attempt) and (does == DEAD or job_id in late):
                self.jobs[job_id].fail("worker_lost")
        judged = self._messages()
        sweep.lost_wake_ups(2, at_once=pusher_is_new)
        for job_id, count in self._messages().items():
            assert count <= max(judged.get(job_id, 0), 1)

    # ------------------------------------------------------------ the promises

    @invariant()
    def every_row_is_as_promised(self) -> None:
        rows = {row.pk: row for row in UploadJob.objects.all()}
        assert set(rows) == set(self.jobs)
        for job_id, job in self.jobs.items():
            row = rows[job_id]
            assert (row.state, row.attempt) == (job.state, job.attempt)
            assert (row.result is not None) == (job.state == SUCCEEDED)

    @invariant()
    def acknowledged_bytes_are_kept(self) -> None:
        for job in self.jobs.values():
            if job.data:
                assert disk.file_path(job.id).read_bytes() == job.data

    @invariant()
    def every_attempt_has_one_row_one_outcome_and_one_record_if_it_failed(self) -> None:
        attempts: dict[UUID, dict[int, str]] = {job_id: {} for job_id in self.jobs}
        for job_id, number, outcome in Attempt.objects.values_list("job_id", "number", "outcome"):
            attempts[job_id][number] = outcome
        assert attempts == {job.id: job.outcomes for job in self.jobs.values()}
        records: dict[UUID, dict[int, str]] = {job_id: {} for job_id in self.jobs}
        for job_id, number, code in ErrorRecord.objects.exclude(job=None).values_list(
            "job_id", "attempt", "code"
        ):
            records[job_id][number] = code
        assert records == {job.id: job.records for job in self.jobs.values()}

    @invariant()
    def no_budget_is_overdrawn_and_none_is_left_unused(self) -> None:
        for job in self.jobs.values():
            left = {code: budgets.table()[code].budget - job.spent(code) for code in CODES}
            assert min(left.values()) >= 0
            if job.state == FAILED:
                assert left[job.records[job.attempt]] == 0

    @invariant()
    def results_and_artifacts_are_of_the_attempt_that_won(self) -> None:
        found = {one.job_id: one for one in Artifact.objects.all()}
        assert set(found) == {job.id for job in self.jobs.values() if job.state == SUCCEEDED}
        for job_id, artifact in found.items():
            job = self.jobs[job_id]
            result: Any = UploadJob.objects.get(pk=job_id).result
            assert artifact.attempt == result["attempt"] == job.attempt

    def teardown(self) -> None:
        try:
            self._nothing_is_stuck()
        finally:
            for job_id in list(self.jobs):
                disk.remove_job(job_id)
            for model in (UploadJob, ErrorRecord, Message, Pause, Node):
                model.objects.all().delete()

    def _nothing_is_stuck(self) -> None:
        """An honest cluster and time bring every job to its end."""
        for pause in Pause.objects.all():
            pausing.resume(pause.pk, self.owner)
        for incoming in self.opened.values():
            if lifecycle.abandon(incoming.job_id):
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
            taken, _wait = messages.take(_queue(), 100)
            for one in taken:
                if one.job:
                    self._deliver(one.job)
        self.every_row_is_as_promised()
        assert not UploadJob.objects.active().exists()

    # ------------------------------------------------------------ steps of several

    def _land(self, incoming: Incoming, data: bytes, *, opened: bool) -> None:
        incoming.write(data)
        incoming.keep()
        landed = lifecycle.Landed(
            incoming.job_id, "a.txt", "text/plain", len(data), hashlib.sha256(data).hexdigest(), opened=opened
        )
        lifecycle.accept(self.owner.pk, [landed])
        self.jobs[incoming.job_id] = JobModel(incoming.job_id, data)

    def _deliver(self, job_id: UUID) -> None:
        job = self.jobs.get(job_id)
        due = UploadJob.objects.due().filter(pk=job_id).exists() and not Pause.objects.exists()
        me = Worker(self.node.id, "here", os.getpid(), process_started(os.getpid()))
        started = lifecycle.start(job_id, me)
        assert (started is not None) is (job is not None and job.state == QUEUED and due)
        if started is None or job is None:
            return
        assert started.attempt == job.start()
        self.workers[job_id, started.attempt] = WORKING

    def _finish(self, job_id: UUID | None, attempt: int) -> None:
        if not job_id:
            return
        path = disk.open_attempt(job_id, attempt) / "note.txt"
        path.write_text(str(attempt))
        done = Done(
            "text", "text/plain", "", {"attempt": attempt}, (ArtifactFile("note.txt", "text/plain", 1),),
            Usage(1, 0.1, 1, 0.1),
        )  # fmt: skip
        runs = self._runs(job_id, attempt)
        assert lifecycle.succeed(job_id, attempt, done) is runs
        assert not lifecycle.succeed(job_id, attempt, done)
        if runs:
            self.jobs[job_id].end("succeeded", SUCCEEDED)
        else:
            disk.close_attempt(job_id, attempt, keep=False)

    @staticmethod
    def _messages() -> Counter[UUID]:
        return Counter(one for one in Message.objects.values_list("job", flat=True) if one)

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


def _queue() -> str:
    return str(queue._broker().list_key)


@pytest.fixture
def small_budgets(settings: Settings) -> Iterator[None]:
    """Few attempts, so that short stories reach the end of a budget."""
    settings.UPLOADS_BUDGETS = {"worker_lost": {"budget": 3}, "internal_error": {"budget": 2}}
    budgets.table.cache_clear()
    yield
    budgets.table.cache_clear()


@pytest.fixture
def quick_commits(transactional_db: None) -> None:
    """No power is cut here: thousands of commits need not reach the disk."""
    with connection.cursor() as cursor:
        quick = {"sqlite": "PRAGMA synchronous=OFF", "postgresql": "SET synchronous_commit=off"}
        cursor.execute(quick[connection.vendor])


@pytest.mark.usefixtures("data_dir", "small_budgets", "quick_commits")
def test_the_promises_hold_in_whatever_order_things_happen() -> None:
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=int(os.environ.get("LIFECYCLE_EXAMPLES", EXAMPLES)),
            stateful_step_count=40,
            deadline=None,
            derandomize="LIFECYCLE_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_they_hold_on_postgresql_too() -> None:
    """The same story in a process of its own, over a database that is made for it and dropped."""
    if connection.vendor == "postgresql":
        pytest.skip("the whole suite runs on PostgreSQL already")
    url = f"postgres://postgres@127.0.0.1:5432/wharfinger_states_{os.getpid()}"
    try:
        psycopg.connect(url.rpartition("/")[0] + "/postgres", connect_timeout=2).close()
    except psycopg.OperationalError as wrong:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no PostgreSQL on 127.0.0.1:5432, which CI must have: {wrong}")
        pytest.skip("no PostgreSQL on 127.0.0.1:5432 for its superuser without a password")
    story = f"{__file__}::{test_the_promises_hold_in_whatever_order_things_happen.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", story],
        env=os.environ | {"DATABASE_URL": url}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert "1 passed" in done.stdout
