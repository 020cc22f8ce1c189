"""How a resumable upload lands: in few commits, and found again where a server died between two steps."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from tests.api.tus_client import DATA, create, head, patch, sha256
from uploads.db import clock, group_commit
from uploads.intake.tus import append
from uploads.jobs.lifecycle import execution
from uploads.jobs.resumable import uploads
from uploads.models import Message, State, Transfer, UploadJob
from uploads.storage import fence, spool
from uploads.storage.fence import Superseded
from uploads.storage.kept import local

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


@pytest.fixture(autouse=True)
def _room(settings: Any) -> None:
    settings.UPLOADS_MIN_FREE = 0


class TestASmallUploadInOneRequest:
    def test_it_is_queued_with_its_digest_and_nothing_in_the_spool(self, program: Client) -> None:
        made = create(program, data=DATA)

        job = UploadJob.objects.get()
        assert (made.status_code, made["Upload-Offset"]) == (201, str(len(DATA)))
        assert (job.state, job.sha256) == (State.QUEUED, hashlib.sha256(DATA).hexdigest())
        assert local.file_path(job.pk).read_bytes() == DATA
        assert not local.spool_path(job.pk).exists() and not fence.fence_path(job.pk).exists()
        assert Message.objects.filter(job=job.pk).count() == 1
        assert head(program, made["Location"])["Upload-Offset"] == str(len(DATA))

    def test_it_has_no_row_before_it_is_whole(self, program: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []
        keep = local.Incoming.keep
        monkeypatch.setattr(
            local.Incoming, "keep", lambda self: (seen.append(UploadJob.objects.count()), keep(self))
        )
        create(program, data=DATA)
        assert seen == [0]

    def test_a_wrong_checksum_leaves_nothing(self, program: Client) -> None:
        assert create(program, data=DATA, Upload_Checksum=sha256(b"other")).status_code == 460
        assert not UploadJob.objects.exists() and not Transfer.objects.exists()
        assert not list(local.spool_directory().glob("*")) and not list(local.files_directory().glob("*/*"))

    def test_a_commit_that_fails_leaves_nothing(
        self, program: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_args: Any, **_more: Any) -> None:
            raise OSError("no")

        monkeypatch.setattr(uploads.Insertion, "write", broken)
        assert create(program, data=DATA).status_code == 500
        assert not UploadJob.objects.exists() and not Message.objects.exists()
        assert not list(local.files_directory().glob("*/*"))


class TestAServerThatDiesBetweenKeepingTheBytesAndQueueingTheJob:
    @pytest.fixture
    def path(self, program: Client, monkeypatch: pytest.MonkeyPatch) -> str:
        """An upload whose bytes lie under their final name, of which its row knows the first 30."""
        path: str = create(program)["Location"]
        patch(program, path, 0, DATA[:30])

        def died(*_args: Any) -> None:
            raise RuntimeError("the server died here")

        with monkeypatch.context() as patched:
            patched.setattr(uploads, "land", died)
            assert patch(program, path, 30, DATA[30:]).status_code == 500
        transfer, job = Transfer.objects.get(), UploadJob.objects.get()
        assert (transfer.offset, job.state) == (30, State.RECEIVING)
        assert local.file_path(job.pk).read_bytes() == DATA
        return path

    def test_whoever_asks_where_it_stands_gets_it_queued(self, program: Client, path: str) -> None:
        assert head(program, path)["Upload-Offset"] == str(len(DATA))
        self.is_queued_once()

    def test_whoever_sends_the_last_bytes_again_is_told_that_they_are_here(
        self, program: Client, path: str
    ) -> None:
        assert patch(program, path, 30, DATA[30:]).status_code in (204, 409)
        assert head(program, path)["Upload-Offset"] == str(len(DATA))
        self.is_queued_once()

    def test_nobody_makes_its_spooled_file_anew(self, program: Client, path: str) -> None:
        job = UploadJob.objects.get()
        with pytest.raises(Superseded):
            spool.Appender(job.pk, 99, 0)
        assert not local.spool_path(job.pk).exists()
        head(program, path)
        self.is_queued_once()

    def test_the_owner_may_end_it_and_no_byte_stays(self, program: Client, path: str) -> None:
        job = UploadJob.objects.get()
        execution.delete(job.pk)
        assert not local.file_path(job.pk).exists() and head(program, path).status_code == 410

    def is_queued_once(self) -> None:
        job = UploadJob.objects.get()
        assert job.state == State.QUEUED and local.file_path(job.pk).read_bytes() == DATA
        assert Message.objects.filter(job=job.pk).count() == 1


def test_the_bytes_of_a_cancelled_upload_are_gone_though_its_last_request_was_under_way(
    program: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = create(program)["Location"]
    job = UploadJob.objects.get()
    keep = spool.Appender.keep

    def cancelled_meanwhile(appender: spool.Appender) -> None:
        execution.cancel(job.pk)
        keep(appender)

    monkeypatch.setattr(spool.Appender, "keep", cancelled_meanwhile)
    assert patch(program, path, 0, DATA).status_code == 410
    assert not local.file_path(job.pk).exists() and not local.spool_path(job.pk).exists()


class TestTheFirstRequestWithBytes:
    def test_it_commits_once(self, program: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        path = create(program)["Location"]
        commits: list[bool] = []
        commit = group_commit.commit
        monkeypatch.setattr(
            group_commit, "commit", lambda act, **more: (commits.append(True), commit(act, **more))[1]
        )
        assert patch(program, path, 0, DATA).status_code == 204
        assert len(commits) == 1

    def test_one_that_saw_it_empty_before_another_finished_it_replaces_nothing(
        self, program: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = create(program)["Location"]
        job = UploadJob.objects.get()
        find = uploads.find

        def slow_look(*args: Any, **more: Any) -> uploads.Upload:
            found = find(*args, **more)
            monkeypatch.setattr(uploads, "find", find)
            assert patch(program, path, 0, DATA).status_code == 204
            return found

        monkeypatch.setattr(uploads, "find", slow_look)
        assert patch(program, path, 0, b"?" * len(DATA)).status_code == 409
        assert local.file_path(job.pk).read_bytes() == DATA
        assert not local.spool_path(job.pk).exists() and not fence.fence_path(job.pk).exists()
        assert Message.objects.filter(job=job.pk).count() == 1

    def test_one_whose_upload_was_cancelled_meanwhile_leaves_nothing(
        self, program: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = create(program)["Location"]
        job = UploadJob.objects.get()
        first = spool.Appender.first

        def cancelled_before(*args: Any, **more: Any) -> spool.Appender | None:
            execution.cancel(job.pk)
            return first(*args, **more)

        monkeypatch.setattr(spool.Appender, "first", cancelled_before)
        assert patch(program, path, 0, DATA).status_code in (409, 410)
        assert not local.spool_path(job.pk).exists() and not fence.fence_path(job.pk).exists()

    def test_near_its_expiry_it_gets_time_first(self, program: Client) -> None:
        path = create(program)["Location"]
        Transfer.objects.update(expires_at=clock.now() + timedelta(seconds=60))
        assert patch(program, path, 0, DATA[:50]).status_code == 204
        assert Transfer.objects.get().generation == 1


class TestBytesAreCommittedWhileTheNextAreRead:
    BIG = bytes(range(256)) * 4096  # 1 MiB

    @pytest.fixture
    def advances(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
        """Which thread has committed which offset, and how many bytes were in the file then."""
        seen: list[tuple[str, int, int]] = []
        advance = uploads.advance

        def noted(job_id: Any, generation: int, offset: int, length: int | None) -> None:
            thread = threading.current_thread().name.partition("_")[0]
            seen.append((thread, offset, local.spooled_bytes(job_id)))
            advance(job_id, generation, offset, length)

        monkeypatch.setattr(uploads, "advance", noted)
        monkeypatch.setattr(append, "COMMIT_BYTES", 1 << 17)
        return seen

    def test_offsets_grow_step_by_step_and_the_whole_is_queued_with_its_digest(
        self, program: Client, advances: list[tuple[str, int, int]]
    ) -> None:
        path = create(program, len(self.BIG))["Location"]
        assert patch(program, path, 0, self.BIG).status_code == 204

        offsets = [offset for _thread, offset, _written in advances]
        assert len(offsets) >= 3 and offsets == sorted(set(offsets)) and offsets[-1] < len(self.BIG)
        assert {thread for thread, _offset, _written in advances} == {"tus-commit"}
        assert all(written >= offset for _thread, offset, written in advances)
        assert UploadJob.objects.get().sha256 == hashlib.sha256(self.BIG).hexdigest()

    def test_an_upload_that_is_cancelled_meanwhile_takes_no_more(
        self, program: Client, advances: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = create(program, len(self.BIG))["Location"]
        job = UploadJob.objects.get()
        noted = uploads.advance

        def cancelled(*told: Any) -> None:
            if not advances:
                execution.cancel(job.pk)
            noted(*told)

        monkeypatch.setattr(uploads, "advance", cancelled)
        assert patch(program, path, 0, self.BIG).status_code == 410
        assert len(advances) == 1 and not local.file_path(job.pk).exists()
        assert not local.spool_path(job.pk).exists()
