"""The hook reads the report out of a task's failure, as django-q2 saves it, and records it once."""

from __future__ import annotations

import json
import traceback

import pytest
from django.utils import timezone
from django_q.models import Task

from tests.factories import make_job
from uploads.jobs.lifecycle.failure_report import AttemptFailed, FailureReport
from uploads.jobs.queue.producer import HOOK, TASK
from uploads.jobs.worker import failure_hook
from uploads.models import ErrorRecord, State, UploadJob

pytestmark = pytest.mark.django_db


def saved_failure(job: UploadJob, wrong: Exception) -> Task:
    """What django-q2's worker and monitor make of an exception; saving it calls the hook."""
    try:
        raise wrong
    except Exception as raised:  # noqa: BLE001 - as the worker of django-q2 does
        result = f"{raised} : {traceback.format_exc()}"
    now = timezone.now()
    return Task.objects.create(
        id=job.pk.hex, name=str(job.pk), func=TASK, hook=HOOK, args=(str(job.pk),), kwargs={},
        started=now, stopped=now, result=result, success=False,
    )  # fmt: skip


def report(job: UploadJob, **more: object) -> FailureReport:
    values: dict[str, object] = {"code": "corrupt_file", "message": "It ends in mid-row."} | more
    return FailureReport(job=str(job.pk), attempt=job.attempt, **values)  # type: ignore[arg-type]


def test_saving_the_task_writes_the_error_record() -> None:
    job = make_job("running")
    saved_failure(job, AttemptFailed(report(job, traceback="the child's own", worker="here:7")))

    record = ErrorRecord.objects.get()
    assert (record.code, record.message, record.traceback, record.worker) == (
        "corrupt_file", "It ends in mid-row.", "the child's own", "here:7",
    )  # fmt: skip
    job.refresh_from_db()
    assert job.state == State.FAILED


def test_a_task_saved_twice_is_recorded_once() -> None:
    job = make_job("running")
    saved_failure(job, AttemptFailed(report(job))).save()
    assert ErrorRecord.objects.count() == 1


def test_an_exception_that_is_no_report_of_ours_is_an_internal_error() -> None:
    job = make_job("running")
    saved_failure(job, KeyError("nobody foresaw this"))
    record = ErrorRecord.objects.get()
    assert record.code == "internal_error"
    assert "nobody foresaw this" in record.traceback
    assert "nobody" not in record.message


@pytest.mark.parametrize(
    "text",
    ["", "null", "[1, 2]", '{"code": "nonsense"}', '{"job": 1}', "{" * 100_000, "[" * 100_000, "\x00", "12"],
)
def test_a_failure_that_cannot_be_read_stops_nobody(text: str) -> None:
    job = make_job("running")
    saved_failure(job, RuntimeError(text))
    assert ErrorRecord.objects.get().code == "internal_error"


def test_a_failed_task_of_a_job_that_is_gone_is_nothing_to_record() -> None:
    job = make_job("running")
    job_id = job.pk
    job.delete()
    job.pk = job_id
    saved_failure(job, AttemptFailed(report(job)))
    assert not ErrorRecord.objects.exists()


def test_a_success_is_none_of_its_business() -> None:
    failure_hook.record_failure(Task(success=True, result=None))
    assert not ErrorRecord.objects.exists()


def test_texts_are_bounded_and_storable() -> None:
    job = make_job("running")
    kept = report(job, message="m\x00" * 9_000, traceback="start" + "x" * 90_000 + "end", detail="\ud800")
    assert len(kept.message) == 500 and "\x00" not in kept.message
    assert len(kept.traceback) == 64_000
    assert kept.traceback.startswith("start") and kept.traceback.endswith("end")
    json.loads(kept.dumps())
    saved_failure(job, AttemptFailed(kept))
    assert ErrorRecord.objects.get().detail == "?"
