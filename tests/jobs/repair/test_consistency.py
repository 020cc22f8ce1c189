"""The doctor: each difference between storage, jobs and queue is one sentence, and agreement is silence."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from tests.factories import make_artifact, make_attempt, make_failed_job, make_job, make_node
from tests.jobs.repair.test_cleanup import aged, artifacts
from uploads.jobs.lifecycle import execution
from uploads.jobs.queue import producer
from uploads.jobs.repair import consistency
from uploads.models import Node, Outcome, Pause, State, UploadJob
from uploads.storage.kept import local

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]
LONG_AGO = timezone.now() - timedelta(days=30)


def said(*, wrong: bool = True) -> list[str]:
    return [one.sentence for one in consistency.examine() if one.wrong == wrong]


@pytest.fixture
def alive() -> None:
    make_node()


@pytest.fixture
def healthy(alive: None) -> UploadJob:
    """One of each: waiting, running, failed and succeeded jobs as the product leaves them."""
    waiting = make_job(data=b"waiting")
    producer.wake(waiting.pk)
    make_attempt(make_job(State.RUNNING, data=b"running"))
    make_failed_job()
    done = make_job(State.SUCCEEDED, data=b"done")
    make_attempt(done, outcome=Outcome.SUCCEEDED)
    artifacts(done.pk, 1)
    make_artifact(done, "page-1.webp")
    make_job(State.CANCELLED)
    return waiting


def test_when_all_agree_it_says_so_and_ends_with_status_0(healthy: UploadJob) -> None:
    out = StringIO()
    call_command("doctor", stdout=out)
    assert out.getvalue() == "Jobs: 5, kept files: 4, messages: 1. All agree.\n"


def test_it_ends_with_status_1_when_something_is_wrong(healthy: UploadJob) -> None:
    local.remove_job(healthy.pk)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", stdout=out)
    assert ended.value.code == 1
    assert f"WRONG  Job {healthy.pk} (queued) has no file" in out.getvalue()
    assert out.getvalue().endswith("Wrong: 1.\n")


def test_a_note_alone_is_not_wrong(healthy: UploadJob) -> None:
    producer.wake(healthy.pk)
    aged(local.spool_directory() / "notes.txt")
    make_node("restless", restarts=3, note="Its main process was ended by SIGKILL.")
    call_command("doctor", stdout=StringIO())
    notes = said(wrong=False)
    assert any("notes.txt is not of our making" in note for note in notes)
    assert "Messages for jobs that have another one: 1; harmless." in notes
    assert any("restless" in note and "3 times" in note and "SIGKILL" in note for note in notes)


@pytest.mark.usefixtures("alive")
class TestStorageAndJobs:
    @pytest.mark.parametrize(
        ("state", "meaning"),
        [
            (State.SUCCEEDED, "it cannot be downloaded"),
            (State.FAILED, "it cannot be retried"),
            (State.RUNNING, "its attempt will fail with file_missing"),
        ],
    )
    def test_a_row_without_a_file_is_explained_by_what_will_come_of_it(
        self, state: State, meaning: str
    ) -> None:
        job = make_job(state)
        if state == State.RUNNING:
            make_attempt(job)
        assert said() == [f"Job {job.pk} ({state}) has no file: {meaning}."]

    def test_a_file_of_another_size_is_not_the_file_that_was_sent(self) -> None:
        job = make_job(State.SUCCEEDED, data=b"whole")
        local.file_path(job.pk).write_bytes(b"half")
        assert said() == [f"The file of job {job.pk} has 4 bytes where its row says 5."]

    def test_files_without_a_job_and_artifacts_that_did_not_win_wait_for_the_sweep(self) -> None:
        stray = aged(local.file_path(uuid4()))
        job = make_failed_job()
        artifacts(job.pk, 1)
        assert len(said()) == 2
        assert all("removed by the sweep" in sentence for sentence in said())
        assert stray.exists()

    def test_an_artifact_without_a_file_and_one_of_another_attempt_are_wrong(self) -> None:
        job = make_job(State.SUCCEEDED, data=b"x", attempt=2)
        artifacts(job.pk, 1)
        artifacts(job.pk, 2)
        make_artifact(job, "page-1.webp", attempt=1)
        make_artifact(job, "page-2.webp", attempt=2)
        sentences = said()
        assert any(
            "page-1.webp" in one and "from attempt 1, but attempt 2 is the last" in one for one in sentences
        )
        assert any("page-2.webp" in one and "has no file" in one for one in sentences)


@pytest.mark.usefixtures("alive")
class TestJobsAndWorkers:
    def test_an_expired_lease_a_missing_attempt_and_an_open_one_are_wrong(self) -> None:
        late = make_job(State.RUNNING, data=b"x", lease_until=LONG_AGO)
        make_attempt(late)
        without = make_job(State.RUNNING, data=b"x")
        moved_on = make_job(State.SUCCEEDED, data=b"x")
        make_attempt(moved_on)
        assert said() == [
            f"Job {late.pk}, attempt 1: its lease has expired; to be failed by the sweep, within seconds.",
            f"Job {without.pk} is running attempt 1, of which there is no row.",
            f"Attempt 1 of job {moved_on.pk} has no outcome, though the job has moved on.",
        ]

    def test_a_failed_attempt_needs_an_error_record(self) -> None:
        job = make_job(State.FAILED, data=b"x")
        make_attempt(job, outcome=Outcome.FAILED)
        assert said() == [f"Attempt 1 of job {job.pk} failed without an error record."]

    def test_the_records_of_a_deleted_job_are_history(self) -> None:
        execution.delete(make_failed_job().pk)
        assert said() == []


class TestJobsAndQueue:
    def test_due_jobs_and_no_cluster_is_the_first_thing_to_tell(self) -> None:
        producer.wake(make_job(data=b"x").pk)
        make_node("stopped", stopped_at=timezone.now())
        make_node("silent", beat_at=LONG_AGO)
        assert said() == ["No cluster is alive and jobs are due (1): start `manage.py qcluster`."]

    @pytest.mark.usefixtures("alive")
    def test_a_due_job_that_no_message_wakes_is_wrong_once_the_sweep_should_have_seen_it(self) -> None:
        asleep = make_job(data=b"x", run_after=LONG_AGO, woken_at=LONG_AGO)
        make_job(data=b"x", run_after=timezone.now())
        producer.wake(make_job(data=b"x", run_after=LONG_AGO, woken_at=LONG_AGO).pk)
        assert said() == [
            f"Job {asleep.pk} is due and no message wakes it; to be woken by the sweep, within seconds."
        ]

    @pytest.mark.usefixtures("alive")
    def test_behind_a_long_queue_a_job_without_a_message_may_be_in_a_clusters_hands(
        self, settings: Any
    ) -> None:
        settings.WORKERS = 1
        make_job(data=b"x", run_after=LONG_AGO, woken_at=LONG_AGO)
        for _ in range(4):
            producer.wake(make_job(data=b"x", run_after=LONG_AGO, woken_at=LONG_AGO).pk)
        assert said() == []

    @pytest.mark.usefixtures("alive")
    def test_paused_jobs_wait_for_no_cluster_and_no_message(self) -> None:
        make_job(data=b"x", run_after=LONG_AGO, woken_at=LONG_AGO)
        Pause.objects.create(kind="")
        Node.objects.all().delete()
        assert said() == []

    @pytest.mark.usefixtures("alive")
    def test_messages_of_finished_jobs_are_harmless(self) -> None:
        producer.wake(make_failed_job().pk)
        assert said() == []
        assert said(wrong=False) == ["Messages for jobs that do not wait any more: 1; harmless."]
