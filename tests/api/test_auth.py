"""Signing in: before anything else, without reading the body, and once by each door."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from tests.api.conftest import by_session, by_token, problem_of
from tests.factories import make_job
from uploads.models import ApiToken, UploadJob


class Untouched(BytesIO):
    """A body that nobody may read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


def send_unread(client: Client, method: str, path: str, **headers: str) -> HttpResponse:
    return client.generic(
        method,
        path,
        content_type="multipart/form-data; boundary=x",
        headers=headers,
        **{"wsgi.input": Untouched(), "CONTENT_LENGTH": "1000000"},
    )


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/uploads"), ("PUT", "/api/uploads/a")])
def test_a_stranger_is_refused_before_the_body_is_read(method: str, path: str, db: None) -> None:
    response = send_unread(Client(), method, path)
    problem_of(response, 401, "not_signed_in")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("why", "headers"),
    [
        ("no token", {"X-CSRFToken": ""}),
        ("another token", {"X-CSRFToken": "b" * 32}),
        ("another origin", {"Origin": "https://evil.example"}),
        ("the null origin of a sandboxed frame", {"Origin": "null"}),
    ],
)
def test_another_site_cannot_use_the_session_and_its_body_is_not_read(
    why: str, headers: dict[str, str], owner: User
) -> None:
    problem_of(send_unread(by_session(owner), "POST", "/api/uploads", **headers), 403, "csrf_failed")
    problem_of(send_unread(by_session(owner), "PUT", "/api/uploads/a", **headers), 403, "csrf_failed")


def test_another_site_cannot_delete(owner: User, data_dir: Path) -> None:
    job = make_job("succeeded", owner)
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    problem_of(client.delete(f"/api/jobs/{job.pk}"), 403, "csrf_failed")
    assert UploadJob.objects.filter(pk=job.pk).exists()


def test_a_session_may_look_without_a_csrf_token(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert client.get("/api/jobs").status_code == 200


def test_our_own_page_may_send_its_origin(owner: User, data_dir: Path) -> None:
    response = by_session(owner).put(
        "/api/uploads/a.txt", b"x", content_type="text/plain", headers={"Origin": "http://testserver"}
    )
    assert response.status_code == 202


def test_a_token_needs_no_csrf_token(owner: User, data_dir: Path) -> None:
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {ApiToken.issue(owner)[1]}"})
    assert client.put("/api/uploads/a.txt", b"x", content_type="text/plain").status_code == 202


@pytest.mark.parametrize(
    "bad", ["", "x", "whf_", "whf_aaaaaaaaaaaa_", "whf_aaaaaaaaaaaa_" + "b" * 43, "whf_é\x00", "\x00" * 12]
)
def test_a_bad_token_is_refused_even_beside_a_good_session(bad: str, owner: User) -> None:
    client = by_session(owner)
    response = client.get("/api/jobs", headers={"Authorization": f"Bearer {bad}"})
    problem_of(response, 401, "not_signed_in")


def test_a_token_that_has_expired_is_refused(owner: User) -> None:
    row, token = ApiToken.issue(owner)
    row.expires_at = timezone.now() - timedelta(seconds=1)
    row.save()
    problem_of(Client(headers={"Authorization": f"Bearer {token}"}).get("/api/jobs"), 401, "not_signed_in")


def test_the_token_of_somebody_who_left_is_refused(owner: User) -> None:
    client = by_token(owner)
    owner.is_active = False
    owner.save()
    problem_of(client.get("/api/jobs"), 401, "not_signed_in")


def test_a_proxys_own_basic_sign_in_does_not_disturb_a_session(owner: User) -> None:
    response = by_session(owner).get("/api/jobs", headers={"Authorization": "Basic dXNlcjpwYXNz"})
    assert response.status_code == 200
