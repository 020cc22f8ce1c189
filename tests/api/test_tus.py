"""Resumable uploads over tus 1.0.0, verb by verb."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from uploads.models import State, UploadJob
from uploads.storage import disk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]

ROOT = "/api/tus/"
DATA = b"0123456789" * 10


@pytest.fixture(autouse=True)
def _room(settings: Any) -> None:
    settings.UPLOADS_MIN_FREE = 0


def ask(client: Client, method: str, path: str, data: bytes = b"", **headers: str | None) -> Any:
    """A request with `Tus-Resumable`; a header is written with underscores, None leaves one out."""
    sent = {"Tus-Resumable": "1.0.0"} | {k.replace("_", "-"): v for k, v in headers.items()}
    kind = sent.pop("Content-Type", "application/offset+octet-stream" if data else None)
    return client.generic(
        method, path, data, content_type=kind or "", headers={k: v for k, v in sent.items() if v is not None}
    )


def create(client: Client, length: int = len(DATA), data: bytes = b"", **headers: str | None) -> Any:
    return ask(client, "POST", ROOT, data, **({"Upload_Length": str(length)} | headers))


def patch(client: Client, path: str, offset: int, data: bytes, **headers: str | None) -> Any:
    return ask(client, "PATCH", path, data, **({"Upload_Offset": str(offset)} | headers))


def head(client: Client, path: str) -> Any:
    return ask(client, "HEAD", path)


def test_an_upload_is_its_job_from_the_first_byte_to_the_queue(program: Client) -> None:
    made = create(program, Upload_Metadata="filename YS50eHQ=,filetype dGV4dC9wbGFpbg==")
    assert made.status_code == 201, made.content
    path = made["Location"]
    job = UploadJob.objects.get()
    assert (path, job.state) == (f"{ROOT}{job.pk}", State.RECEIVING)
    assert (job.filename, job.size, job.declared_type) == ("a.txt", len(DATA), "text/plain")
    assert head(program, path)["Upload-Offset"] == "0"

    assert patch(program, path, 0, DATA[:30])["Upload-Offset"] == "30"
    assert head(program, path)["Upload-Offset"] == "30"
    last = patch(program, path, 30, DATA[30:])
    assert (last.status_code, last["Upload-Offset"]) == (204, "100")
    job.refresh_from_db()
    assert job.state == State.QUEUED
    assert disk.file_path(job.pk).read_bytes() == DATA
    assert not disk.spool_path(job.pk).exists()


def test_the_digest_is_known_at_once_when_all_bytes_come_together(program: Client) -> None:
    path = create(program)["Location"]
    patch(program, path, 0, DATA)
    assert UploadJob.objects.get().sha256 == hashlib.sha256(DATA).hexdigest()
