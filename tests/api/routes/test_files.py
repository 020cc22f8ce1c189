"""Downloads: whole, in part, not again; and nothing in them that could run in our origin."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests.api.conftest import body, by_token, problem_of, url
from tests.factories import make_artifact, make_job
from uploads.api.routes import files
from uploads.models import UploadJob
from uploads.storage.kept import local

DATA = bytes(range(256)) * 4096  # 1 MiB: several chunks

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.fixture
def job(owner: User) -> UploadJob:
    return make_job("succeeded", owner, data=DATA, filename="a.bin")


def test_the_file_comes_back_as_it_was_sent(program: Client, job: UploadJob) -> None:
    response = program.get(url(job, "/file"))
    assert response.status_code == 200
    assert body(response) == DATA
    assert response["Content-Length"] == str(len(DATA))
    assert response["ETag"] == f'"{job.sha256}"'
    assert response["Accept-Ranges"] == "bytes"
    assert "Last-Modified" in response


def test_a_file_can_never_run_in_our_origin(program: Client, owner: User) -> None:
    page = make_job("queued", owner, data=b"<script>", filename="a.html", content_type="text/html")
    response = program.get(url(page, "/file"))
    assert body(response) == b"<script>"
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == 'attachment; filename="a.html"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_an_original_is_an_attachment_even_if_its_type_may_be_shown(program: Client, owner: User) -> None:
    picture = make_job("succeeded", owner, data=b"x", filename="a.png", content_type="image/png")
    response = program.get(url(picture, "/file"))
    assert body(response) == b"x"
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("kind", "sent_as", "shown"),
    [
        ("image/webp", "image/webp", "inline"),
        ("text/html", "application/octet-stream", "attachment"),
        ("image/svg+xml", "application/octet-stream", "attachment"),
    ],
)
def test_only_artifacts_of_listed_types_are_shown(
    kind: str, sent_as: str, shown: str, program: Client, job: UploadJob
) -> None:
    artifact = make_artifact(job, "preview", content_type=kind)
    path = local.artifact_path(job.pk, artifact.attempt, artifact.name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"derived")
    response = program.get(url(job, "/artifacts/preview"))
    assert body(response) == b"derived"
    assert response["Content-Type"] == sent_as
    assert response["Content-Disposition"] == f'{shown}; filename="preview"'
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize("name", ["nothing", "..%2f..%2fsecret_key", "%00", "preview%0a"])
def test_what_is_no_artifact_of_the_job_is_not_found(name: str, program: Client, job: UploadJob) -> None:
    problem_of(program.get(url(job, f"/artifacts/{name}")), 404, "not_found")


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=300000-600000", 300_000, 600_001), ("bytes=-7", len(DATA) - 7, len(DATA))],
)
def test_a_range_is_sent_alone(wanted: str, start: int, end: int, program: Client, job: UploadJob) -> None:
    response = program.get(url(job, "/file"), headers={"Range": wanted})
    assert response.status_code == 206
    assert body(response) == DATA[start:end]
    assert response["Content-Length"] == str(end - start)
    assert response["Content-Range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
    assert response["ETag"] == f'"{job.sha256}"'


def test_several_ranges_are_answered_with_the_whole_file(program: Client, job: UploadJob) -> None:
    response = program.get(url(job, "/file"), headers={"Range": "bytes=0-1,5-6"})
    assert response.status_code == 200
    assert body(response) == DATA


def test_a_range_behind_the_end_is_refused_with_the_size(program: Client, job: UploadJob) -> None:
    response = program.get(url(job, "/file"), headers={"Range": f"bytes={len(DATA)}-"})
    problem_of(response, 416, "range_not_satisfiable")
    assert response["Content-Range"] == f"bytes */{len(DATA)}"


def test_a_download_is_resumed_only_while_the_file_is_the_same(program: Client, job: UploadJob) -> None:
    modified = program.head(url(job, "/file"))["Last-Modified"]
    for validator, status in [
        (f'"{job.sha256}"', 206),
        (modified, 206),
        ('"another"', 200),
        (f'W/"{job.sha256}"', 200),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 200),
    ]:
        headers = {"Range": "bytes=5-", "If-Range": validator}
        response = program.get(url(job, "/file"), headers=headers)
        assert response.status_code == status, validator
        assert body(response) == (DATA[5:] if status == 206 else DATA)


def test_what_the_client_has_is_not_sent_again(program: Client, job: UploadJob) -> None:
    response = program.get(url(job, "/file"), headers={"If-None-Match": f'"{job.sha256}"'})
    assert response.status_code == 304
    assert body(response) == b""
    assert response["ETag"] == f'"{job.sha256}"'


def test_a_failed_precondition_is_a_problem(program: Client, job: UploadJob) -> None:
    response = program.get(url(job, "/file"), headers={"If-Match": '"another"'})
    problem_of(response, 412, "precondition_failed")


def test_head_tells_the_size_and_sends_no_byte_not_even_of_a_range(program: Client, job: UploadJob) -> None:
    response = program.head(url(job, "/file"), headers={"Range": "bytes=0-9"})
    assert response.status_code == 200
    assert response["Content-Length"] == str(len(DATA))
    assert body(response) == b""


def test_an_empty_file_is_sent_and_has_no_range(program: Client, owner: User) -> None:
    empty = make_job("queued", owner, data=b"")
    response = program.get(url(empty, "/file"))
    assert (response.status_code, response["Content-Length"], body(response)) == (200, "0", b"")
    problem_of(program.get(url(empty, "/file"), headers={"Range": "bytes=0-"}), 416, "range_not_satisfiable")


def test_a_file_that_is_still_coming_cannot_be_had(program: Client, owner: User) -> None:
    problem_of(program.get(url(make_job("receiving", owner), "/file")), 409, "wrong_state")


def test_a_file_that_is_gone_is_not_found(program: Client, job: UploadJob) -> None:
    local.file_path(job.pk).unlink()
    problem_of(program.get(url(job, "/file")), 404, "not_found")


def test_a_disk_that_does_not_answer_is_our_fault(program: Client, job: UploadJob) -> None:
    path = local.file_path(job.pk)
    path.unlink()
    path.mkdir()  # opening it fails, whoever we are
    response = program.get(url(job, "/file"))
    problem_of(response, 503, "storage_unavailable")
    assert response["Retry-After"] == "30"


def open_files() -> set[str]:
    """The kept files that this process has open."""
    links = (entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.exists())
    return {str(link) for link in links if "/files/" in str(link)}


def test_a_file_is_closed_when_its_download_ends_or_breaks_off(program: Client, job: UploadJob) -> None:
    for headers in ({}, {"Range": "bytes=0-0"}, {"Range": "bytes=9999999-"}, {"If-None-Match": "*"}):
        program.get(url(job, "/file"), headers=headers).close()
    body(program.get(url(job, "/file")))
    assert open_files() == set()


@pytest.mark.django_db(transaction=True)
def test_no_database_connection_is_held_while_a_file_is_sent(owner: User, data_dir: Path) -> None:
    job = make_job("succeeded", owner, data=DATA)
    response = by_token(owner).get(url(job, "/file"))
    assert connection.connection is None
    assert body(response) == DATA


def test_a_download_takes_a_chunk_of_memory_at_a_time(program: Client, job: UploadJob) -> None:
    sizes = [len(piece) for piece in program.get(url(job, "/file"))]
    assert max(sizes) == files.CHUNK
    assert len(sizes) == len(DATA) // files.CHUNK


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", 'attachment; filename="a.txt"'),
        ('say "hi"\\.txt', 'attachment; filename="say \\"hi\\"\\\\.txt"'),
        ("Übung.pdf", "attachment; filename=\"Ubung.pdf\"; filename*=utf-8''%C3%9Cbung.pdf"),
        ("東京", "attachment; filename=\"file\"; filename*=utf-8''%E6%9D%B1%E4%BA%AC"),
        ("100%41.txt", "attachment; filename=\"100_41.txt\"; filename*=utf-8''100%2541.txt"),
        ("a\r\nSet-Cookie: b", 'attachment; filename="aSet-Cookie: b"'),
        ("\u202egnp.exe", 'attachment; filename="gnp.exe"'),
        ("", 'attachment; filename="file"'),
        ("名前.pdf", "attachment; filename=\"file.pdf\"; filename*=utf-8''%E5%90%8D%E5%89%8D.pdf"),
        (".profile", "attachment; filename=\"profile\"; filename*=utf-8''.profile"),
    ],
)
def test_a_name_reaches_old_and_new_clients_and_breaks_no_header(name: str, header: str) -> None:
    assert files.disposition(name, attachment=True) == header
