"""The home of bytes on the local disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from uploads.storage import disk


def test_two_may_remove_a_jobs_bytes_at_the_same_time(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = uuid4()
    attempt = disk.open_attempt(job_id, 1)
    (attempt / "thumbnail.webp").write_bytes(b"x")
    remove = shutil.rmtree

    def raced(path: Path) -> None:
        remove(path / "1")  # a worker clears its attempt while a delete is on its way through
        monkeypatch.setattr(shutil, "rmtree", remove)
        raise FileNotFoundError(path / "1")

    monkeypatch.setattr(shutil, "rmtree", raced)
    disk.remove_job(job_id)
    assert not attempt.parent.exists()
