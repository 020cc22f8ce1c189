"""What honest but unusual clients send through the plain doors, and what a cunning one tries."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest

from tests.intake.test_receive import MIB, form, put, refusal, request
from uploads.intake import admission
from uploads.intake.receive import receive_multipart, receive_raw
from uploads.models import UploadJob
from uploads.storage.kept import local

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _clean(data_dir: Path, settings: Any) -> Iterator[None]:
    settings.UPLOADS_MIN_FREE = 0
    yield
    assert admission._promised == 0, "every promise is taken back"


def member(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def chunked(data: bytes, digest: str = "") -> HttpRequest:
    return put(data, HTTP_TRANSFER_ENCODING="chunked", HTTP_CONTENT_DIGEST=digest or member(data))


class TestABodyWithoutALength:
    def test_takes_no_more_than_the_quota_on_its_way(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_USER_QUOTA = 10 * MIB
        sent = chunked(bytes(30 * MIB))
        assert refusal(lambda: receive_raw(sent, owner, "a")).code == "quota_exceeded"
        assert sent.META["wsgi.input"].taken < 10 * MIB, "nor is much more of it read"

    def test_takes_no_more_than_the_disk_has_on_its_way(
        self, owner: User, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.UPLOADS_MIN_FREE = MIB
        whole = 20 * MIB

        def free() -> int:
            return whole - sum(path.stat().st_size for path in local.spool_directory().glob("*"))

        monkeypatch.setattr(local, "free_bytes", free)
        assert refusal(lambda: receive_raw(chunked(bytes(30 * MIB)), owner, "a")).code == "disk_full"

    def test_is_shown_and_reserved_as_it_grows_and_counted_at_its_end(
        self, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reserved: set[int] = set()
        write = local.Incoming.write

        def watched(self: local.Incoming, data: bytes) -> None:
            size = UploadJob.objects.get(pk=self.job_id).size
            assert self.size + len(data) <= size, "no byte comes that was not reserved"
            reserved.add(size)
            write(self, data)

        monkeypatch.setattr(local.Incoming, "write", watched)
        job = receive_raw(chunked(bytes(20 * MIB)), owner, "a")
        assert reserved == {8 * MIB, 16 * MIB, 24 * MIB}
        assert (job.size, UploadJob.objects.get().size) == (20 * MIB, 20 * MIB)

    def test_cancelled_as_it_grows_is_refused(self, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
        write = local.Incoming.write

        def gone(self: local.Incoming, data: bytes) -> None:
            write(self, data)
            UploadJob.objects.filter(pk=self.job_id).delete()

        monkeypatch.setattr(local.Incoming, "write", gone)
        assert refusal(lambda: receive_raw(chunked(bytes(9 * MIB)), owner, "a")).code == "wrong_state"

    def test_of_a_digest_told_twice_the_last_counts(self, owner: User) -> None:
        # RFC 8941, section 4.2.2: a key that comes again overwrites what was there.
        right, wrong = member(b"hello"), member(b"other")
        twice = chunked(b"hello", f"{right}, {wrong}")
        assert refusal(lambda: receive_raw(twice, owner, "a")).code == "digest_mismatch"
        assert receive_raw(chunked(b"hello", f"{wrong}, {right}"), owner, "a").size == 5


def test_a_part_of_a_file_does_not_pass_for_the_whole(owner: User) -> None:
    # As `curl -T big.csv -C 100` sends it.
    sent = put(b"the rest", HTTP_CONTENT_RANGE="bytes 100-107/108")
    assert refusal(lambda: receive_raw(sent, owner, "big.csv")).code == "invalid_request"
    assert sent.META["wsgi.input"].taken == 0


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="f\xfcr.txt"'.encode("latin-1"), "für.txt"),
        ('filename="für.txt"'.encode(), "für.txt"),
        ('filename="€.txt"'.encode(), "€.txt"),
        (b"filename*=UTF-8''%e2%82%ac.txt", "€.txt"),
        (b"filename*=iso-8859-1'en'f%fcr.txt", "für.txt"),
        (b"filename=\"=?utf-8?B?4oKs?=\"; filename*=utf-8''%e2%82%ac.txt", "€.txt"),  # .NET
        (b"filename=\"x.txt\"; filename*=klingon''y", "x.txt"),
        (b'filename="\xff\xfe\x00.txt"', "ÿþ.txt"),
    ],
)
def test_a_name_in_any_encoding_never_fails_a_form(owner: User, disposition: bytes, name: str) -> None:
    head = b'--XX\r\nContent-Disposition: form-data; name="file"; ' + disposition
    sent = request("POST", head + b"\r\n\r\nhello\r\n--XX--\r\n", "multipart/form-data; boundary=XX")
    (job,) = receive_multipart(sent, owner)
    assert (job.filename, job.size) == (name, 5)


def nameless(data: bytes) -> bytes:
    head = (
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n"
    )
    return head + data + b"\r\n"


def test_a_file_without_a_name_is_a_file_where_it_has_content(owner: User) -> None:
    # As `curl -F "file=@a.bin;filename="` sends it.
    sent = request("POST", nameless(b"hello") + b"--XX--\r\n", "multipart/form-data; boundary=XX")
    (job,) = receive_multipart(sent, owner)
    assert (job.filename, job.size) == ("unnamed", 5)


def test_a_field_left_empty_is_no_file_wherever_it_stands(owner: User) -> None:
    named = form(("file", "a.txt", b"a"), end=False).META["wsgi.input"].getvalue()
    sent = request("POST", named + nameless(b"") + b"--XX--\r\n", "multipart/form-data; boundary=XX")
    (job,) = receive_multipart(sent, owner)
    assert job.filename == "a.txt"
