"""The two plain ways in, as far as the API is concerned: the body itself is intake's."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.api.conftest import body, by_session, problem_of
from uploads.models import UploadJob

pytestmark = pytest.mark.usefixtures("data_dir")


def put(program: Client, name: str, data: bytes = b"bytes") -> object:
    return program.put(f"/api/uploads/{name}", data, content_type="application/octet-stream")


def test_a_raw_body_is_a_job_that_can_be_followed_and_fetched(program: Client) -> None:
    response = program.put("/api/uploads/a.txt", b"hello", content_type="text/plain")
    assert response.status_code == 202
    assert (response.json()["filename"], response.json()["size"]) == ("a.txt", 5)
    followed = program.get(response["Location"]).json()
    assert followed == response.json() | {"position": 1}, "its place in line is known once somebody asks"
    assert body(program.get(response["Location"] + "/file")) == b"hello"


def test_a_form_makes_a_job_of_each_file(program: Client) -> None:
    files = [SimpleUploadedFile("a.txt", b"a"), SimpleUploadedFile("b.txt", b"bb")]
    response = program.post("/api/uploads", {"file": files})
    assert response.status_code == 202
    assert [(job["filename"], job["size"]) for job in response.json()["jobs"]] == [("a.txt", 1), ("b.txt", 2)]


def test_a_page_of_ours_sends_a_form_with_its_token_in_a_header(owner: User) -> None:
    response = by_session(owner).post("/api/uploads", {"file": SimpleUploadedFile("a.txt", b"a")})
    assert response.status_code == 202


@pytest.mark.parametrize(
    "name",
    ["", "/", "a/b", "a%2Fb", "a%5Cb", "..", "../../etc/passwd", "a" * 300, "%00", "a%0Ab", "%0A", "%e2%80%ae",
     "%ff%fe", "%ed%a0%80", "con", "a.txt/", "%20", "?"],
)  # fmt: skip
def test_no_file_name_is_taken_for_an_unknown_address(name: str, program: Client) -> None:
    response = put(program, name)
    assert response.status_code == 202, response.content  # type: ignore[attr-defined]
    assert UploadJob.objects.count() == 1


def test_a_refusal_of_intake_is_a_problem(program: Client, settings: object) -> None:
    settings.UPLOADS_MAX_SIZE = 4  # type: ignore[attr-defined]
    problem_of(put(program, "a"), 413, "too_large")  # type: ignore[arg-type]
    settings.UPLOADS_MAX_QUEUED = 0  # type: ignore[attr-defined]
    response = put(program, "a", b"x")
    problem_of(response, 503, "queue_full")  # type: ignore[arg-type]
    assert response["Retry-After"] == "60"  # type: ignore[index]
    assert not UploadJob.objects.exists()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/uploads", "POST"),
        ("PUT", "/api/uploads", "POST"),
        ("GET", "/api/uploads/a", "PUT"),
        ("POST", "/api/uploads/a", "PUT"),
        ("PATCH", "/api/uploads/a/b", "PUT"),
    ],
)
def test_the_ways_in_take_one_method_each(method: str, path: str, allowed: str, program: Client) -> None:
    response = program.generic(method, path)
    problem_of(response, 405, "method_not_allowed")
    assert response["Allow"] == allowed
