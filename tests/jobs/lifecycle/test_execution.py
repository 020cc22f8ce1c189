"""Every verb moves a job from where it may come from, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone

from tests.factories import make_job
from uploads.codes import FAILURE_CODES, Refused
from uploads.jobs.lifecycle import capacity, execution
from uploads.jobs.lifecycle.execution import Landed
from uploads.jobs.lifecycle.failure_report import FailureReport
from uploads.jobs.lifecycle.worker_id import this_worker
from uploads.models import Artifact, Attempt, ErrorRecord, Message, Outcome, State, UploadJob
from uploads.processing.base import ArtifactFile
from uploads.processing.sandbox.client.sandbox import Done, Usage
from uploads.storage.kept import local

pytestmark = pytest.mark.django_db

USAGE = Usage(peak_memory_bytes=10 << 20, cpu_seconds=0.2, bytes_written=5, wall_seconds=0.3)
DONE = Done(
    kind="text", content_type="text/plain", contradiction="", result={"lines": 1},
    artifacts=(ArtifactFile("text.txt", "text/plain", 4),), usage=USAGE,
)  # fmt: skip


def landed(name: str = "a.txt", size: int = 3) -> Landed:
    return Landed(uuid4(), name, "text/plain", size, "ab" * 32)


def report(job: UploadJob, code: str, **more: str) -> FailureReport:
    return FailureReport(job=str(job.pk), attempt=job.attempt, code=code, message="It broke.", **more)


def started(job_id: UUID) -> UploadJob:
    UploadJob.objects.filter(pk=job_id, state=State.QUEUED).update(run_after=Now())
    job = execution.start(job_id, this_worker())
    assert job is not None
    return job


class TestAccept:
    def test_row_and_wake_up_are_written_together(self, owner: User) -> None:
        (job,) = execution.accept(owner.pk, [landed()])

        assert (job.state, job.attempt, job.size) == (State.QUEUED, 0, 3)
        assert job.queued_at and job.run_after and job.woken_at
        assert Message.objects.count() == 1

    def test_all_files_of_a_request_come_in_their_order_or_none(
        self, owner: User, settings: pytest.FixtureRequest
    ) -> None:
        settings.UPLOADS_MAX_QUEUED = 3  # type: ignore[attr-defined]
        jobs = execution.accept(owner.pk, [landed("b.txt"), landed("a.txt")])
        assert [job.filename for job in jobs] == ["b.txt", "a.txt"]

        with pytest.raises(Refused) as refused:
            execution.accept(owner.pk, [landed(), landed()])
        assert (refused.value.code, refused.value.retry_after) == ("queue_full", 60)
        assert UploadJob.objects.count() == Message.objects.count() == 2

    def test_far_from_a_limit_a_count_holds_for_a_few_files_and_near_it_for_none(
        self, owner: User, settings: pytest.FixtureRequest
    ) -> None:
        settings.UPLOADS_MAX_QUEUED = 600  # type: ignore[attr-defined]
        counted = capacity._load
        with pytest.MonkeyPatch.context() as patched:
            counts: list[int] = []
            patched.setattr(capacity, "_load", lambda one: (counts.append(one), counted(one))[1])
            for number in range(110):
                execution.accept(owner.pk, [landed(f"{number}.txt")])
            assert len(counts) < 110
            before = len(counts)
            for _number in range(3):  # nearer than what could race us
                execution.accept(owner.pk, [landed()])
        assert len(counts) >= before + 3  # PostgreSQL counts again under a lock

    def test_an_opened_upload_keeps_its_id_and_takes_its_true_size(self, owner: User) -> None:
        job_id = execution.open_upload(owner.pk, "big.bin", "", 100)
        (job,) = execution.accept(owner.pk, [Landed(job_id, "big.bin", "", 90, "cd" * 32, opened=True)])

        assert (job.pk, job.size, job.sha256) == (job_id, 90, "cd" * 32)

    def test_an_upload_cancelled_meanwhile_is_not_queued(self, owner: User) -> None:
        job_id = execution.open_upload(owner.pk, "big.bin", "", 100)
        execution.cancel(job_id)
        with pytest.raises(Refused, match="cancelled"):
            execution.accept(owner.pk, [Landed(job_id, "big.bin", "", 100, "cd" * 32, opened=True)])
        assert UploadJob.objects.get().state == State.CANCELLED


class TestStart:
    def test_the_attempt_is_counted_and_written_when_it_starts(self, owner: User) -> None:
        (accepted,) = execution.accept(owner.pk, [landed()])
        job = started(accepted.pk)

        assert (job.state, job.attempt) == (State.RUNNING, 1)
        assert job.lease_until > timezone.now()  # type: ignore[operator]
        attempt = Attempt.objects.get()
        assert (attempt.number, attempt.outcome, attempt.pid) == (1, "", this_worker().pid)

    def test_a_message_delivered_twice_starts_one_attempt(self, owner: User) -> None:
        (accepted,) = execution.accept(owner.pk, [landed()])
        started(accepted.pk)
        assert execution.start(accepted.pk, this_worker()) is None
        assert Attempt.objects.count() == 1

    @pytest.mark.parametrize("state", [s for s in State if s != State.QUEUED])
    def test_only_a_queued_job_starts(self, state: State) -> None:
        job = make_job(state=state)
        before = job.attempt
        assert execution.start(job.pk, this_worker()) is None
        job.refresh_from_db()
        assert (job.state, job.attempt) == (state, before)

    def test_a_job_that_is_not_due_does_not_start(self) -> None:
        job = make_job(state="queued", run_after=timezone.now() + timezone.timedelta(seconds=60))
        assert execution.start(job.pk, this_worker()) is None

    def test_a_job_that_is_gone_is_nothing_to_do(self) -> None:
        assert execution.start(uuid4(), this_worker()) is None


class TestSucceed:
    def test_result_artifacts_attempt_and_state_are_committed_together(self, owner: User) -> None:
        job = started(execution.accept(owner.pk, [landed()])[0].pk)
        assert execution.succeed(job.pk, 1, DONE)

        job.refresh_from_db()
        assert (job.state, job.result, job.kind, job.progress) == (
            State.SUCCEEDED, {"lines": 1}, "text", 100,
        )  # fmt: skip
        assert job.lease_until is None and job.finished_at
        assert Artifact.objects.get().name == "text.txt"
        attempt = Attempt.objects.get()
        assert (attempt.outcome, attempt.peak_memory) == (Outcome.SUCCEEDED, 10 << 20)

    def test_a_zombie_of_an_earlier_attempt_writes_nothing(self, owner: User) -> None:
        job = started(execution.accept(owner.pk, [landed()])[0].pk)
        execution.release(job.pk, 1)
        started(job.pk)

        assert not execution.succeed(job.pk, 1, DONE)
        assert UploadJob.objects.get().state == State.RUNNING
        assert not Artifact.objects.exists()


class TestFail:
    def test_the_files_own_fault_is_final_at_once(self, owner: User) -> None:
        job = started(execution.accept(owner.pk, [landed()])[0].pk)
        assert execution.fail(report(job, "corrupt_file", kind="image", traceback="Traceback …"))

        job.refresh_from_db()
        assert (job.state, job.kind) == (State.FAILED, "image")
        record = ErrorRecord.objects.get()
        assert (record.code, record.attempt, record.filename, record.owner) == (
            "corrupt_file", 1, "a.txt", owner,
        )  # fmt: skip
        assert not record.will_retry
        assert job.last_error == record

    @pytest.mark.parametrize("code", sorted(FAILURE_CODES))
    def test_a_job_fails_when_its_codes_budget_is_spent(self, owner: User, code: str) -> None:
        job_id = execution.accept(owner.pk, [landed()])[0].pk
        for number in range(1, FAILURE_CODES[code].budget + 1):
            job = started(job_id)
            assert job.attempt == number
            assert execution.fail(report(job, code))

        assert UploadJob.objects.get().state == State.FAILED
        assert ErrorRecord.objects.filter(code=code).count() == FAILURE_CODES[code].budget
        assert Attempt.objects.filter(outcome=Outcome.FAILED).count() == FAILURE_CODES[code].budget

    def test_budgets_of_different_codes_do_not_add_up(self, owner: User) -> None:
        job_id = execution.accept(owner.pk, [landed()])[0].pk
        for code in ("timed_out", "out_of_memory", "worker_lost"):
            assert execution.fail(report(started(job_id), code))
        assert UploadJob.objects.get().state == State.QUEUED

    def test_the_next_attempt_waits_and_its_wake_up_with_it(self, owner: User) -> None:
        job = started(execution.accept(owner.pk, [landed()])[0].pk)
        Message.objects.all().delete()
        execution.fail(report(job, "timed_out"))

        job.refresh_from_db()
        assert job.run_after > timezone.now()  # type: ignore[operator]
        assert job.next_attempt_at == job.run_after
        message = Message.objects.get()
        assert abs((message.due - job.run_after).total_seconds()) < 1  # type: ignore[operator]

    def test_the_first_lost_worker_costs_no_delay(self, owner: User) -> None:
        job = started(execution.accept(owner.pk, [landed()])[0].pk)
        execution.fail(report(job, "worker_lost"))
        assert execution.start(job.pk, this_worker())

    def test_a_second_recorder_changes_nothing(self, owner: User) -> None:
        job = started(execution.accept(owner.pk, [landed()])[0].pk)
        assert execution.fail(report(job, "corrupt_file"))
        assert not execution.fail(report(job, "worker_lost"))
        assert ErrorRecord.objects.count() == 1


class TestRelease:
    def test_no_error_no_budget_and_the_number_never_falls(self, owner: User) -> None:
        job = started(execution.accept(owner.pk, [landed()])[0].pk)
        assert execution.release(job.pk, 1)
        assert not ErrorRecord.objects.exists()
        assert Attempt.objects.get().outcome == Outcome.RELEASED
        assert started(job.pk).attempt == 2


class TestPeople:
    @pytest.mark.parametrize("state", ["receiving", "queued", "running"])
    def test_what_is_not_finished_can_be_cancelled(self, state: str) -> None:
        job = make_job(state=state)
        execution.cancel(job.pk)
        job.refresh_from_db()
        assert job.state == State.CANCELLED and job.finished_at

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
    def test_what_is_finished_cannot(self, state: str) -> None:
        with pytest.raises(Refused, match=state) as refused:
            execution.cancel(make_job(state=state).pk)
        assert refused.value.status == 409

    def test_a_cancelled_attempt_has_its_outcome_and_its_worker_can_write_nothing(self, owner: User) -> None:
        job = started(execution.accept(owner.pk, [landed()])[0].pk)
        execution.cancel(job.pk)
        assert Attempt.objects.get().outcome == Outcome.CANCELLED
        assert not execution.succeed(job.pk, 1, DONE)
        assert not execution.fail(report(job, "internal_error"))
        assert not ErrorRecord.objects.exists()

    @pytest.mark.parametrize("state", ["failed", "cancelled"])
    def test_retry_gives_fresh_budgets_and_keeps_history(self, state: str, data_dir: Path) -> None:
        job = make_job(state=state, data=b"whole", attempt=2)
        execution.retry(job.pk)
        job.refresh_from_db()
        assert (job.state, job.attempt, job.budget_from) == (State.QUEUED, 2, 2)

    @pytest.mark.parametrize("state", ["receiving", "queued", "running", "succeeded"])
    def test_nothing_else_is_retried(self, state: str, data_dir: Path) -> None:
        with pytest.raises(Refused, match=state):
            execution.retry(make_job(state=state, data=b"whole").pk)

    def test_without_its_file_a_job_is_not_retried(self, data_dir: Path) -> None:
        job = make_job(state="failed", data=b"whole")
        local.file_path(job.pk).unlink()
        with pytest.raises(Refused, match="Send it again"):
            execution.retry(job.pk)

    @pytest.mark.parametrize("state", list(State))
    @pytest.mark.django_db(transaction=True)
    def test_a_deleted_job_takes_its_files_and_leaves_its_error_records(
        self, state: State, data_dir: Path
    ) -> None:
        job = make_job(state=state, data=b"whole", filename="gone.txt", sha256="ef" * 32)
        ErrorRecord.objects.create(
            job=job, job_uuid=job.pk, attempt=1, code="internal_error", message="m",
            filename=job.filename, sha256=job.sha256, owner=job.owner, occurred_at=timezone.now(),
        )  # fmt: skip
        execution.delete(job.pk)

        assert not UploadJob.objects.exists()
        assert not local.file_path(job.pk).exists() and not local.spool_path(job.pk).exists()
        record = ErrorRecord.objects.get()
        assert (record.job, record.job_uuid, record.filename) == (None, job.pk, "gone.txt")
        assert record.sha256 == "ef" * 32 and record.owner

    @pytest.mark.parametrize("verb", [execution.cancel, execution.retry, execution.delete])
    def test_a_job_that_is_not_there_is_refused(self, verb: object) -> None:
        with pytest.raises(Refused) as refused:
            verb(uuid4())  # type: ignore[operator]
        assert refused.value.status == 404
