"""What may be done with a file: retry, cancel, delete, each as a plain form and with htmx."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_failed_job, make_job, make_operator
from tests.web.conftest import HTMX
from uploads.models import State, UploadJob
from uploads.storage.kept import local


def state_of(job: UploadJob) -> str:
    return UploadJob.objects.get(pk=job.pk).state


def test_a_failed_file_is_retried(at: Client, owner: User) -> None:
    job = make_failed_job(owner=owner, filename="a.txt")
    answer = at.post(f"/jobs/{job.pk}/retry/", {"next": "/?state=failed"})
    assert answer.status_code == 303
    assert answer["Location"] == "/?state=failed"
    assert state_of(job) == State.QUEUED
    assert "a.txt is in the queue again." in at.get("/").content.decode()


def test_a_waiting_file_is_cancelled(at: Client, owner: User) -> None:
    job = make_job(owner=owner)
    at.post(f"/jobs/{job.pk}/cancel/")
    assert state_of(job) == State.CANCELLED


def test_a_file_is_deleted_after_a_question(
    at: Client, owner: User, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    job = make_job(State.CANCELLED, owner=owner, data=b"bytes", filename="a.txt")
    assert "Delete this file for good?" in at.get(f"/jobs/{job.pk}/delete/sure/").content.decode()
    assert UploadJob.objects.filter(pk=job.pk).exists()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[attr-defined]
        at.post(f"/jobs/{job.pk}/delete/")
    assert not UploadJob.objects.filter(pk=job.pk).exists()
    assert not local.file_path(job.pk).exists()


def test_with_htmx_the_row_comes_back_as_it_is_now(at: Client, owner: User) -> None:
    job = make_job(owner=owner, filename="a.txt")
    answer = at.post(f"/jobs/{job.pk}/cancel/", headers=HTMX)
    html = answer.content.decode()
    assert answer.status_code == 200
    assert 'class="row is-cancelled"' in html
    assert "a.txt was cancelled." in html
    assert '"wake"' in answer["HX-Trigger"]


def test_with_htmx_a_deleted_row_is_taken_out(at: Client, owner: User) -> None:
    job = make_job(State.CANCELLED, owner=owner)
    html = at.post(f"/jobs/{job.pk}/delete/", headers=HTMX).content.decode()
    assert 'hx-swap-oob="delete"' in html


def test_what_cannot_be_done_is_said_in_words(at: Client, owner: User) -> None:
    job = make_job(State.SUCCEEDED, owner=owner)
    assert at.post(f"/jobs/{job.pk}/retry/").status_code == 303
    assert "only failed and cancelled jobs are retried" in at.get("/").content.decode()
    answer = at.post(f"/jobs/{job.pk}/retry/", headers=HTMX)
    assert answer.status_code == 409
    assert "only failed and cancelled jobs are retried" in answer.content.decode()


@pytest.mark.parametrize("verb", ["retry", "cancel", "delete"])
def test_somebody_elses_file_is_not_there(
    owner: User, colleague: User, browse: Callable[..., Client], verb: str
) -> None:
    job = make_job(owner=owner)
    everybody = make_operator("operator", "view_uploadjob", f"{verb}_uploadjob")
    for person in (colleague, everybody):  # operators act in the admin, where it is written down
        answer = browse(person).post(f"/jobs/{job.pk}/{verb}/")
        assert answer.status_code == 404
        assert state_of(job) == State.QUEUED
    assert browse(colleague).get(f"/jobs/{job.pk}/delete/sure/").status_code == 404


def test_a_file_that_never_was_is_not_there_either(at: Client) -> None:
    assert at.post(f"/jobs/{uuid.uuid4()}/cancel/").status_code == 404


@pytest.mark.parametrize("verb", ["retry", "cancel", "delete"])
def test_nothing_is_done_by_a_link(at: Client, owner: User, verb: str) -> None:
    job = make_job(owner=owner)
    assert at.get(f"/jobs/{job.pk}/{verb}/").status_code == 405
    assert state_of(job) == State.QUEUED


@pytest.mark.parametrize("verb", ["retry", "cancel", "delete"])
def test_nothing_is_done_without_the_forms_token(
    owner: User, browse: Callable[..., Client], verb: str
) -> None:
    job = make_job(owner=owner)
    answer = browse(owner, enforce_csrf_checks=True).post(f"/jobs/{job.pk}/{verb}/")
    assert answer.status_code == 403
    assert "did not come from a page of this site" in answer.content.decode()
    assert state_of(job) == State.QUEUED


def test_a_stranger_does_nothing(client: Client, owner: User) -> None:
    job = make_job(owner=owner)
    assert client.post(f"/jobs/{job.pk}/cancel/")["Location"] == "/login/?next=/"
    assert client.post(f"/jobs/{job.pk}/cancel/", headers=HTMX).status_code == 401
    assert state_of(job) == State.QUEUED


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org", "javascript:alert(1)", ""])
def test_nobody_is_sent_to_another_site(at: Client, owner: User, elsewhere: str) -> None:
    job = make_job(owner=owner)
    assert at.post(f"/jobs/{job.pk}/cancel/", {"next": elsewhere})["Location"] == "/"
