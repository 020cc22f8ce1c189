"""What the worker does with files that did not come in one piece: they are joined, and hashed once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.factories import make_job
from uploads.jobs.lifecycle.failure_report import AttemptFailed
from uploads.jobs.worker import task
from uploads.jobs.worker.assembly import make_whole
from uploads.models import State, UploadJob
from uploads.storage import parts
from uploads.storage.kept import local

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]

PIECES = (b"one\n", b"", b"two\n" * 1000, b"three\n")
WHOLE = b"".join(PIECES)


@pytest.fixture(scope="module", autouse=True)
def _one_sandbox() -> object:
    yield
    if task._sandbox is not None:
        task._sandbox.close()
        task._sandbox = None


def in_parts(state: str = State.QUEUED) -> UploadJob:
    """A job whose file lies in parts."""
    job = make_job(state, size=len(WHOLE), sha256="", filename="notes.txt", kind="", content_type="")
    ids = [uuid4() for _ in PIECES]
    local.spool_directory().mkdir(parents=True, exist_ok=True)
    for part_id, data in zip(ids, PIECES, strict=True):
        local.spool_path(part_id).write_bytes(data)
    parts.collect(job.pk, ids)
    for part_id in ids:
        local.spool_path(part_id).unlink()
    return job


def go_on() -> bool:
    return False


def is_whole(job: UploadJob) -> None:
    job.refresh_from_db()
    assert local.file_path(job.pk).read_bytes() == WHOLE
    assert job.sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert not parts.directory(job.pk).exists()


def test_parts_are_joined_in_their_order_hashed_and_worked_on() -> None:
    job = in_parts()
    task.work(str(job.pk))
    is_whole(job)
    assert (job.state, job.result and job.result["lines"]) == (State.SUCCEEDED, 1002)


def test_a_file_without_a_digest_is_hashed_before_the_work() -> None:
    job = make_job(data=WHOLE, sha256="", filename="notes.txt")
    task.work(str(job.pk))
    is_whole(job)
    assert job.state == State.SUCCEEDED


def test_a_known_digest_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(State.RUNNING, data=WHOLE)
    monkeypatch.setattr(parts, "digest_of", None)
    assert make_whole(job, go_on)


def test_a_stop_leaves_the_parts_for_another_attempt() -> None:
    job = in_parts(State.RUNNING)
    assert not make_whole(job, lambda: True)
    assert parts.pending(job.pk)
    assert make_whole(job, go_on)
    is_whole(job)


def test_a_crash_after_the_rename_is_made_good() -> None:
    job = in_parts(State.RUNNING)
    local.file_path(job.pk).parent.mkdir(parents=True)
    local.file_path(job.pk).write_bytes(WHOLE)
    assert make_whole(job, go_on)
    is_whole(job)


def test_an_attempt_that_is_no_longer_the_jobs_says_nothing() -> None:
    job = in_parts(State.RUNNING)
    UploadJob.objects.update(attempt=2)
    assert not make_whole(job, go_on)
    job.refresh_from_db()
    assert job.sha256 == ""


def test_a_job_with_neither_file_nor_parts_fails_as_such() -> None:
    with pytest.raises(AttemptFailed) as failed:
        task.work(str(make_job(sha256="").pk))
    assert failed.value.report.code == "file_missing"


def test_parts_that_are_gone_when_they_are_to_be_collected_leave_an_error_to_the_caller(
    data_dir: Path,
) -> None:
    with pytest.raises(FileNotFoundError):
        parts.collect(UUID(int=1), [UUID(int=2)])
