"""The page without script: one multipart form, read by the intake, answered with a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from uploads.models import UploadJob

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def room(settings: Any) -> None:
    settings.UPLOADS_MIN_FREE = 0


def token(client: Client) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/").content.decode())
    assert found
    return found[1]


def test_files_are_sent_with_the_token_first(owner: User, browse: Callable[..., Client]) -> None:
    client = browse(owner, enforce_csrf_checks=True)
    files = [SimpleUploadedFile("a.txt", b"first"), SimpleUploadedFile("b.txt", b"second")]
    answer = client.post("/", {"csrfmiddlewaretoken": token(client), "file": files})
    assert answer.status_code == 303
    assert answer["Location"] == "/"
    assert "2 files are here." in client.get("/").content.decode()
    assert {job.filename: job.owner for job in UploadJob.objects.all()} == {"a.txt": owner, "b.txt": owner}


@pytest.mark.parametrize("form", [{}, {"csrfmiddlewaretoken": "x" * 64}])
def test_without_the_pages_token_nothing_is_taken(
    owner: User, browse: Callable[..., Client], form: dict[str, Any]
) -> None:
    client = browse(owner, enforce_csrf_checks=True)
    answer = client.post("/", form | {"file": SimpleUploadedFile("a.txt", b"first")})
    assert answer.status_code == 403
    assert not UploadJob.objects.exists()


def test_a_form_without_a_file_is_told_so_on_a_page(at: Client) -> None:
    answer = at.post("/", {"csrfmiddlewaretoken": token(at)})
    assert answer.status_code == 400
    assert "The form has no file." in answer.content.decode()


def test_a_refusal_is_a_page_with_its_sentence_status_and_patience(
    at: Client, owner: User, settings: Any
) -> None:
    settings.UPLOADS_USER_MAX_QUEUED = 0
    answer = at.post("/", {"csrfmiddlewaretoken": token(at), "file": SimpleUploadedFile("a.txt", b"x")})
    html = answer.content.decode()
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert "Your quota is used up." in html
    assert f"Try again in {answer['Retry-After']} seconds." in html


def test_a_file_that_is_too_large_is_named(at: Client, settings: Any) -> None:
    settings.UPLOADS_MAX_SIZE = 3
    form = {"csrfmiddlewaretoken": token(at), "file": SimpleUploadedFile("<b>big</b>.txt", b"too much")}
    answer = at.post("/", form)
    assert answer.status_code == 413
    assert "<b>big" not in answer.content.decode()
    assert "larger than the 3 bytes" in answer.content.decode()


def test_a_strangers_form_leads_to_the_login(client: Client) -> None:
    answer = client.post("/", {"file": SimpleUploadedFile("a.txt", b"x")})
    assert answer["Location"] == "/login/?next=/"
    assert not UploadJob.objects.exists()
