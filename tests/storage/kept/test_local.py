"""The home of bytes on the local disk."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from uploads.storage.fsync import StorageUnavailable
from uploads.storage.kept import local


def test_two_may_remove_a_jobs_bytes_at_the_same_time(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = uuid4()
    attempt = local.open_attempt(job_id, 1)
    (attempt / "thumbnail.webp").write_bytes(b"x")
    remove = shutil.rmtree

    def raced(path: Path) -> None:
        remove(path / "1")  # a worker clears its attempt while a delete is on its way through
        monkeypatch.setattr(shutil, "rmtree", remove)
        raise FileNotFoundError(path / "1")

    monkeypatch.setattr(shutil, "rmtree", raced)
    local.remove_job(job_id)
    assert not attempt.parent.exists()


class TestAFileOnItsWayIn:
    @pytest.fixture
    def incoming(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[local.Incoming]:
        monkeypatch.setattr(local, "FLUSH_BYTES", 4)
        made = local.Incoming(uuid4())
        yield made
        made.discard()

    def test_is_sent_to_the_disk_while_more_comes(
        self, incoming: local.Incoming, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flushed, sync = threading.Event(), os.fdatasync
        monkeypatch.setattr(os, "fdatasync", lambda handle: (sync(handle), flushed.set()))
        incoming.write(b"abc")
        assert not flushed.is_set()
        incoming.write(b"def")
        assert flushed.wait(10)
        incoming.keep()
        assert local.file_path(incoming.job_id).read_bytes() == b"abcdef"

    def test_what_went_wrong_meanwhile_is_told_before_anybody_is_told_that_it_is_kept(
        self, incoming: local.Incoming, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(_handle: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", fails)  # the kernel tells it once: the next sync would succeed
        incoming.write(b"abcdef")
        with pytest.raises(StorageUnavailable):
            incoming.keep()
