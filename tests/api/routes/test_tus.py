"""Resumable uploads over tus 1.0.0: every verb, with headers that are right, wrong, missing and repeated."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django.utils.http import parse_http_date

from tests.api.conftest import by_session, by_token, problem_of
from tests.api.tus_client import DATA, ROOT, ask, b64, create, head, patch, sha256
from uploads.intake.tus.headers import EXTENSIONS
from uploads.jobs.lifecycle import execution
from uploads.models import State, Transfer, UploadJob
from uploads.storage import fence
from uploads.storage.kept import local

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


@pytest.fixture(autouse=True)
def _room(settings: Any) -> None:
    settings.UPLOADS_MIN_FREE = 0


class TestTheStory:
    def test_an_upload_is_its_job_from_the_first_byte_to_the_queue(self, program: Client) -> None:
        made = create(program, Upload_Metadata="filename YS50eHQ=,filetype dGV4dC9wbGFpbg==")
        path = made["Location"]
        job = UploadJob.objects.get()
        assert (made.status_code, path, job.state) == (201, f"{ROOT}{job.pk}", State.RECEIVING)
        assert (job.filename, job.size, job.declared_type) == ("a.txt", len(DATA), "text/plain")

        assert patch(program, path, 0, DATA[:30])["Upload-Offset"] == "30"
        assert head(program, path)["Upload-Offset"] == "30"
        job.refresh_from_db()
        assert (job.state, job.progress) == (State.RECEIVING, 30)
        last = patch(program, path, 30, DATA[30:])
        assert (last.status_code, last["Upload-Offset"]) == (204, "100")
        job.refresh_from_db()
        assert (job.state, job.progress, job.size) == (State.QUEUED, 0, len(DATA))
        assert local.file_path(job.pk).read_bytes() == DATA
        assert not local.spool_path(job.pk).exists()
        assert not fence.fence_path(job.pk).exists()

    def test_the_digest_is_known_at_once_when_all_bytes_come_together(self, program: Client) -> None:
        patch(program, create(program)["Location"], 0, DATA)
        assert UploadJob.objects.get().sha256 == hashlib.sha256(DATA).hexdigest()

    def test_the_digest_is_left_to_the_worker_when_they_do_not(self, program: Client) -> None:
        path = create(program)["Location"]
        patch(program, path, 0, DATA[:1])
        patch(program, path, 1, DATA[1:])
        assert UploadJob.objects.get().sha256 == ""
        assert program.get(f"/api/jobs/{UploadJob.objects.get().pk}").json()["sha256"] is None

    def test_all_bytes_may_come_with_the_creation(self, program: Client) -> None:
        made = create(program, data=DATA)
        assert (made.status_code, made["Upload-Offset"]) == (201, "100")
        assert "Upload-Expires" not in made
        job = UploadJob.objects.get()
        assert (job.state, job.sha256) == (State.QUEUED, hashlib.sha256(DATA).hexdigest())

    def test_some_bytes_may_come_with_the_creation(self, program: Client) -> None:
        made = create(program, data=DATA[:40])
        assert made["Upload-Offset"] == "40"
        patch(program, made["Location"], 40, DATA[40:])
        assert local.file_path(UploadJob.objects.get().pk).read_bytes() == DATA

    def test_an_empty_upload_is_complete_when_it_is_created(self, program: Client) -> None:
        made = create(program, 0)
        assert (made.status_code, made["Upload-Offset"]) == (201, "0")
        job = UploadJob.objects.get()
        assert (job.state, local.file_path(job.pk).stat().st_size) == (State.QUEUED, 0)
        assert head(program, made["Location"])["Upload-Length"] == "0"

    def test_the_last_patch_repeated_makes_one_job(self, program: Client) -> None:
        path = create(program)["Location"]
        patch(program, path, 0, DATA)
        problem_of(patch(program, path, 0, DATA), 409, "offset_mismatch")
        found = head(program, path)
        assert (found["Upload-Offset"], found["Upload-Length"]) == ("100", "100")
        assert patch(program, path, 100, b"").status_code == 204
        assert UploadJob.objects.count() == 1

    def test_an_upload_of_a_page_needs_its_token_in_a_header(self, owner: User) -> None:
        page = by_session(owner)
        path = create(page)["Location"]
        assert patch(page, path, 0, DATA).status_code == 204
        stranger = by_session(owner)
        problem_of(ask(stranger, "POST", ROOT, Upload_Length="1", X_CSRFToken="b" * 32), 403, "csrf_failed")
        problem_of(ask(stranger, "DELETE", path, X_CSRFToken=""), 403, "csrf_failed")
        disguised = {"X_HTTP_Method_Override": "DELETE", "X_CSRFToken": ""}
        problem_of(ask(stranger, "POST", path, **disguised), 403, "csrf_failed")
        assert head(stranger, path).status_code == 200


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Case:
    """A request against an upload in some `stage`, and what must come of it."""

    what: str
    method: str
    stage: str = "half"
    headers: dict[str, str | None] = field(default_factory=dict)
    data: bytes = b""
    status: int = 204
    code: str = ""
    told: dict[str, str] = field(default_factory=dict)
    offset: int | None = None  # where the upload is afterwards


def stage(name: str, owner: User, colleague: User) -> str:
    """The path of an upload: fresh, half (50 of 100 bytes), whole, deferred, part, final, and the lost ones."""
    client = by_token(colleague if name == "foreign" else owner)
    if name == "unknown":
        return f"{ROOT}{uuid4()}"
    if name == "misspelt":
        return f"{ROOT}not-an-id"
    if name == "deferred":
        path: str = create(client, None, Upload_Defer_Length="1")["Location"]
        patch(client, path, 0, DATA[:50])
        return path
    if name in ("part", "whole part", "final", "used part"):
        path = create(client, Upload_Concat="partial")["Location"]
        patch(client, path, 0, DATA[:50] if name == "part" else DATA)
        if name in ("final", "used part"):
            final = ask(client, "POST", ROOT, Upload_Concat=f"final;{path}")["Location"]
            path = final if name == "final" else path
        return path
    path = create(client, Upload_Metadata="filename YS50eHQ=")["Location"]
    job_id = UploadJob.objects.get().pk
    if name != "fresh":
        patch(client, path, 0, DATA if name in ("whole", "whole and deleted") else DATA[:50])
    if name in ("deleted", "whole and deleted"):
        execution.delete(job_id)
    if name == "cancelled":
        execution.cancel(job_id)
    if name == "expired":
        Transfer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    return path


def P(
    what: str, stage: str, offset: str | None, data: bytes, status: int, code: str = "", **more: Any
) -> Case:
    """A PATCH."""
    told = more.pop("told", {})
    left = more.pop("left", None)
    headers = {"Upload-Offset": offset} | {key.replace("_", "-"): value for key, value in more.items()}
    return Case(what, "PATCH", stage, headers, data, status, code, told, left)


def C(
    what: str, status: int, code: str = "", data: bytes = b"", told: Any = None, **headers: str | None
) -> Case:
    """A creation."""
    return Case(
        what, "POST", "", {key.replace("_", "-"): value for key, value in headers.items()}, data, status, code,
        told or {},
    )  # fmt: skip


REST = DATA[50:]
GOOD = f"sha256 {b64(hashlib.sha256(REST).digest())}"
TABLE = [
    # HEAD
    Case("of a fresh upload", "HEAD", "fresh", status=200,
         told={"Upload-Offset": "0", "Upload-Length": "100", "Upload-Metadata": "filename YS50eHQ="}),
    Case("of half an upload", "HEAD", "half", status=200, told={"Upload-Offset": "50", "Upload-Length": "100"}),
    Case("of a whole upload", "HEAD", "whole", status=200, told={"Upload-Offset": "100", "Upload-Length": "100"}),
    Case("of one of unknown length", "HEAD", "deferred", status=200,
         told={"Upload-Offset": "50", "Upload-Defer-Length": "1"}),
    Case("of a part", "HEAD", "part", status=200, told={"Upload-Offset": "50", "Upload-Concat": "partial"}),
    Case("of a final", "HEAD", "final", status=200, told={"Upload-Offset": "100", "Upload-Length": "100"}),
    Case("of a used part", "HEAD", "used part", status=410),
    Case("of an unknown upload", "HEAD", "unknown", status=404),
    Case("of a misspelt address", "HEAD", "misspelt", status=404),
    Case("of somebody else's", "HEAD", "foreign", status=404),
    Case("of a deleted one", "HEAD", "deleted", status=410),
    Case("of a whole one, deleted", "HEAD", "whole and deleted", status=410),
    Case("of a cancelled one", "HEAD", "cancelled", status=410),
    Case("of an expired one", "HEAD", "expired", status=410),
    Case("without a version", "HEAD", headers={"Tus-Resumable": None}, status=412, told={"Tus-Version": "1.0.0"}),
    Case("of an old version", "HEAD", headers={"Tus-Resumable": "0.2.2"}, status=412),
    Case("by POST in disguise", "POST", headers={"X-HTTP-Method-Override": "HEAD"}, status=200,
         told={"Upload-Offset": "50"}),
    # PATCH
    P("the rest", "half", "50", REST, 204, told={"Upload-Offset": "100"}, left=100),
    P("a little more", "half", "50", REST[:7], 204, told={"Upload-Offset": "57"}, left=57),
    P("nothing", "half", "50", b"", 204, told={"Upload-Offset": "50"}, left=50),
    P("by POST in disguise", "half", "50", REST, 204, left=100, Override="PATCH"),
    P("by a POST disguised in lower case", "half", "50", REST, 204, left=100, Override="patch"),
    P("without an offset", "half", None, REST, 400, "invalid_request", left=50),
    P("an empty offset", "half", "", REST, 400, "invalid_request", left=50),
    P("a negative offset", "half", "-1", REST, 400, "invalid_request", left=50),
    P("an offset that is no number", "half", "fifty", REST, 400, "invalid_request", left=50),
    P("an offset with a fraction", "half", "50.0", REST, 400, "invalid_request", left=50),
    P("an offset sent twice", "half", "50,50", REST, 400, "invalid_request", left=50),
    P("an endless offset", "half", "9" * 30, REST, 400, "invalid_request", left=50),
    P("an offset behind", "half", "49", REST, 409, "offset_mismatch", left=50),
    P("an offset ahead", "half", "51", REST[:9], 409, "offset_mismatch", left=50),
    P("an offset past the end", "half", "101", b"", 409, "offset_mismatch", left=50),
    P("the beginning again", "half", "0", DATA, 409, "offset_mismatch", left=50),
    P("one byte too many", "half", "50", REST + b"!", 413, "too_large", left=50),
    P("far too many", "half", "50", REST * 9, 413, "too_large", left=50),
    P("without a type", "half", "50", REST, 415, "unsupported_media", left=50, Content_Type=None),
    P("of another type", "half", "50", REST, 415, "unsupported_media", left=50, Content_Type="text/plain"),
    P("of octets", "half", "50", REST, 415, "unsupported_media", left=50, Content_Type="application/octet-stream"),
    P("as a form", "half", "50", REST, 415, "unsupported_media", left=50,
      Content_Type="application/x-www-form-urlencoded"),
    P("compressed", "half", "50", REST, 415, "unsupported_encoding", left=50, Content_Encoding="gzip"),
    P("as it is, said aloud", "half", "50", REST, 204, left=100, Content_Encoding="identity"),
    P("without a version", "half", "50", REST, 412, "unsupported_version", left=50, Tus_Resumable=None),
    P("of a new version", "half", "50", REST, 412, "unsupported_version", left=50, Tus_Resumable="2.0.0"),
    P("a version sent twice", "half", "50", REST, 412, "unsupported_version", left=50, Tus_Resumable="1.0.0,1.0.0"),
    P("to a fresh one", "fresh", "0", DATA, 204, left=100),
    P("into the middle of a fresh one", "fresh", "50", REST, 409, "offset_mismatch", left=0),
    P("nothing to a whole one", "whole", "100", b"", 204, left=100),
    P("more to a whole one", "whole", "100", b"!", 413, "too_large", left=100),
    P("the last bytes of a whole one again", "whole", "50", REST, 409, "offset_mismatch", left=100),
    P("to an unknown one", "unknown", "0", DATA, 404, "not_found"),
    P("to a misspelt address", "misspelt", "0", DATA, 404, "not_found"),
    P("to somebody else's", "foreign", "50", REST, 404, "not_found"),
    P("to a deleted one", "deleted", "50", REST, 410, "gone"),
    P("to a whole one, deleted", "whole and deleted", "100", b"", 410, "gone"),
    P("to a cancelled one", "cancelled", "50", REST, 410, "gone"),
    P("to an expired one", "expired", "50", REST, 410, "gone"),
    P("to a used part", "used part", "100", b"", 410, "gone"),
    P("to a final", "final", "100", b"", 403, "not_allowed", left=100),
    P("bytes to a final", "final", "0", DATA, 403, "not_allowed", left=100),
    P("to a part", "part", "50", REST, 204, left=100),
    P("past a part's end", "part", "50", REST + b"!", 413, "too_large", left=50),
    P("nothing to a whole part", "whole part", "100", b"", 204, left=100),
    P("a length known already, the same", "half", "50", REST, 204, left=100, Upload_Length="100"),
    P("a length known already, another", "half", "50", REST, 400, "invalid_request", left=50, Upload_Length="99"),
    P("another length for a whole one", "whole", "100", b"", 400, "invalid_request", left=100, Upload_Length="101"),
    P("the length at last", "deferred", "50", REST, 204, left=100, Upload_Length="100"),
    P("the length, which is reached already", "deferred", "50", b"", 204, left=50, Upload_Length="50"),
    P("a length that has been passed", "deferred", "50", b"", 400, "invalid_request", left=50, Upload_Length="49"),
    P("a length that the bytes pass", "deferred", "50", REST, 413, "too_large", left=50, Upload_Length="60"),
    P("a length that is none", "deferred", "50", REST, 400, "invalid_request", left=50, Upload_Length="x"),
    P("a length larger than anything", "deferred", "50", REST, 413, "too_large", left=50, Upload_Length="9" * 17),
    P("more of unknown length", "deferred", "50", REST, 204, left=100),
    P("verified bytes", "half", "50", REST, 204, left=100, Upload_Checksum=GOOD),
    P("verified by SHA-1", "half", "50", REST, 204, left=100,
      Upload_Checksum=f"sha1 {b64(hashlib.sha1(REST).digest())}"),
    P("verified by MD5", "half", "50", REST, 204, left=100, Upload_Checksum=f"md5 {b64(hashlib.md5(REST).digest())}"),
    P("bytes that are not what they should be", "half", "50", REST[::-1], 460, "checksum_mismatch", left=50,
      Upload_Checksum=GOOD),
    P("the digest of the whole", "half", "50", REST, 460, "checksum_mismatch", left=50, Upload_Checksum=sha256(DATA)),
    P("nothing, and a digest", "half", "50", b"", 204, left=50, Upload_Checksum=sha256(b"")),
    P("nothing, and a wrong digest", "half", "50", b"", 460, "checksum_mismatch", left=50, Upload_Checksum=GOOD),
    P("an unknown digest", "half", "50", REST, 400, "invalid_request", left=50, Upload_Checksum="crc32 YWFhYQ=="),
    P("a digest that is none", "half", "50", REST, 400, "invalid_request", left=50, Upload_Checksum="sha256 ?"),
    P("an empty digest", "half", "50", REST, 400, "invalid_request", left=50, Upload_Checksum=""),
    P("other metadata", "half", "50", REST, 204, left=100, Upload_Metadata="filename ZXZpbA=="),
    # DELETE
    Case("a fresh one", "DELETE", "fresh", status=204),
    Case("half of one", "DELETE", "half", status=204),
    Case("a whole one", "DELETE", "whole", status=204),
    Case("a part", "DELETE", "part", status=204),
    Case("a final", "DELETE", "final", status=204),
    Case("a deleted one", "DELETE", "deleted", status=410, code="gone"),
    Case("an expired one", "DELETE", "expired", status=410, code="gone"),
    Case("somebody else's", "DELETE", "foreign", status=404, code="not_found"),
    Case("an unknown one", "DELETE", "unknown", status=404, code="not_found"),
    Case("without a version", "DELETE", headers={"Tus-Resumable": None}, status=412, code="unsupported_version",
         offset=50),
    Case("by POST in disguise", "POST", "half", headers={"X-HTTP-Method-Override": "DELETE"}, status=204),
    # POST
    C("a length", 201, Upload_Length="100"),
    C("no length", 400, "invalid_request"),
    C("no length yet", 201, Upload_Defer_Length="1"),
    C("a deferral of 0", 400, "invalid_request", Upload_Defer_Length="0"),
    C("both", 400, "invalid_request", Upload_Length="100", Upload_Defer_Length="1"),
    C("a negative length", 400, "invalid_request", Upload_Length="-1"),
    C("a length sent twice", 400, "invalid_request", Upload_Length="1,1"),
    C("a length larger than anything", 413, "too_large", Upload_Length="9" * 17),
    C("a length beyond numbers", 400, "invalid_request", Upload_Length="9" * 5_000),
    C("without a version", 412, "unsupported_version", told={"Tus-Version": "1.0.0"}, Upload_Length="1",
      Tus_Resumable=None),
    C("broken metadata", 400, "invalid_request", Upload_Length="1", Upload_Metadata="filename ?"),
    C("a key twice", 400, "invalid_request", Upload_Length="1", Upload_Metadata="a YQ==,a YQ=="),
    C("100 kB of metadata", 400, "invalid_request", Upload_Length="1",
      Upload_Metadata=f"filename {b64(bytes(75_000))}"),
    C("first bytes of another type", 415, "unsupported_media", DATA, Upload_Length="100", Content_Type="text/plain"),
    C("first bytes, compressed", 415, "unsupported_encoding", DATA, Upload_Length="100", Content_Encoding="gzip"),
    C("more first bytes than its length", 413, "too_large", DATA + b"!", Upload_Length="100"),
    C("verified first bytes", 201, "", DATA, {"Upload-Offset": "100"}, Upload_Length="100",
      Upload_Checksum=sha256(DATA)),
    C("wrong first bytes", 460, "checksum_mismatch", DATA, Upload_Length="100", Upload_Checksum=GOOD),
    C("first bytes of unknown length", 201, "", DATA, {"Upload-Offset": "100"}, Upload_Defer_Length="1"),
    C("a part", 201, Upload_Length="100", Upload_Concat="partial"),
    C("a whole part at once", 201, "", DATA, {"Upload-Offset": "100"}, Upload_Length="100", Upload_Concat="partial"),
    C("neither part nor whole", 400, "invalid_request", Upload_Length="1", Upload_Concat="some"),
    C("a whole of nothing", 400, "invalid_request", Upload_Concat="final;"),
    C("a whole of an unknown part", 404, "not_found", Upload_Concat=f"final;{ROOT}{uuid4()}"),
    C("a whole with a length", 400, "invalid_request", Upload_Length="1", Upload_Concat=f"final;{ROOT}{uuid4()}"),
    # OPTIONS, and what there is not
    Case("of the root", "OPTIONS", "", told={"Tus-Version": "1.0.0", "Tus-Checksum-Algorithm": "sha256,sha1,md5"}),
    Case("of an upload", "OPTIONS", "half", told={"Tus-Version": "1.0.0"}),
    Case("without a version", "OPTIONS", "", headers={"Tus-Resumable": None}, told={"Tus-Version": "1.0.0"}),
    Case("by POST in disguise", "POST", "", headers={"X-HTTP-Method-Override": "OPTIONS"},
         told={"Tus-Version": "1.0.0"}),
    Case("an upload", "GET", "half", status=405, code="method_not_allowed",
         told={"Allow": "DELETE, HEAD, OPTIONS, PATCH"}),
    Case("an upload", "PUT", "half", status=405, code="method_not_allowed"),
    Case("an upload", "POST", "half", status=405, code="method_not_allowed"),
    Case("the root", "GET", "", status=405, code="method_not_allowed", told={"Allow": "OPTIONS, POST"}),
    Case("the root", "HEAD", "", status=405),
    Case("the root", "PATCH", "", status=405, code="method_not_allowed"),
    Case("the root", "DELETE", "", status=405, code="method_not_allowed"),
    Case("an unheard-of method in disguise", "POST", "half", headers={"X-HTTP-Method-Override": "BREW"}, status=405,
         code="method_not_allowed"),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", TABLE, ids=lambda case: f"{case.method} {case.what} ({case.stage or 'root'})"
)
@pytest.mark.django_db
def test_the_protocol(
    case: Case, owner: User, colleague: User, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    path = stage(case.stage, owner, colleague) if case.stage else ROOT
    program, headers, method = by_token(owner), dict(case.headers), case.method
    jobs = UploadJob.objects.count()
    if override := headers.pop("Override", None):
        headers["X-HTTP-Method-Override"], method = override, "POST"
    with django_capture_on_commit_callbacks(execute=True):
        response = ask(program, method, path, case.data, **headers)

    assert response.status_code == case.status, response.content
    if case.code:
        problem_of(response, case.status, case.code)
    assert response["Tus-Resumable"] == "1.0.0"
    assert response["Cache-Control"] == "no-store"
    assert {name: response.get(name) for name in case.told} == case.told
    if case.offset is not None:
        assert head(program, path)["Upload-Offset"] == str(case.offset)
        bytes_at(path, DATA[: case.offset])
    if case.method == "POST" and not case.stage:
        created = response.status_code == 201
        assert UploadJob.objects.count() - jobs == created
        has_file = created and (case.data or headers.get("Upload-Length") == "0")
        assert len(left()) == bool(has_file), "a refused creation leaves no bytes"
    if "DELETE" in (case.method, case.headers.get("X-HTTP-Method-Override")) and case.status == 204:
        assert head(program, path).status_code == 410
        assert not left()
        assert not UploadJob.objects.exists()


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 90
    assert {case.method for case in TABLE} >= {"HEAD", "PATCH", "DELETE", "POST", "OPTIONS"}


def bytes_at(path: str, expected: bytes) -> None:
    job_id = path.rpartition("/")[2]
    places = (local.spool_directory() / job_id, *local.files_directory().glob(f"*/{job_id}"))
    found = [place.read_bytes() for place in places if place.exists()]
    parts = sorted((local.spool_directory().parent / "parts" / job_id).glob("*"))
    assert (found or [b"".join(part.read_bytes() for part in parts)]) == [expected]


def left() -> list[str]:
    roots = (local.spool_directory(), local.files_directory(), local.spool_directory().parent / "parts")
    return [str(path) for root in roots if root.exists() for path in root.rglob("*") if path.is_file()]


# ---------------------------------------------------------------- who, and how much


ANYBODY = [
    ("POST", ROOT, {"Upload_Length": "1"}),
    ("HEAD", f"{ROOT}{UUID(int=7)}", {}),
    ("PATCH", f"{ROOT}{UUID(int=7)}", {"Upload_Offset": "0"}),
    ("DELETE", f"{ROOT}{UUID(int=7)}", {}),
]


@pytest.mark.parametrize(("method", "path", "headers"), ANYBODY)
@pytest.mark.parametrize("nobody", [lambda: by_token(None), lambda: by_session(None)])
def test_nobody_comes_in_without_signing_in(
    method: str, path: str, headers: dict[str, str], nobody: Callable[[], Client]
) -> None:
    response = ask(nobody(), method, path, **headers)
    assert response.status_code == 401
    assert response["Tus-Resumable"] == "1.0.0"


def test_a_bad_token_is_refused() -> None:
    client = Client(headers={"Authorization": "Bearer whf_000000000000_x"})
    problem_of(create(client), 401, "not_signed_in")


def test_what_is_supported_is_told_to_anybody() -> None:
    response = ask(Client(), "OPTIONS", ROOT, Tus_Resumable=None)
    assert response.status_code == 204
    assert response["Tus-Extension"].split(",") == list(EXTENSIONS)
    assert int(response["Tus-Max-Size"]) > 1 << 30


def test_an_operator_is_nobody_special_here(owner: User, operator: User) -> None:
    path = create(by_token(owner))["Location"]
    problem_of(patch(by_token(operator), path, 0, DATA), 404, "not_found")


class TestRoom:
    def refused(self, program: Client, status: int, code: str, **headers: str | None) -> Any:
        response = create(program, **headers)
        problem_of(response, status, code)
        assert not UploadJob.objects.exists()
        assert not Transfer.objects.exists()
        assert not left()
        return response

    def test_a_file_too_large(self, program: Client, settings: Any) -> None:
        settings.UPLOADS_MAX_SIZE = 99
        self.refused(program, 413, "too_large")

    def test_a_full_queue(self, program: Client, settings: Any) -> None:
        settings.UPLOADS_MAX_QUEUED = 0
        assert self.refused(program, 503, "queue_full")["Retry-After"] == "60"

    def test_an_owners_share_of_the_queue(self, program: Client, settings: Any) -> None:
        settings.UPLOADS_USER_MAX_QUEUED = 0
        assert self.refused(program, 429, "quota_exceeded")["Retry-After"] == "60"

    def test_an_owners_quota(self, program: Client, settings: Any) -> None:
        settings.UPLOADS_USER_QUOTA = 99
        self.refused(program, 429, "quota_exceeded")

    def test_a_disk_with_too_little_left(self, program: Client, settings: Any) -> None:
        settings.UPLOADS_MIN_FREE = 1 << 60
        self.refused(program, 507, "disk_full")

    def test_a_declared_length_is_reserved(
        self, program: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local, "free_bytes", lambda: 20 << 20)
        assert create(program, 15 << 20).status_code == 201
        problem_of(create(program, 10 << 20), 507, "disk_full")
        assert UploadJob.objects.count() == 1

    def test_a_flood_of_creations_ends_at_the_owners_share(self, program: Client, settings: Any) -> None:
        settings.UPLOADS_USER_MAX_QUEUED = 5
        answers = [create(program).status_code for _ in range(8)]
        assert answers == [201] * 5 + [429] * 3
        assert UploadJob.objects.count() == Transfer.objects.count() == 5

    def test_all_places_for_bodies_taken(
        self, program: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from uploads.intake import admission

        path = create(program)["Location"]
        settings.UPLOADS_WEB_THREADS = 2
        monkeypatch.setattr(admission, "_slots", None)
        with admission.body_slot():
            response = patch(program, path, 0, DATA)
            assert problem_of(response, 503, "too_busy") and response["Retry-After"] == "5"
            assert create(program, data=DATA).status_code == 503
        assert patch(program, path, 0, DATA).status_code == 204

    def test_an_unknown_length_reserves_a_little_and_grows(self, program: Client, settings: Any) -> None:
        settings.UPLOADS_USER_QUOTA = 65 << 20
        path = create(program, None, Upload_Defer_Length="1")["Location"]
        assert UploadJob.objects.get().size == 64 << 20
        problem_of(patch(program, path, 0, b"x", Upload_Length=str(66 << 20)), 429, "quota_exceeded")
        assert "Upload-Defer-Length" in head(program, path)
        assert patch(program, path, 0, b"x", Upload_Length=str(65 << 20)).status_code == 204
        assert UploadJob.objects.get().size == 65 << 20

    def test_a_length_told_late_gives_back_what_is_not_needed(self, program: Client) -> None:
        path = create(program, None, Upload_Defer_Length="1")["Location"]
        patch(program, path, 0, DATA)
        patch(program, path, 100, b"", Upload_Length="100")
        job = UploadJob.objects.get()
        assert (job.size, job.state) == (100, State.QUEUED)

    def test_a_length_told_late_must_find_room_on_the_disk(
        self, program: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = create(program, None, Upload_Defer_Length="1")["Location"]
        monkeypatch.setattr(local, "free_bytes", lambda: 100 << 20)
        problem_of(patch(program, path, 0, b"x", Upload_Length=str(200 << 20)), 507, "disk_full")


class TestExpiry:
    def test_an_upload_says_when_it_expires_and_each_patch_moves_that(
        self, program: Client, settings: Any
    ) -> None:
        settings.UPLOADS_TUS_EXPIRY = 1000
        made = create(program)
        first = parse_http_date(made["Upload-Expires"])
        assert 990 < first - timezone.now().timestamp() < 1010
        settings.UPLOADS_TUS_EXPIRY = 2000
        later = parse_http_date(patch(program, made["Location"], 0, DATA[:50])["Upload-Expires"])
        assert 990 < later - first < 1010
        assert parse_http_date(head(program, made["Location"])["Upload-Expires"]) == later

    def test_a_whole_upload_does_not_expire(self, program: Client) -> None:
        path = create(program, data=DATA)["Location"]
        Transfer.objects.update(expires_at=timezone.now() - timedelta(days=9))
        found = head(program, path)
        assert found.status_code == 200
        assert "Upload-Expires" not in found


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"../../etc/passwd", "passwd"), (b"a\x00b.txt", "ab.txt"), ("invoice\u202efdp.exe".encode(), "invoicefdp.exe"),
        (b"", "unnamed"), (b"\xff\xfe", "\ufffd\ufffd"), (b"x" * 5_000, None), (b"C:\\con.txt", "_con.txt"),
    ],
)  # fmt: skip
def test_a_name_is_data_and_never_a_path(name: bytes, shown: str | None, program: Client) -> None:
    response = create(program, Upload_Metadata=f"filename {base64.b64encode(name).decode()}")
    assert response.status_code == 201
    job = UploadJob.objects.get()
    assert job.filename == shown if shown is not None else len(job.filename.encode()) <= 255


class TestConcatenation:
    def parts(self, client: Client, *data: bytes) -> list[str]:
        return [
            create(client, len(one), one, Upload_Concat="partial")["Location"] if one
            else create(client, 0, Upload_Concat="partial")["Location"]
            for one in data
        ]  # fmt: skip

    def join(self, client: Client, *paths: str, **headers: str) -> Any:
        return ask(client, "POST", ROOT, Upload_Concat=f"final;{' '.join(paths)}", **headers)

    def test_parts_become_one_upload_and_are_used_up(self, program: Client) -> None:
        paths = self.parts(program, b"one ", b"two ", b"", b"three")
        assert set(UploadJob.objects.values_list("state", "note")) == {
            ("receiving", "part of a larger upload")
        }
        made = self.join(program, *paths, Upload_Metadata="filename YS50eHQ=")
        assert (made.status_code, made["Upload-Offset"]) == (201, "13")
        job = UploadJob.objects.get()
        assert (job.filename, job.size, job.state) == ("a.txt", 13, State.QUEUED)
        found = head(program, made["Location"])
        assert found["Upload-Concat"] == f"final;{' '.join(paths)}"
        assert [head(program, path).status_code for path in paths] == [410] * 4
        assert not list(local.spool_directory().iterdir())

    def test_a_whole_over_an_unfinished_part_is_refused(self, program: Client) -> None:
        (whole,) = self.parts(program, b"one")
        half = create(program, 10, b"two", Upload_Concat="partial")["Location"]
        problem_of(self.join(program, whole, half), 409, "wrong_state")
        assert UploadJob.objects.receiving().count() == 2
        assert not list((local.spool_directory().parent / "parts").glob("*"))

    def test_a_whole_over_an_ordinary_upload_is_refused(self, program: Client) -> None:
        problem_of(self.join(program, create(program, 3, b"one")["Location"]), 409, "wrong_state")

    def test_a_whole_over_somebody_elses_part_is_refused(self, program: Client, colleague: User) -> None:
        (own,) = self.parts(program, b"one")
        (foreign,) = self.parts(by_token(colleague), b"two")
        problem_of(self.join(program, own, foreign), 404, "not_found")
        assert head(program, own)["Upload-Offset"] == "3"

    def test_a_part_is_used_once(self, program: Client) -> None:
        paths = self.parts(program, b"one", b"two")
        assert self.join(program, *paths).status_code == 201
        problem_of(self.join(program, paths[0]), 410, "gone")

    def test_a_whole_larger_than_is_accepted_is_refused(self, program: Client, settings: Any) -> None:
        paths = self.parts(program, b"one", b"two")
        settings.UPLOADS_MAX_SIZE = 5
        problem_of(self.join(program, *paths), 413, "too_large")

    def test_the_quota_counts_bytes_once(self, program: Client, settings: Any) -> None:
        settings.UPLOADS_USER_QUOTA = 6
        assert self.join(program, *self.parts(program, b"one", b"two")).status_code == 201

    def test_a_part_whose_bytes_were_lost_is_gone(self, program: Client) -> None:
        paths = self.parts(program, b"one", b"two")
        (local.spool_directory() / paths[1].rpartition("/")[2]).unlink()
        problem_of(self.join(program, *paths), 410, "gone")
        assert head(program, paths[0])["Upload-Offset"] == "3"

    def test_a_whole_in_parts_cannot_be_fetched_yet(self, program: Client) -> None:
        path = self.join(program, *self.parts(program, b"one", b"two"))["Location"]
        response = program.get(f"/api/jobs/{path.rpartition('/')[2]}/file")
        problem_of(response, 409, "wrong_state")

    def test_a_cancelled_whole_may_be_retried_though_it_lies_in_parts(self, program: Client) -> None:
        path = self.join(program, *self.parts(program, b"one", b"two"))["Location"]
        job = f"/api/jobs/{path.rpartition('/')[2]}"
        assert program.post(f"{job}/cancel").status_code == 200
        assert program.post(f"{job}/retry").json()["state"] == "queued"
        assert program.delete(job).status_code == 204
        assert not left()
