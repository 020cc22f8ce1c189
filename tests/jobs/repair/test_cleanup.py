"""Bytes without a row, rows without news: removed when they are old enough, and nothing else is."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from django_q.models import Task

from tests.factories import make_failed_job, make_job, make_node
from uploads.jobs.repair import cleanup, rescue
from uploads.models import ErrorRecord, Node, State, UploadJob
from uploads.storage.kept import local

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]
LONG_AGO = timezone.now() - timedelta(days=30)


def aged(path: Path, days: float = 30) -> Path:
    """Bytes at `path` that were last written some days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(b"x")
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


def artifacts(job_id: Any, attempt: int, days: float = 30) -> Path:
    path = local.open_attempt(job_id, attempt)
    (path / "page-1.webp").write_bytes(b"x")
    return aged(path, days)


class TestPartialUploads:
    def test_one_without_news_is_given_up_row_and_bytes(self) -> None:
        job = make_job(State.RECEIVING, data=b"half", created_at=LONG_AGO)
        path = aged(local.spool_path(job.pk))
        assert [str(one) for one in cleanup.partial_uploads()] == [
            f"Job {job.pk}: an upload without news for too long"
        ]
        assert not path.exists()
        assert not UploadJob.objects.exists()

    def test_one_that_still_grows_is_left_alone_however_old(self) -> None:
        make_job(State.RECEIVING, data=b"half", created_at=LONG_AGO)
        assert cleanup.partial_uploads() == []

    def test_one_that_has_just_begun_may_have_no_bytes_yet(self) -> None:
        make_job(State.RECEIVING)
        assert cleanup.partial_uploads() == []

    def test_one_that_was_accepted_meanwhile_keeps_its_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        job = make_job(State.RECEIVING, created_at=LONG_AGO)
        kept = aged(local.file_path(job.pk))

        def accepted(job_id: Any) -> float:
            now = timezone.now()
            UploadJob.objects.filter(pk=job_id).update(state=State.QUEUED, queued_at=now, run_after=now)
            return float("inf")

        monkeypatch.setattr(cleanup, "_silence", accepted)
        assert cleanup.partial_uploads() == []
        assert kept.exists()


class TestStrays:
    def test_old_files_without_a_job_are_removed(self) -> None:
        one, other = uuid4(), uuid4()
        kept, spooled = aged(local.file_path(one)), aged(local.spool_path(other))
        assert [found.job for found in cleanup.stray_files(one.hex[:2])] == [one]
        assert [found.job for found in cleanup.stray_spool()] == [other]
        assert not kept.exists()
        assert not spooled.exists()

    def test_a_new_one_may_be_about_to_get_its_row(self) -> None:
        job_id = uuid4()
        aged(local.file_path(job_id), days=0.5)
        aged(local.spool_path(job_id), days=0.5)
        assert cleanup.stray_files(job_id.hex[:2]) + cleanup.stray_spool() == []

    def test_a_file_with_a_job_stays(self) -> None:
        job = make_job(data=b"x")
        kept = aged(local.file_path(job.pk))
        assert cleanup.stray_files(job.pk.hex[:2]) == []
        assert kept.exists()

    def test_what_is_not_of_our_naming_is_never_touched(self) -> None:
        foreign = aged(local.files_directory() / "ab" / "notes.txt")
        assert cleanup.stray_files("ab") == []
        assert foreign.exists()

    def test_a_dry_run_removes_nothing(self) -> None:
        kept = aged(local.file_path(uuid4()))
        assert len(cleanup.stray_files(kept.parent.name, dry_run=True)) == 1
        assert kept.exists()


class TestArtifacts:
    def test_only_those_of_the_attempt_that_won_or_runs_stay(self) -> None:
        won, runs = make_job(State.SUCCEEDED, attempt=2), make_job(State.RUNNING, attempt=2)
        failed, gone = make_job(State.FAILED), uuid4()
        staying = [artifacts(won.pk, 2), artifacts(runs.pk, 2)]
        going = [artifacts(won.pk, 1), artifacts(runs.pk, 1), artifacts(failed.pk, 1), artifacts(gone, 3)]
        for job_id in (won.pk, runs.pk, failed.pk, gone):
            cleanup.lost_artifacts(job_id.hex[:2])
        assert all(path.is_dir() for path in staying)
        assert not any(path.exists() for path in going)
        assert not going[-1].parent.exists()

    def test_those_just_written_are_left_for_a_later_look(self) -> None:
        job = make_job(State.QUEUED, attempt=1)
        path = artifacts(job.pk, 1, days=0)
        assert cleanup.lost_artifacts(job.pk.hex[:2]) == []
        assert path.is_dir()


class TestOldRecords:
    def test_old_failures_of_django_q2_and_silent_nodes_go_and_error_records_stay(self) -> None:
        record = make_failed_job().errors.get()
        ErrorRecord.objects.update(occurred_at=LONG_AGO)
        for number, stopped in enumerate((LONG_AGO, timezone.now())):
            Task.objects.create(
                id=str(number), name="x", func="x", started=stopped, stopped=stopped, success=False
            )
        make_node("silent", beat_at=LONG_AGO)
        make_node("alive")
        assert [one.cure for one in cleanup.old_records()] == ["pruned", "pruned"]
        assert [task.id for task in Task.objects.all()] == ["1"]
        assert [node.name for node in Node.objects.all()] == ["alive"]
        assert ErrorRecord.objects.get() == record
        assert cleanup.old_records() == []


def test_a_finding_names_its_job() -> None:
    job_id = uuid4()
    assert str(rescue.Finding("it is lost", "found", job_id, 2)) == f"Job {job_id}, attempt 2: it is lost"
    assert str(rescue.Finding("3 are lost", "found")) == "3 are lost"
