"""Resumable uploads without news: they expire with their bytes, or are queued where all of them are here."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.api.conftest import by_token
from tests.api.tus_client import DATA, ROOT, ask, create, head, patch
from uploads.jobs.cluster import maintenance
from uploads.jobs.lifecycle import submission
from uploads.jobs.repair import cleanup, resumables
from uploads.models import State, Transfer, UploadJob
from uploads.storage import fence, parts
from uploads.storage.kept import local

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


@pytest.fixture(autouse=True)
def _room(settings: Any) -> None:
    settings.UPLOADS_MIN_FREE = 0


@pytest.fixture
def client(owner: User) -> Client:
    return by_token(owner)


def half(client: Client) -> str:
    path: str = create(client)["Location"]
    patch(client, path, 0, DATA[:50])
    return path


def id_of(path: str) -> UUID:
    return UUID(path.rpartition("/")[2])


def last_news(seconds_ago: float) -> None:
    """As if each upload's last byte had come so long ago; expiry is after 1,000 s."""
    Transfer.objects.update(expires_at=timezone.now() + timedelta(seconds=1000 - seconds_ago))


@pytest.fixture(autouse=True)
def _expiry(settings: Any) -> None:
    settings.UPLOADS_TUS_EXPIRY = 1000


class TestExpiry:
    def test_an_expired_upload_is_given_up_with_its_bytes_and_says_so_for_a_while(
        self, client: Client
    ) -> None:
        path = half(client)
        last_news(1001)
        assert head(client, path).status_code == 410
        assert [one.job for one in resumables.expired_transfers()] == [id_of(path)]
        assert not UploadJob.objects.exists()
        assert not local.spool_path(id_of(path)).exists()
        assert not fence.fence_path(id_of(path)).exists()
        assert resumables.old_transfers() == []
        assert head(client, path).status_code == 410

        last_news(2001)
        assert len(resumables.old_transfers()) == 1
        assert head(client, path).status_code == 404

    def test_one_with_news_is_left_alone_however_old(self, client: Client) -> None:
        path = half(client)
        UploadJob.objects.update(created_at=timezone.now() - timedelta(days=9))
        os.utime(local.spool_path(id_of(path)), (0, 0))
        assert (
            resumables.expired_transfers()
            == resumables.unqueued_transfers()
            == resumables.old_transfers()
            == []
        )
        assert cleanup.partial_uploads() == [], "the plain uploads' time-out is not for resumable ones"
        assert patch(client, path, 50, DATA[50:]).status_code == 204

    def test_one_whose_client_comes_back_this_moment_is_left_alone(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = half(client)
        last_news(1001)
        seen = resumables.transaction.atomic

        def comes_back() -> Any:
            last_news(0)
            return seen()

        monkeypatch.setattr(resumables.transaction, "atomic", comes_back)
        assert resumables.expired_transfers() == []
        monkeypatch.undo()
        assert head(client, path)["Upload-Offset"] == "50"

    def test_parts_expire_though_they_are_whole(self, client: Client) -> None:
        create(client, 3, b"abc", Upload_Concat="partial")
        last_news(1001)
        assert resumables.unqueued_transfers() == []
        assert len(resumables.expired_transfers()) == 1
        assert not UploadJob.objects.exists()

    def test_a_dry_run_changes_nothing(self, client: Client) -> None:
        half(client)
        last_news(1001)
        assert len(resumables.expired_transfers(dry_run=True)) == 1
        assert UploadJob.objects.count() == 1

    def test_the_sweep_by_hand_does_it_too(self, client: Client) -> None:
        path = half(client)
        last_news(1001)
        assert id_of(path) in {one.job for one in maintenance.sweep_once(dry_run=False)}
        assert not UploadJob.objects.exists()

    def test_finished_uploads_are_forgotten_and_their_jobs_are_not(self, client: Client) -> None:
        path = create(client, data=DATA)["Location"]
        last_news(2001)
        assert len(resumables.old_transfers()) == 1
        assert UploadJob.objects.get().pk == id_of(path)
        assert head(client, path).status_code == 404


class TestCrashes:
    """A server that dies between the last byte and the queue."""

    @pytest.fixture(params=["before the rename", "after the rename"])
    def crashed(self, client: Client, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        path = half(client)

        def dies(*_values: Any, **_named: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            if request.param == "before the rename":
                patched.setattr(Path, "rename", dies)
            else:
                patched.setattr(submission, "land", dies)
            patch(client, path, 50, DATA[50:])
        assert UploadJob.objects.get().state == State.RECEIVING
        return path

    def finished(self, path: str) -> None:
        assert UploadJob.objects.get().state == State.QUEUED
        assert local.file_path(id_of(path)).read_bytes() == DATA
        assert not local.spool_path(id_of(path)).exists()

    def test_a_look_finishes_it(self, client: Client, crashed: str) -> None:
        assert head(client, crashed)["Upload-Offset"] == "100"
        self.finished(crashed)

    def test_an_empty_patch_finishes_it(self, client: Client, crashed: str) -> None:
        assert patch(client, crashed, 100, b"").status_code == 204
        self.finished(crashed)

    def test_the_sweep_finishes_it_after_a_minute_though_nobody_asks(self, crashed: str) -> None:
        last_news(50)
        assert resumables.unqueued_transfers() == []
        last_news(70)
        assert [one.job for one in resumables.unqueued_transfers(dry_run=True)] == [id_of(crashed)]
        assert [one.job for one in resumables.unqueued_transfers()] == [id_of(crashed)]
        self.finished(crashed)

    def test_the_sweep_finishes_it_rather_than_let_it_expire(self, crashed: str) -> None:
        last_news(5_000)
        assert resumables.expired_transfers() == []
        assert len(resumables.unqueued_transfers()) == 1
        self.finished(crashed)

    def test_an_upload_whose_bytes_were_taken_away_is_gone(self, client: Client) -> None:
        path = half(client)
        local.spool_path(id_of(path)).unlink()
        assert patch(client, path, 50, DATA[50:]).status_code == 410
        assert not UploadJob.objects.exists()

    def test_bytes_that_were_cut_off_by_somebody_are_never_made_up(self, client: Client) -> None:
        path = half(client)
        os.truncate(local.spool_path(id_of(path)), 10)
        assert patch(client, path, 50, DATA[50:]).status_code == 410
        assert not local.file_path(id_of(path)).exists()


class TestStrays:
    def age(self, path: Path) -> None:
        old = time.time() - 2 * resumables.STRAY_AGE
        os.utime(path, (old, old))

    def test_old_fences_without_an_upload_are_removed(self, client: Client) -> None:
        kept, lost = id_of(half(client)), uuid4()
        young = uuid4()
        for job_id in (lost, young):
            fence.Fence.open(job_id, create=True).close()
        for job_id in (kept, lost):
            self.age(fence.fence_path(job_id))
        assert [one.job for one in resumables.stray_fences(dry_run=True)] == [lost]
        assert [one.job for one in resumables.stray_fences()] == [lost]
        assert not fence.fence_path(lost).exists()
        assert fence.fence_path(kept).exists() and fence.fence_path(young).exists()

    def test_old_parts_without_their_whole_are_removed(self, client: Client) -> None:
        part = create(client, 3, b"abc", Upload_Concat="partial")["Location"]
        final = id_of(ask(client, "POST", ROOT, Upload_Concat=f"final;{part}")["Location"])
        lost = uuid4()
        parts.collect(lost, [])
        for job_id in (final, lost):
            self.age(parts.directory(job_id))
        assert [one.job for one in resumables.stray_fences()] == [lost]
        assert parts.pending(final)
