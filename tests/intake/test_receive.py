"""The two plain doors, without a server: what is refused when, and that nothing is left behind."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import RequestFactory

from uploads.codes import Refused
from uploads.intake import admission
from uploads.intake.receive import receive_multipart, receive_raw
from uploads.jobs.lifecycle import execution
from uploads.models import State, UploadJob
from uploads.storage.fsync import StorageUnavailable
from uploads.storage.kept import local

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _clean(data_dir: Path, settings: Any) -> Iterator[None]:
    settings.UPLOADS_MIN_FREE = 0
    yield
    assert admission._promised == 0, "every promise is taken back"


class Body(io.BytesIO):
    """A body that knows how much of it was read, and may end early or grow without end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece


def put(data: bytes, **headers: str) -> HttpRequest:
    return request("PUT", data, "application/octet-stream", **headers)


def request(method: str, data: bytes, content_type: str, **headers: str) -> HttpRequest:
    environ = {"wsgi.input": Body(data), "CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": content_type}
    made = RequestFactory().generic(method, "/", b"")
    made.META.update(environ | headers)
    return made


def form(*parts: tuple[str, str | None, bytes], end: bool = True) -> HttpRequest:
    out = b""
    for name, filename, data in parts:
        disposition = f'form-data; name="{name}"' + (
            f'; filename="{filename}"' if filename is not None else ""
        )
        out += f"--XX\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n"
    return request("POST", out + (b"--XX--\r\n" if end else b""), "multipart/form-data; boundary=XX")


def left_behind() -> list[Path]:
    roots = (local.spool_directory(), local.files_directory())
    return [path for root in roots if root.exists() for path in root.rglob("*") if path.is_file()]


def refusal(act: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        act()
    assert not UploadJob.objects.exists(), "a refused request leaves no row"
    assert not left_behind(), "a refused request leaves no bytes"
    return refused.value


class TestRawBody:
    def test_bytes_row_and_digest_agree(self, owner: User) -> None:
        data = b"abc" * 100_000
        job = receive_raw(put(data), owner, "../notes.txt")

        assert (job.filename, job.size, job.state) == ("notes.txt", len(data), State.QUEUED)
        assert job.sha256 == hashlib.sha256(data).hexdigest()
        assert local.file_path(job.pk).read_bytes() == data
        assert not local.spool_path(job.pk).exists()

    def test_an_empty_file_is_a_file(self, owner: User) -> None:
        assert receive_raw(put(b""), owner, "empty").size == 0

    def test_a_large_one_is_a_row_from_its_first_byte(
        self, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[str, int]] = []
        write = local.Incoming.write

        def watched(self: local.Incoming, data: bytes) -> None:
            row = UploadJob.objects.get(pk=self.job_id)
            seen.append((row.state, row.size))
            write(self, data)

        monkeypatch.setattr(local.Incoming, "write", watched)
        job = receive_raw(put(bytes(9 * MIB)), owner, "big.bin")
        assert set(seen) == {(State.RECEIVING, 9 * MIB)}
        assert UploadJob.objects.get().pk == job.pk

    @pytest.mark.parametrize("size", [1000, 9 * MIB])
    def test_a_body_cut_short_leaves_nothing(self, owner: User, size: int) -> None:
        cut = put(bytes(size), CONTENT_LENGTH=str(size + 1))
        assert refusal(lambda: receive_raw(cut, owner, "a")).code == "incomplete_body"

    def test_a_matching_digest_makes_a_length_unnecessary(self, owner: User) -> None:
        digest = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
        chunked = put(b"hello", HTTP_TRANSFER_ENCODING="chunked", HTTP_CONTENT_DIGEST=f"sha-256=:{digest}:")
        assert receive_raw(chunked, owner, "a").size == 5

    def test_a_chunked_body_that_was_cut_does_not_match(self, owner: User) -> None:
        digest = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
        cut = put(b"hell", HTTP_TRANSFER_ENCODING="chunked", HTTP_CONTENT_DIGEST=f"sha-256=:{digest}:")
        assert refusal(lambda: receive_raw(cut, owner, "a")).code == "digest_mismatch"

    def test_a_chunked_body_over_the_limit_is_stopped_on_the_way(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_MAX_SIZE = MIB
        endless = put(
            bytes(20 * MIB), HTTP_TRANSFER_ENCODING="chunked",
            HTTP_CONTENT_DIGEST=f"sha-256=:{base64.b64encode(bytes(32)).decode()}:",
        )  # fmt: skip
        assert refusal(lambda: receive_raw(endless, owner, "a")).code == "too_large"
        assert endless.META["wsgi.input"].taken < 3 * MIB


REFUSED_UNREAD = [
    ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, "length_required", 411),
    ({"CONTENT_LENGTH": ""}, "length_required", 411),
    ({"CONTENT_LENGTH": "+5"}, "invalid_request", 400),
    ({"CONTENT_LENGTH": "-5"}, "invalid_request", 400),
    ({"CONTENT_LENGTH": "٣"}, "invalid_request", 400),
    ({"CONTENT_LENGTH": str(1 << 60)}, "too_large", 413),
    ({"HTTP_CONTENT_ENCODING": "gzip"}, "unsupported_encoding", 415),
    ({"HTTP_CONTENT_DIGEST": "sha-256=:AAAA:"}, "invalid_request", 400),
    ({"HTTP_CONTENT_DIGEST": "sha-256=:A:"}, "invalid_request", 400),
]


@pytest.mark.parametrize(("headers", "code", "status"), REFUSED_UNREAD)
def test_what_headers_give_away_is_refused_unread(
    owner: User, headers: dict[str, str], code: str, status: int
) -> None:
    sent = put(b"x" * 100, **headers)
    refused = refusal(lambda: receive_raw(sent, owner, "a"))
    assert (refused.code, refused.status) == (code, status)
    assert sent.META["wsgi.input"].taken == 0


class TestRoom:
    def refused_unread(self, owner: User, size: int = 100) -> Refused:
        sent = put(b"x" * size)
        refused = refusal(lambda: receive_raw(sent, owner, "a"))
        assert sent.META["wsgi.input"].taken == 0
        return refused

    def test_a_full_queue(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_MAX_QUEUED = 0
        refused = self.refused_unread(owner)
        assert (refused.code, refused.status, refused.retry_after) == ("queue_full", 503, 60)

    def test_an_owners_share_of_the_queue(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_USER_MAX_QUEUED = 0
        assert self.refused_unread(owner).status == 429

    def test_an_owners_quota(self, owner: User, colleague: User, settings: Any) -> None:
        settings.UPLOADS_USER_QUOTA = 99
        assert self.refused_unread(owner).code == "quota_exceeded"
        settings.UPLOADS_USER_QUOTA = 100
        receive_raw(put(b"x" * 100), colleague, "another's files do not count")
        receive_raw(put(b"x" * 100), owner, "a")

    def test_a_disk_with_too_little_left(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_MIN_FREE = 1 << 60
        assert self.refused_unread(owner).status == 507

    def test_bytes_promised_to_others_are_not_free(
        self, owner: User, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local, "free_bytes", lambda: 1000)
        execution.open_upload(owner.pk, "coming.bin", "", 950)
        with pytest.raises(Refused) as refused:
            receive_raw(put(b"x" * 100), owner, "a")
        assert refused.value.code == "disk_full"
        receive_raw(put(b"x" * 50), owner, "a")

    def test_bodies_take_at_most_three_quarters_of_the_threads(
        self, owner: User, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.UPLOADS_WEB_THREADS = 4
        monkeypatch.setattr(admission, "_slots", None)
        with (
            admission.room_for_body(owner.pk, 1),
            admission.room_for_body(owner.pk, 1),
            admission.room_for_body(owner.pk, 1),
        ):
            assert self.refused_unread(owner).code == "too_busy"
        receive_raw(put(b"x"), owner, "a")

    def test_the_last_place_is_given_once(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_MAX_QUEUED = 1
        other = execution.Landed(uuid4(), "b", "", 1, "0" * 64)

        class Racing(Body):
            def read(self, size: int | None = -1, /) -> bytes:
                if not UploadJob.objects.exists():
                    execution.accept(owner.pk, [other])
                return super().read(size)

        second = put(b"x" * 10)
        second.META["wsgi.input"] = Racing(b"x" * 10)
        with pytest.raises(Refused) as refused:
            receive_raw(second, owner, "a")
        assert refused.value.code == "queue_full"
        assert UploadJob.objects.count() == 1
        assert not left_behind()


class TestForm:
    def test_all_files_come_in_one_commit_in_their_order(self, owner: User) -> None:
        jobs = receive_multipart(
            form(("note", None, b"hi"), ("file", "b.txt", b"bb"), ("file", "a.txt", b"")), owner
        )
        assert [(job.filename, job.size) for job in jobs] == [("b.txt", 2), ("a.txt", 0)]
        assert local.file_path(jobs[0].pk).read_bytes() == b"bb"

    def test_a_part_that_grows_large_becomes_a_row_while_it_comes(self, owner: User) -> None:
        jobs = receive_multipart(form(("file", "big", bytes(9 * MIB)), ("file", "small", b"x")), owner)
        assert [(job.state, job.size) for job in jobs] == [(State.QUEUED, 9 * MIB), (State.QUEUED, 1)]

    def test_one_file_too_large_refuses_all_and_is_named(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_MAX_SIZE = 100
        refused = refusal(
            lambda: receive_multipart(form(("file", "ok.txt", b"x"), ("file", "fat.txt", bytes(101))), owner)
        )
        assert refused.code == "too_large"
        assert "fat.txt" in refused.detail

    def test_a_large_file_among_those_refused_leaves_no_row(self, owner: User, settings: Any) -> None:
        settings.UPLOADS_MAX_SIZE = 10 * MIB
        refusal(
            lambda: receive_multipart(
                form(("file", "big", bytes(9 * MIB)), ("file", "fat", bytes(11 * MIB))), owner
            )
        )

    @pytest.mark.parametrize(
        "parts", [(), (("file", "", b""),), (("note", None, b"x"),), (("upload", "a.txt", b"x"),)]
    )
    def test_a_form_without_a_file_is_refused(self, owner: User, parts: Any) -> None:
        if parts == (("file", "", b""),):
            sent = form()
            raw = (
                b'--XX\r\nContent-Disposition: form-data; name="file"; filename=""\r\n'
                b"Content-Type: application/octet-stream\r\n\r\n\r\n--XX--\r\n"
            )
            sent = request("POST", raw, "multipart/form-data; boundary=XX")
        else:
            sent = form(*parts)
        assert refusal(lambda: receive_multipart(sent, owner)).code == "invalid_request"

    def test_a_cut_form_leaves_nothing(self, owner: User) -> None:
        whole = form(("file", "a.txt", b"a"), ("file", "b.txt", bytes(9 * MIB)))
        whole.META["wsgi.input"] = Body(whole.META["wsgi.input"].getvalue()[:-100])
        assert refusal(lambda: receive_multipart(whole, owner)).code == "incomplete_body"

    def test_a_form_without_its_end_is_refused(self, owner: User) -> None:
        sent = form(("file", "a.txt", b"a"), end=False)
        assert refusal(lambda: receive_multipart(sent, owner)).code == "invalid_request"

    @pytest.mark.parametrize(
        "content_type", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 71]
    )
    def test_what_is_no_form_is_refused(self, owner: User, content_type: str) -> None:
        sent = request("POST", b"x", content_type)
        assert refusal(lambda: receive_multipart(sent, owner)).code == "invalid_request"

    def test_fields_and_headers_are_bounded(self, owner: User) -> None:
        for sent in (
            form(*[("f", None, b"x")] * 30),
            form(("f", None, bytes(5_000))),
            form(("f" * 9_000, "a", b"x")),
        ):
            assert refusal(lambda sent=sent: receive_multipart(sent, owner)).code in {
                "invalid_request", "too_large",
            }  # fmt: skip

    def test_without_script_the_token_must_come_first(self, owner: User) -> None:
        late = form(("file", "a.txt", b"a"), ("csrfmiddlewaretoken", None, b"t" * 64))
        assert refusal(lambda: receive_multipart(late, owner, form_token=True)).code == "csrf_failed"
        wrong = form(("csrfmiddlewaretoken", None, b"t" * 64), ("file", "a.txt", b"a"))
        assert refusal(lambda: receive_multipart(wrong, owner, form_token=True)).code == "csrf_failed"

    def test_without_script_the_right_token_opens_the_door(self, owner: User) -> None:
        token = "s" * 32
        sent = form(("csrfmiddlewaretoken", None, token.encode()), ("file", "a.txt", b"a"))
        sent.COOKIES["csrftoken"] = token
        (job,) = receive_multipart(sent, owner, form_token=True)
        assert job.filename == "a.txt"


@pytest.mark.parametrize(
    ("full", "code", "status"), [(True, "disk_full", 507), (False, "storage_unavailable", 503)]
)
def test_a_disk_that_gives_up_in_mid_body_leaves_nothing(
    owner: User, monkeypatch: pytest.MonkeyPatch, full: bool, code: str, status: int
) -> None:
    def broken(_self: local.Incoming, _data: bytes) -> None:
        raise StorageUnavailable("storage: no", full=full)

    monkeypatch.setattr(local.Incoming, "write", broken)
    refused = refusal(lambda: receive_raw(put(bytes(9 * MIB)), owner, "a"))
    assert (refused.code, refused.status) == (code, status)


def test_an_upload_cancelled_while_it_comes_is_refused_and_stays_cancelled(owner: User) -> None:
    class Cancelling(Body):
        def read(self, size: int | None = -1, /) -> bytes:
            row = UploadJob.objects.get()
            if row.state == State.RECEIVING:
                execution.cancel(row.pk)
            return super().read(size)

    sent = put(bytes(9 * MIB))
    sent.META["wsgi.input"] = Cancelling(bytes(9 * MIB))
    with pytest.raises(Refused) as refused:
        receive_raw(sent, owner, "a")
    assert refused.value.code == "wrong_state"
    assert UploadJob.objects.get().state == State.CANCELLED
    assert not left_behind()
