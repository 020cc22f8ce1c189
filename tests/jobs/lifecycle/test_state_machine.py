"""The lifecycle in any order that hypothesis thinks of, with the promises as invariants.

The real functions run in this process on a real database; test_on_postgresql.py runs this file once more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from pytest_django import Settings

from tests.jobs.lifecycle.machine import CODES, DEAD, STOPPED, WORKING, Stage, queue_name
from tests.jobs.lifecycle.model import CANCELLED, FAILED, RECEIVING, RUNNING, JobModel
from uploads.codes import Refused
from uploads.jobs.lifecycle import execution, pauses, retry_policy
from uploads.jobs.queue import messages
from uploads.models import ACTIVE, Attempt, ErrorRecord, Pause
from uploads.storage.kept import local
from uploads.storage.kept.local import Incoming

EXAMPLES, STEPS = 25, 50
one_of_many = st.integers(0, 1_000)  # which of what there is, modulo how many there are


class Lifecycle(Stage):
    """People, clients, workers, a pusher, a monitor and a sweep, one step at a time."""

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        for number in range(count):
            self._land(Incoming(uuid4()), b"file %d" % number, opened=False)
        self._work()

    # ------------------------------------------------------------ clients and people

    @rule(data=st.binary(max_size=20))
    def submit(self, data: bytes) -> None:
        incoming = Incoming(uuid4())
        self._land(incoming, data, opened=False)

    @rule()
    def open(self) -> None:
        job_id = execution.open_upload(self.owner.pk, "big.txt", "text/plain", 1 << 20)
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
        assert execution.abandon(incoming.job_id) is receiving
        incoming.discard()
        if receiving:
            del self.jobs[incoming.job_id]

    @precondition(lambda self: self.jobs)
    @rule(which=one_of_many)
    def cancel(self, which: int) -> None:
        job = self._job(which)
        if job.state in ACTIVE:
            execution.cancel(job.id)
            job.cancel()
        else:
            with pytest.raises(Refused):
                execution.cancel(job.id)

    @precondition(lambda self: self.jobs)
    @rule(which=one_of_many, fails_again=st.booleans())
    def retry(self, which: int, fails_again: bool) -> None:
        job = self._job(which)
        if job.state in (FAILED, CANCELLED) and local.file_path(job.id).exists():
            execution.retry(job.id)
            job.retry()
            if fails_again and job.records and self._runs_again(job.id):
                self._fail(job.id, job.attempt, job.records[max(job.records)])
        else:
            with pytest.raises(Refused):
                execution.retry(job.id)

    @precondition(lambda self: self.jobs)
    @rule(which=one_of_many)
    def delete(self, which: int) -> None:
        job = self._job(which)
        execution.delete(job.id)
        del self.jobs[job.id]
        assert ErrorRecord.objects.filter(job_uuid=job.id, job=None).count() == len(job.records)

    @rule()
    def pause_or_resume_starts(self) -> None:
        paused = Pause.objects.first()
        if paused:
            pauses.resume(paused.pk, self.owner)
        else:
            pauses.pause("", self.owner)

    # ------------------------------------------------------------ the queue

    @rule()
    def take_messages(self) -> None:
        taken, _wait = messages.take(queue_name(), 3)
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

    @rule()
    def work(self) -> None:
        """All that waits is delivered, as on an ordinary day."""
        self._work()

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
            assert execution.renew(job_id, attempt, progress=50) is self._runs(job_id, attempt)

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many)
    def finish(self, which: int) -> None:
        self._finish(*self._working(which))

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many, code=st.sampled_from(CODES), twice=st.booleans(), for_good=st.booleans())
    def fail(self, which: int, code: str, twice: bool, for_good: bool) -> None:
        """Once, or reported twice, or again and again until nothing is left of the budget."""
        job_id, attempt = self._working(which)
        if not job_id:
            return
        self._fail(job_id, attempt, code)
        if twice:
            self._fail(job_id, attempt, code)
        while for_good and self._runs_again(job_id):
            self._fail(job_id, self.jobs[job_id].attempt, code)

    def _runs_again(self, job_id: UUID) -> bool:
        self._time_passes()
        self._sweep(pusher_is_new=True)
        self._work()
        return job_id in self.jobs and self.jobs[job_id].state == RUNNING

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many)
    def release(self, which: int) -> None:
        job_id, attempt = self._working(which)
        if job_id:
            self._release(job_id, attempt)

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many)
    def stop_and_continue_a_worker(self, which: int) -> None:
        """SIGSTOP, and SIGCONT when it is chosen again: it then goes on as if nothing had happened."""
        key = self._pick(list(self.workers), which)
        self.workers[key] = {WORKING: STOPPED, STOPPED: WORKING, DEAD: DEAD}[self.workers[key]]

    @precondition(lambda self: self.workers)
    @rule(which=one_of_many, then=st.sampled_from(("beats", "finishes", "fails", "releases")))
    def a_worker_outsleeps_its_lease(self, which: int, then: str) -> None:
        """Others have taken its job over by the time it goes on: from here on it is a zombie."""
        job_id, attempt = self._working(which)
        if job_id:
            self.workers[job_id, attempt] = STOPPED
            self._time_passes()
            self._sweep(pusher_is_new=False)
            self._work()
            self.workers[job_id, attempt] = WORKING
            match then:
                case "beats":
                    assert execution.renew(job_id, attempt) is self._runs(job_id, attempt)
                case "finishes":
                    self._finish(job_id, attempt)
                case "fails":
                    self._fail(job_id, attempt, "internal_error")
                case "releases":
                    self._release(job_id, attempt)

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


@pytest.fixture
def small_budgets(settings: Settings) -> Iterator[None]:
    """Few attempts, so that short stories reach the end of a budget."""
    settings.UPLOADS_BUDGETS = {"worker_lost": {"budget": 3}, "internal_error": {"budget": 2}}
    retry_policy.table.cache_clear()
    yield
    retry_policy.table.cache_clear()


@pytest.fixture
def quick_commits(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No power is cut here: thousands of commits and files need not reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    with connection.cursor() as cursor:
        quick = {"sqlite": "PRAGMA synchronous=OFF", "postgresql": "SET synchronous_commit=off"}
        cursor.execute(quick[connection.vendor])


@pytest.mark.usefixtures("data_dir", "small_budgets", "quick_commits")
def test_the_promises_hold_in_whatever_order_things_happen() -> None:
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=int(os.environ.get("LIFECYCLE_EXAMPLES", EXAMPLES)),
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="LIFECYCLE_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )
