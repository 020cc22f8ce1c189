"""Pausing and priorities in the admin: who may, what is said, what is logged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_job, make_operator
from uploads.jobs.lifecycle import pauses
from uploads.models import Pause, State

pytestmark = pytest.mark.django_db
PAUSES = "/admin/uploads/pause/"
JOBS = "/admin/uploads/uploadjob/"


def test_an_operator_pauses_a_kind_with_a_note_and_the_index_says_so(at: Client, chief: User) -> None:
    at.post(f"{PAUSES}add/", {"kind": "pdf", "note": "a new PDFium"})
    pause = Pause.objects.get()
    assert (pause.kind, pause.note, pause.by) == ("pdf", "a new PDFium", chief)
    assert LogEntry.objects.get().object_id == str(pause.pk)
    index = at.get("/admin/").content.decode()
    assert "No job of kind pdf is started." in index
    assert "a new PDFium" in index


def test_deleting_the_pause_resumes_and_is_logged(at: Client, chief: User) -> None:
    pause = pauses.pause("", chief)
    assert "No job is started." in at.get("/admin/").content.decode()
    at.post(f"{PAUSES}{pause.pk}/delete/", {"post": "yes"})
    assert not Pause.objects.exists()
    assert LogEntry.objects.filter(object_id=str(pause.pk)).exists()
    at.post(
        PAUSES,
        {"action": "delete_selected", "_selected_action": [pauses.pause("", chief).pk], "post": "yes"},
    )
    assert not Pause.objects.exists()


def test_a_second_pause_of_a_kind_and_an_unknown_kind_are_refused_on_the_form(
    at: Client, chief: User
) -> None:
    pauses.pause("pdf", chief)
    for kind in ("pdf", "poem"):
        assert at.post(f"{PAUSES}add/", {"kind": kind}).status_code == 200
    assert Pause.objects.count() == 1


def test_who_may_only_look_neither_pauses_nor_resumes(browse: Callable[[User], Client], chief: User) -> None:
    client = browse(make_operator("", "view_pause"))
    pause = pauses.pause("", chief)
    assert client.get(PAUSES).status_code == 200
    assert client.post(f"{PAUSES}add/", {"kind": "pdf"}).status_code == 403
    assert client.post(f"{PAUSES}{pause.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Pause.objects.get() == pause


def test_an_operator_sets_priorities_and_those_that_wait_no_more_are_skipped(at: Client) -> None:
    waiting, done = make_job(), make_job(State.SUCCEEDED)
    page = at.post(
        JOBS,
        {"action": "prioritise", "priority": "9", "_selected_action": [waiting.pk, done.pk]},
        follow=True,
    ).content.decode()
    waiting.refresh_from_db()
    done.refresh_from_db()
    assert (waiting.priority, done.priority) == (9, 5)
    assert "1 upload job given priority 9." in page
    assert "1 × the job is succeeded" in page
    assert LogEntry.objects.get().change_message == "Priority set to 9."


@pytest.mark.parametrize("priority", ["", "10", "-1", "x"])
def test_a_priority_is_from_0_to_9(at: Client, priority: str) -> None:
    job = make_job()
    page = at.post(
        JOBS, {"action": "prioritise", "priority": priority, "_selected_action": [job.pk]}, follow=True
    ).content.decode()
    job.refresh_from_db()
    assert job.priority == 5
    assert ("Choose a priority from 0 to 9." if priority == "" else "No action selected.") in page


def test_setting_a_priority_needs_its_permission(browse: Callable[[User], Client]) -> None:
    job = make_job()
    act = {"action": "prioritise", "priority": "9", "_selected_action": [job.pk]}
    assert browse(make_operator("", "view_uploadjob")).post(JOBS, act).status_code == 403
    allowed = browse(make_operator("", "view_uploadjob", "prioritise_uploadjob"))
    assert allowed.post(JOBS, act).status_code == 302
    job.refresh_from_db()
    assert job.priority == 9
