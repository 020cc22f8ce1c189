"""Many files at once: ticked, or all that a filter shows."""

from __future__ import annotations

import io
import re
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.factories import make_failed_job, make_job
from tests.web.conftest import HTMX
from uploads.models import State, UploadJob
from uploads.web import bulk_actions

NOW = "2999-01-01T00:00:00+00:00"


def states(*jobs: UploadJob) -> list[str | None]:
    found = dict(UploadJob.objects.values_list("pk", "state"))
    return [found.get(job.pk) for job in jobs]


def test_ticked_files_are_retried_and_the_others_are_left_alone(at: Client, owner: User) -> None:
    one, two, other = (make_failed_job(owner=owner) for _ in range(3))
    answer = at.post("/jobs/", {"verb": "retry", "job": [one.pk, two.pk], "next": "/?state=failed"})
    assert answer.status_code == 303
    assert answer["Location"] == "/?state=failed"
    assert states(one, two, other) == ["queued", "queued", "failed"]
    assert "2 files are in the queue again." in at.get("/").content.decode()


def test_what_is_not_in_a_state_for_it_is_passed_over(at: Client, owner: User) -> None:
    waiting, done = make_job(owner=owner), make_job(State.SUCCEEDED, owner=owner)
    at.post("/jobs/", {"verb": "cancel", "job": [waiting.pk, done.pk]})
    assert states(waiting, done) == ["cancelled", "succeeded"]
    assert "1 file was cancelled." in at.get("/").content.decode()


def test_a_file_that_cannot_be_retried_is_counted(at: Client, owner: User) -> None:
    whole, gone = make_failed_job(owner=owner), make_failed_job(owner=owner, data=None)
    at.post("/jobs/", {"verb": "retry", "job": [whole.pk, gone.pk]})
    said = at.get("/").content.decode()
    assert "1 file is in the queue again. 1 could not be." in said


def test_deleting_asks_first_and_names_the_files(at: Client, owner: User) -> None:
    jobs = [make_job(State.CANCELLED, owner=owner, filename=f"f{n}.txt") for n in range(3)]
    html = at.post("/jobs/", {"verb": "delete", "job": [job.pk for job in jobs]}).content.decode()
    assert "Delete these 3 files for good?" in html
    assert "f1.txt" in html
    assert UploadJob.objects.count() == 3
    form = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html)
    at.post("/jobs/", {name: [value for key, value in form if key == name] for name, _value in form})
    assert UploadJob.objects.count() == 0
    assert "3 files were deleted." in at.get("/").content.decode()


def test_the_question_comes_as_a_dialog_with_htmx_and_the_answer_wakes_the_list(
    at: Client, owner: User
) -> None:
    job = make_job(State.CANCELLED, owner=owner)
    asked = at.post("/jobs/", {"verb": "delete", "job": job.pk}, headers=HTMX).content.decode()
    assert "<html" not in asked
    before = re.search(r'name="before" value="([^"]+)"', asked)
    assert before
    answer = at.post("/jobs/", {"verb": "delete", "job": job.pk, "before": before[1]}, headers=HTMX)
    assert {"wake", "acted"} == set(re.findall(r'"(\w+)":', answer["HX-Trigger"]))
    assert "1 file was deleted." in answer.content.decode()
    assert states(job) == [None]


def test_all_means_all_that_the_filter_shows_and_that_was_there(at: Client, owner: User) -> None:
    asked = timezone.now()
    old = make_job(State.CANCELLED, owner=owner, filename="a.txt", created_at=asked - timedelta(1))
    late = make_job(State.CANCELLED, owner=owner, filename="a-late.txt", created_at=asked + timedelta(1))
    other = make_job(State.CANCELLED, owner=owner, filename="b.txt", created_at=asked - timedelta(1))
    at.post("/jobs/", {"verb": "delete", "all": "1", "q": "a", "before": asked.isoformat()})
    assert states(old, late, other) == [None, "cancelled", "cancelled"]


def test_no_more_than_a_request_can_bear_is_done_and_that_is_said(
    at: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "MOST", 2)
    for _ in range(3):
        make_job(owner=owner)
    at.post("/jobs/", {"verb": "cancel", "all": "1"})
    assert UploadJob.objects.filter(state=State.CANCELLED).count() == 2
    assert "do it again for the rest" in at.get("/").content.decode()


def test_the_files_of_others_are_not_there(
    owner: User, colleague: User, browse: Callable[..., Client]
) -> None:
    job = make_job(owner=owner, data=b"mine")
    for choice in ({"job": job.pk}, {"all": "1"}):
        browse(colleague).post("/jobs/", {"verb": "cancel", **choice})
        browse(colleague).post("/jobs/", {"verb": "delete", "before": NOW, **choice})
        assert browse(colleague).get("/jobs/download/", choice).status_code == 404
    assert states(job) == ["queued"]


@pytest.mark.parametrize("form", [{}, {"verb": "start"}, {"verb": "__class__"}])
def test_an_act_that_is_none_is_refused(at: Client, form: dict[str, str]) -> None:
    assert at.post("/jobs/", form).status_code == 400


@pytest.mark.parametrize("choice", [{}, {"job": "nonsense"}, {"job": str(uuid.uuid4())}])
def test_nothing_chosen_is_nothing_done(at: Client, owner: User, choice: dict[str, str]) -> None:
    job = make_job(owner=owner)
    at.post("/jobs/", {"verb": "cancel", **choice})
    assert states(job) == ["queued"]
    assert "Nothing is chosen." in at.post("/jobs/", {"verb": "delete"} | choice).content.decode()
    at.post("/jobs/", {"verb": "delete", "before": "soon"} | choice)
    assert states(job) == ["queued"]


def test_a_stranger_and_a_form_without_a_token_do_nothing(
    client: Client, owner: User, browse: Callable[..., Client]
) -> None:
    job = make_job(owner=owner)
    form = {"verb": "cancel", "job": job.pk}
    assert client.post("/jobs/", form).status_code == 302
    assert browse(owner, enforce_csrf_checks=True).post("/jobs/", form).status_code == 403
    assert client.get("/jobs/download/", {"job": job.pk}).status_code == 302
    assert states(job) == ["queued"]


def unzip(answer: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))


def test_files_are_downloaded_as_one_zip(at: Client, owner: User) -> None:
    jobs = [make_job(State.SUCCEEDED, owner=owner, filename="a.txt", data=b"first"),
            make_failed_job(owner=owner, filename="A.txt", data=b"second" * 100_000),
            make_job(State.RECEIVING, owner=owner, filename="coming.txt", data=b"half")]  # fmt: skip
    answer = at.get("/jobs/download/", {"job": [job.pk for job in jobs]})
    assert re.fullmatch(r'attachment; filename="uploads-[\d-]+\.zip"', answer["Content-Disposition"])
    with unzip(answer) as archive:
        assert archive.testzip() is None
        assert [archive.read(name) for name in ("a.txt", "A (2).txt")] == [b"first", b"second" * 100_000]
        assert len(archive.namelist()) == 2


def test_a_file_whose_bytes_are_gone_is_named_in_the_zip(at: Client, owner: User) -> None:
    job = make_job(State.SUCCEEDED, owner=owner, filename="gone.txt")
    with unzip(at.get("/jobs/download/", {"job": job.pk})) as archive:
        assert archive.read("not-included.txt") == b"gone.txt\n"


def test_a_download_of_too_many_is_refused_in_words(at: Client, owner: User, settings: Any) -> None:
    settings.UPLOADS_MAX_FILES = 0
    make_job(State.SUCCEEDED, owner=owner)
    answer = at.get("/jobs/download/", {"all": "1"})
    assert answer.status_code == 413
    assert "choose fewer" in answer.content.decode()
