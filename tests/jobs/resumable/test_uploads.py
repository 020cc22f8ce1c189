"""The rows of resumable uploads: each move looks at what it believes before it changes anything."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from uploads.codes import Refused
from uploads.jobs.lifecycle import execution
from uploads.jobs.resumable import uploads
from uploads.jobs.resumable.uploads import Upload
from uploads.models import State, Transfer, UploadJob
from uploads.storage.spool import Appender

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


def opened(owner: User, length: int | None) -> Upload:
    uploads.open_transfer(owner.pk, "a.txt", "", length=length, metadata="", partial=False)
    return uploads.find(owner.pk, Transfer.objects.get().pk)


@pytest.fixture
def upload(owner: User) -> Upload:
    return opened(owner, 100)


def offset() -> int:
    return int(Transfer.objects.get().offset)


def refusal(act: Any, *values: Any) -> str:
    with pytest.raises(Refused) as refused:
        act(*values)
    return refused.value.code


class TestTaking:
    def test_each_request_gets_a_number_of_its_own(self, upload: Upload, owner: User) -> None:
        assert uploads.take(upload, 0) == 1
        assert uploads.take(uploads.find(owner.pk, upload.id), 0) == 2

    def test_of_two_that_saw_the_same_one_is_too_late(self, upload: Upload) -> None:
        uploads.take(upload, 0)
        assert refusal(uploads.take, upload, 0) == "offset_mismatch"

    def test_bytes_counted_since_the_look_are_not_cut_off(self, upload: Upload) -> None:
        Transfer.objects.update(offset=7)
        assert refusal(uploads.take, upload, 0) == "offset_mismatch"
        assert Transfer.objects.get().generation == 0


class TestAdvancing:
    def test_the_offset_and_the_jobs_progress_move_together(self, upload: Upload) -> None:
        uploads.advance(upload.id, uploads.take(upload, 0), 42, 100)
        assert (offset(), UploadJob.objects.get().progress) == (42, 42)

    def test_it_never_goes_back(self, upload: Upload) -> None:
        generation = uploads.take(upload, 0)
        uploads.advance(upload.id, generation, 42, 100)
        uploads.advance(upload.id, generation, 40, 100)
        assert offset() == 42

    def test_whoever_was_overtaken_moves_nothing(self, upload: Upload, owner: User) -> None:
        old = uploads.take(upload, 0)
        uploads.take(uploads.find(owner.pk, upload.id), 0)
        assert refusal(uploads.advance, upload.id, old, 42, 100) == "superseded"
        assert (offset(), UploadJob.objects.get().progress) == (0, 0)

    def test_a_cancelled_upload_does_not_move(self, upload: Upload) -> None:
        generation = uploads.take(upload, 0)
        execution.cancel(upload.id)
        assert refusal(uploads.advance, upload.id, generation, 42, 100) == "gone"
        assert offset() == 0


class TestSettling:
    @pytest.fixture
    def writer(self, upload: Upload) -> Any:
        made = Appender(upload.id, uploads.take(upload, 0), 0)
        made.write(b"x" * 30)
        yield made
        made.close()

    def test_what_a_hanging_request_has_written_counts(self, upload: Upload, writer: Appender) -> None:
        uploads.settle(upload.id)
        assert offset() == 30

    def test_not_if_another_request_has_taken_over_in_the_row_alone(
        self, upload: Upload, owner: User, writer: Appender
    ) -> None:
        uploads.take(uploads.find(owner.pk, upload.id), 0)
        uploads.settle(upload.id)
        assert offset() == 0

    def test_never_back_and_never_past_the_end(self, upload: Upload, writer: Appender) -> None:
        Transfer.objects.update(offset=31)
        uploads.settle(upload.id)
        assert offset() == 31
        Transfer.objects.update(offset=0, length=29)
        uploads.settle(upload.id)
        assert offset() == 0


class TestLength:
    def test_it_is_told_once(self, owner: User) -> None:
        upload = opened(owner, None)
        uploads.tell_length(upload, 10)
        assert refusal(uploads.tell_length, upload, 11) == "invalid_request"
        assert UploadJob.objects.get().size == 10

    def test_an_unknown_one_reserves_more_as_it_grows(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_USER_QUOTA = 100 << 20
        upload = opened(owner, None)
        uploads.reserve(upload, 90 << 20)
        assert UploadJob.objects.get().size == 90 << 20
        assert refusal(uploads.reserve, upload, 101 << 20) == "quota_exceeded"
        assert UploadJob.objects.get().size == 90 << 20


def test_only_its_owner_finds_an_upload(upload: Upload, colleague: User) -> None:
    assert refusal(uploads.find, colleague.pk, upload.id) == "not_found"
    assert refusal(uploads.find, upload.transfer.owner_id, UUID(int=1)) == "not_found"


def test_a_withdrawn_upload_leaves_nothing(upload: Upload, owner: User) -> None:
    uploads.withdraw(upload.id)
    assert not UploadJob.objects.exists()
    assert refusal(uploads.find, owner.pk, upload.id) == "not_found"


def test_an_upload_finished_twice_is_queued_once(upload: Upload, owner: User) -> None:
    generation = uploads.take(upload, 0)
    writer = Appender(upload.id, generation, 0)
    writer.write(b"x" * 100)
    writer.sync()
    writer.close()
    uploads.advance(upload.id, generation, 100, 100)
    whole = uploads.find(owner.pk, upload.id)
    uploads.finish(whole, "a" * 64)
    uploads.finish(whole)
    job = UploadJob.objects.get()
    assert (job.state, job.sha256, job.progress) == (State.QUEUED, "a" * 64, 0)
