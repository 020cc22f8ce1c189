"""Lost work is found: by its host at once, by anybody when its lease or deadline has passed, and woken again."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import Task

from tests.factories import make_attempt, make_job, make_node
from uploads.jobs.lifecycle import execution
from uploads.jobs.lifecycle.failure_report import FailureReport
from uploads.jobs.lifecycle.worker_id import process_started
from uploads.jobs.queue import producer
from uploads.jobs.repair import rescue
from uploads.models import Attempt, ErrorRecord, Message, Node, Outcome, State, UploadJob

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]
HERE = ("this-boot", "pid:[1]")
LONG_AGO = timezone.now() - timedelta(hours=1)
ME = {"pid": os.getpid(), "pid_started": process_started(os.getpid())}
GONE = {"pid": os.getpid(), "pid_started": 1}  # another process had our pid before


def running(node: Node | None = None, **attempt: Any) -> UploadJob:
    job = make_job(State.RUNNING)
    make_attempt(job, node=node, **attempt)
    return job


def here() -> Node:
    return make_node(boot_id=HERE[0], pid_namespace=HERE[1])


def judged(**confirm: float) -> list[UploadJob]:
    found = rescue.Rescue(*HERE).look(**({"confirm": 0.0} | confirm))
    return [UploadJob.objects.get(pk=one.job) for one in found]


class TestFastRescue:
    def test_an_attempt_whose_worker_is_gone_fails_and_its_job_is_due_again_at_once(self) -> None:
        job = running(here(), **GONE)
        assert judged() == [job]
        record = ErrorRecord.objects.get()
        assert (record.code, record.attempt, record.worker) == ("worker_lost", 1, "here:4711")
        assert Attempt.objects.get().outcome == Outcome.FAILED
        assert UploadJob.objects.due().get() == job

    def test_a_worker_that_lives_keeps_its_attempt(self) -> None:
        running(here(), **ME)
        assert judged() == []

    def test_a_zombie_is_gone_though_its_pid_is_not(self) -> None:
        with subprocess.Popen(["true"]) as process:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            started = process_started(process.pid)
            job = running(here(), pid=process.pid, pid_started=started)
            assert started
            assert judged() == [job]

    @pytest.mark.parametrize("other", [("another-boot", HERE[1]), (HERE[0], "pid:[2]")])
    def test_other_hosts_and_containers_are_not_judged(self, other: tuple[str, str]) -> None:
        running(make_node(boot_id=other[0], pid_namespace=other[1]), **GONE)
        running(None, **GONE)
        assert judged() == []

    def test_an_attempt_without_a_start_time_is_left_to_its_lease(self) -> None:
        running(here(), pid=os.getpid(), pid_started=0)
        assert judged() == []

    def test_a_loss_is_believed_only_when_it_is_seen_again(self) -> None:
        running(here(), **GONE)
        assert judged(confirm=60.0) == []
        assert not ErrorRecord.objects.exists()

    def test_the_real_failure_goes_before_where_django_q2_has_saved_it(self) -> None:
        job = running(here(), **GONE)
        report = FailureReport(job=str(job.pk), attempt=1, code="corrupt_file", message="It breaks off.")
        saved(job, report.dumps())
        assert judged() == []
        assert ErrorRecord.objects.get().code == "corrupt_file"

    def test_a_failure_of_an_earlier_attempt_does_not_pass_for_this_one(self) -> None:
        job = running(here(), **GONE)
        saved(job, "an old story", stopped=LONG_AGO)
        assert judged() == [job]
        assert ErrorRecord.objects.get().code == "worker_lost"

    def test_a_worker_killed_after_its_deadline_has_timed_out(self) -> None:
        running(here(), deadline=LONG_AGO, **GONE)
        judged()
        assert ErrorRecord.objects.get().code == "timed_out"

    def test_a_dry_run_changes_nothing(self) -> None:
        job = running(here(), **GONE)
        found = rescue.Rescue(*HERE).look(confirm=0.0, dry_run=True)
        assert str(found[0]) == f"Job {job.pk}, attempt 1: its worker here:4711 is gone"
        assert not ErrorRecord.objects.exists()


class TestLeasesAndDeadlines:
    def test_an_expired_lease_is_a_lost_worker_wherever_it_was(self) -> None:
        job = make_job(State.RUNNING, lease_until=LONG_AGO)
        make_attempt(job)
        running()
        assert [one.job for one in rescue.expired_leases()] == [job.pk]
        assert ErrorRecord.objects.get().code == "worker_lost"
        assert rescue.expired_leases() == []

    def test_a_lease_renewed_meanwhile_saves_the_attempt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        job = make_job(State.RUNNING, lease_until=LONG_AGO)
        make_attempt(job)
        seen = rescue.running
        monkeypatch.setattr(rescue, "running", lambda only=None: [seen(only), execution.renew(job.pk, 1)][0])
        assert rescue.expired_leases() == []
        assert not ErrorRecord.objects.exists()

    def test_an_attempt_past_its_deadline_has_timed_out_though_it_beats_on(self) -> None:
        job = running(deadline=LONG_AGO, **ME)
        running(deadline=timezone.now() + timedelta(hours=1))
        assert [one.job for one in rescue.passed_deadlines()] == [job.pk]
        assert ErrorRecord.objects.get().code == "timed_out"

    def test_a_stopped_node_gives_back_what_is_left_without_an_error(self) -> None:
        node = here()
        job, _alive, _elsewhere = running(node, **GONE), running(node, **ME), running(here(), **GONE)
        assert [one.job for one in rescue.release_own(node.pk)] == [job.pk]
        assert UploadJob.objects.queued().get() == job
        assert Attempt.objects.get(job=job).outcome == Outcome.RELEASED
        assert not ErrorRecord.objects.exists()


class TestLostWakeUps:
    def test_due_jobs_that_nobody_starts_are_woken_again_the_longest_due_first(self) -> None:
        now = timezone.now()
        late = [
            make_job(run_after=now - timedelta(minutes=minutes), woken_at=woken_at).pk
            for minutes, woken_at in ((6, None), (5, LONG_AGO), (4, LONG_AGO), (3, None), (2, LONG_AGO))
        ]
        assert [one.job for one in rescue.lost_wake_ups(2)] == late
        assert set(producer.waiting() or {}) == set(late)

    def test_a_job_just_woken_or_not_yet_due_is_left_alone(self) -> None:
        make_job(run_after=LONG_AGO, woken_at=timezone.now())
        make_job(run_after=timezone.now() + timedelta(minutes=1), woken_at=LONG_AGO)
        make_job(State.FAILED)
        assert rescue.lost_wake_ups(2) == []
        assert not Message.objects.exists()

    def test_a_second_sweep_at_the_same_moment_wakes_nobody_twice(self) -> None:
        make_job(run_after=LONG_AGO, woken_at=LONG_AGO)
        assert len(rescue.lost_wake_ups(2)) == 1
        assert rescue.lost_wake_ups(2) == []

    def test_however_many_wait_messages_stay_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rescue, "SHORT_QUEUE", 0)
        for _ in range(30):
            make_job(run_after=LONG_AGO, woken_at=LONG_AGO)
        rescue.lost_wake_ups(2)
        rescue.lost_wake_ups(2)
        assert Message.objects.count() == 2 * rescue.MESSAGES_PER_WORKER

    def test_a_message_in_dead_hands_does_not_keep_its_job_asleep(self) -> None:
        for _ in range(8):
            producer.wake(make_job(run_after=LONG_AGO, woken_at=LONG_AGO).pk)
        Message.objects.update(due=timezone.now() + timedelta(hours=6))
        assert len(rescue.lost_wake_ups(2)) == 8

    def test_after_a_pusher_died_those_whose_messages_it_held_are_woken_at_once(self) -> None:
        jobs = [make_job(run_after=LONG_AGO, woken_at=timezone.now()) for _ in range(20)]
        producer.wake_all([job.pk for job in jobs])
        held = {job.pk for job in jobs[:12]}
        Message.objects.filter(job__in=held).delete()
        assert rescue.lost_wake_ups(2) == []
        assert {one.job for one in rescue.lost_wake_ups(2, at_once=True)} == held
        assert Message.objects.count() == 20

    def test_a_job_that_has_a_message_gets_no_second_one(self) -> None:
        producer.wake(make_job(run_after=LONG_AGO, woken_at=LONG_AGO).pk)
        assert rescue.lost_wake_ups(2) == []

    def test_a_dry_run_wakes_nobody(self) -> None:
        make_job(run_after=LONG_AGO, woken_at=LONG_AGO)
        assert len(rescue.lost_wake_ups(2, dry_run=True)) == 1
        assert not Message.objects.exists()


def test_each_attempt_gets_a_deadline_from_the_setting(owner: Any, settings: Any, data_dir: Path) -> None:
    settings.UPLOADS_TASK_TIMEOUT = 100
    from uploads.jobs.lifecycle.worker_id import this_worker

    job = execution.start(make_job(owner=owner).pk, this_worker())
    assert job is not None
    attempt = Attempt.objects.get(job=job)
    assert attempt.deadline is not None
    assert 99 < (attempt.deadline - attempt.started_at).total_seconds() < 101


def saved(job: UploadJob, result: str, **fields: Any) -> None:
    """A failure as django-q2's monitor saves it; its hook did not come."""
    now = timezone.now()
    values = {"stopped": now + timedelta(seconds=1), "started": now} | fields
    Task.objects.create(
        id=job.pk.hex, name=str(job.pk), func=producer.TASK, args=(str(job.pk),), result=result, success=False,
        **values,
    )  # fmt: skip
