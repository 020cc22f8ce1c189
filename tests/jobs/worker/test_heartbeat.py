"""The heartbeat of an attempt: no cost to short ones, a renewed lease and news for long ones."""

from __future__ import annotations

import select
import threading
import time

import pytest
from django.utils import timezone

from tests.factories import make_attempt, make_job
from uploads.jobs.lifecycle import execution
from uploads.jobs.worker import heartbeat
from uploads.jobs.worker.heartbeat import Heartbeat
from uploads.models import State, UploadJob

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(db: None) -> UploadJob:
    job = make_job(State.RUNNING)
    make_attempt(job)
    return job


def beating() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "heartbeat"]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(heartbeat, "RENEW_EVERY", 0.0)


def test_a_short_attempt_has_no_thread_of_its_own(job: UploadJob) -> None:
    for _ in range(3):
        with Heartbeat(job.pk, 1):
            pass
    assert beating() == []


def test_an_attempt_that_goes_on_is_noticed_and_told_that_it_is_not_ours_any_more(
    job: UploadJob, hasty: None
) -> None:
    execution.cancel(job.pk)
    with Heartbeat(job.pk, 1) as beat:
        assert select.select([beat.stop_fd], [], [], 2)[0]
        assert beat.reason == "lost"
    assert beating() == []


def test_it_renews_the_lease_and_writes_the_progress(job: UploadJob, hasty: None) -> None:
    UploadJob.objects.update(lease_until=timezone.now())
    with Heartbeat(job.pk, 1) as beat:
        beat.start()
        beat.progress(40.0, "page 2 of 5")
        deadline = time.monotonic() + 5
        while not job.progress and time.monotonic() < deadline:
            job.refresh_from_db()
    assert (job.progress, job.note) == (40, "page 2 of 5")
    assert job.lease_until is not None
    assert job.lease_until > timezone.now()
