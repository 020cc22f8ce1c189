"""One attempt at one job, with the real sandbox, as a worker of the cluster makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django_q.exceptions import TimeoutException

from tests.factories import make_job
from uploads.jobs.lifecycle import execution
from uploads.jobs.lifecycle.failure_report import AttemptFailed, FailureReport
from uploads.jobs.worker import shutdown, task
from uploads.models import Artifact, Attempt, ErrorRecord, Message, Outcome, State, UploadJob
from uploads.processing.sandbox.client.sandbox import Done
from uploads.storage.kept import local

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _clean(data_dir: Path) -> Iterator[None]:
    yield
    shutdown.forget()


@pytest.fixture(scope="module", autouse=True)
def _one_sandbox() -> Iterator[None]:
    yield
    if task._sandbox is not None:
        task._sandbox.close()
        task._sandbox = None


def failure_of(job: UploadJob) -> FailureReport:
    with pytest.raises(AttemptFailed) as failed:
        task.work(str(job.pk))
    return failed.value.report


def test_a_text_file_ends_succeeded_with_its_result_and_what_it_cost() -> None:
    job = make_job(data=b"one\ntwo\n", filename="notes.txt")
    task.work(str(job.pk))

    job.refresh_from_db()
    assert (job.state, job.kind, job.content_type) == (State.SUCCEEDED, "text", "text/plain")
    assert job.result and job.result["lines"] == 2
    attempt = Attempt.objects.get()
    assert attempt.outcome == Outcome.SUCCEEDED
    assert attempt.peak_memory and attempt.peak_memory > 1 << 20
    assert attempt.wall_seconds and attempt.wall_seconds < 10


def test_artifacts_lie_under_their_attempt(png: bytes) -> None:
    job = make_job(data=png, filename="dot.png")
    task.work(str(job.pk))

    artifact = Artifact.objects.get(name="thumbnail.webp")
    path = local.artifact_path(job.pk, 1, artifact.name)
    assert path.stat().st_size == artifact.size


def test_a_damaged_file_raises_a_structured_report_and_leaves_no_artifacts(png: bytes) -> None:
    job = make_job(data=png[: len(png) // 2], filename="half.png")
    report = failure_of(job)

    assert (report.code, report.attempt, report.kind) == ("corrupt_file", 1, "image")
    assert FailureReport.loads(f"{AttemptFailed(report)} : Traceback …") == report
    assert not local.attempt_directory(job.pk, 1).exists()


def test_a_file_deleted_between_upload_and_work_is_missing() -> None:
    job = make_job(data=b"x")
    local.file_path(job.pk).unlink()
    assert failure_of(job).code == "file_missing"


def test_a_contradiction_between_name_and_content_is_recorded() -> None:
    job = make_job(data=b"<!doctype html><html><body>not a picture</body></html>", filename="cat.png")
    task.work(str(job.pk))
    job.refresh_from_db()
    assert job.content_type == "text/html"
    assert "cat.png" in job.contradiction


def test_a_result_that_cannot_be_saved_is_a_recorded_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> bool:
        raise ValueError("no room in the row")

    monkeypatch.setattr(execution, "succeed", broken)
    report = failure_of(make_job(data=b"x"))
    assert (report.code, report.exception_type) == ("internal_error", "ValueError")
    assert "no room in the row" in report.traceback


@pytest.mark.parametrize("wrong", [OperationalError, InterfaceError])
def test_a_database_that_goes_away_meanwhile_is_no_bug_of_ours(
    monkeypatch: pytest.MonkeyPatch, wrong: type[Exception]
) -> None:
    def away(*_args: Any) -> bool:
        raise wrong("terminating connection due to administrator command")

    monkeypatch.setattr(execution, "succeed", away)
    assert failure_of(make_job(data=b"x")).code == "storage_unavailable"


def test_a_hard_time_out_of_the_queue_is_a_timed_out_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def alarm(*_args: Any, **_kwargs: Any) -> Done:
        raise TimeoutException("Task exceeded maximum timeout value")

    monkeypatch.setattr(type(task.sandbox()), "run", alarm)
    assert failure_of(make_job(data=b"x")).code == "timed_out"


def test_a_second_delivery_does_nothing() -> None:
    job = make_job(data=b"x")
    task.work(str(job.pk))
    task.work(str(job.pk))
    assert Attempt.objects.count() == 1


def test_a_wake_up_before_its_time_is_sent_again() -> None:
    job = make_job(data=b"x", run_after=timezone.now() + timedelta(seconds=30))
    task.work(str(job.pk))
    assert (Message.objects.get().due - timezone.now()).total_seconds() > 25
    assert not Attempt.objects.exists()


def test_a_stopping_node_starts_nothing_and_passes_the_wake_up_on() -> None:
    job = make_job(data=b"x")
    shutdown.ask()
    task.work(str(job.pk))
    job.refresh_from_db()
    assert (job.state, Message.objects.count()) == (State.QUEUED, 1)


def test_a_job_cancelled_in_mid_attempt_keeps_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, png: bytes
) -> None:
    job = make_job(data=png, filename="dot.png")
    succeed = execution.succeed

    def too_late(*args: Any) -> bool:
        execution.cancel(job.pk)
        return succeed(*args)

    monkeypatch.setattr(execution, "succeed", too_late)
    task.work(str(job.pk))
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert not Artifact.objects.exists() and not local.attempt_directory(job.pk, 1).exists()
    assert not ErrorRecord.objects.exists()


def test_a_job_deleted_in_mid_attempt_is_nobodys_failure(monkeypatch: pytest.MonkeyPatch, png: bytes) -> None:
    job = make_job(data=png, filename="dot.png")
    run = type(task.sandbox()).run

    def deleted(*args: Any, **options: Any) -> Any:
        execution.delete(job.pk)
        return run(*args, **options)

    monkeypatch.setattr(type(task.sandbox()), "run", deleted)
    task.work(str(job.pk))  # raises nothing
    assert not ErrorRecord.objects.exists() and not local.attempt_directory(job.pk, 1).exists()


def test_a_message_that_quotes_the_file_is_one_line_and_reads_one_way(
    monkeypatch: pytest.MonkeyPatch, png: bytes
) -> None:
    run = type(task.sandbox()).run

    def quoted(*args: Any, **options: Any) -> Any:
        return replace(run(*args, **options), message="Sheet \u202egnp.exe\x1b[31m\nis damaged.")

    monkeypatch.setattr(type(task.sandbox()), "run", quoted)
    report = failure_of(make_job(data=png[: len(png) // 2], filename="half.png"))
    assert report.message == "Sheet gnp.exe[31m is damaged."
