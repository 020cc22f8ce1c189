"""Retry, cancel and delete: from the list and from a job's page, with permission, log and an honest count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_artifact, make_attempt, make_failed_job, make_job, make_operator
from uploads.admin import bulk_actions
from uploads.jobs.lifecycle import execution
from uploads.models import ErrorRecord, State, UploadJob
from uploads.storage.kept import local

Browse = Callable[[User], Client]
URL = "/admin/uploads/uploadjob/"


def act(at: Client, action: str, jobs: Iterable[UploadJob], query: str = "", **extra: str) -> Any:
    """Post an action of the list, as its form does; the answer is the page that follows."""
    chosen = [str(job.pk) for job in jobs]
    data = {"action": action, "index": "0", "_selected_action": chosen, **extra}
    return at.post(f"{URL}{query}", data, follow=True)


def told(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def button(at: Client, job: UploadJob, verb: str) -> Any:
    return at.post(f"{URL}{job.pk}/do/{verb}/", follow=True)


def state_of(job: UploadJob) -> str:
    return UploadJob.objects.get(pk=job.pk).state


def log_of(job: UploadJob) -> list[tuple[int, str]]:
    return list(LogEntry.objects.filter(object_id=str(job.pk)).values_list("action_flag", "change_message"))


# ---------------------------------------------------------------- retry and cancel


def test_a_retry_moves_what_it_can_and_says_what_it_skipped_and_why(at: Client) -> None:
    failed, whole = make_failed_job(), make_job("cancelled", data=b"here")
    gone, done, busy = make_job("cancelled"), make_job("succeeded"), make_job("running")

    answer = act(at, "retry", [failed, whole, gone, done, busy])

    assert [state_of(job) for job in (failed, whole, gone, done, busy)] == [
        "queued", "queued", "cancelled", "succeeded", "running",
    ]  # fmt: skip
    text = told(answer)
    assert "2 upload jobs queued again." in text
    assert "3 skipped" in text
    assert "1 × the job is succeeded" in text
    assert "1 × the job is running" in text
    assert "The file of this job is not here any more" in text


def test_each_moved_job_is_in_the_admin_log_and_no_other(at: Client, chief: User) -> None:
    failed, done = make_failed_job(), make_job("succeeded")

    act(at, "retry", [failed, done])

    assert log_of(failed) == [(CHANGE, "Retried.")]
    assert LogEntry.objects.get().user == chief
    assert log_of(done) == []


def test_a_cancel_moves_active_jobs_only(at: Client) -> None:
    jobs = {state: make_job(state) for state in State.values}
    make_attempt(jobs["running"])

    answer = act(at, "cancel", jobs.values())

    states = {state: state_of(job) for state, job in jobs.items()}
    assert states == {
        "receiving": "cancelled", "queued": "cancelled", "running": "cancelled",
        "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled",
    }  # fmt: skip
    assert "3 upload jobs cancelled. 3 skipped" in told(answer)
    assert log_of(jobs["queued"]) == [(CHANGE, "Cancelled.")]


def test_a_job_that_somebody_else_moved_meanwhile_is_skipped(
    at: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_failed_job(), make_failed_job()
    retry = execution.retry

    def race(job_id: Any) -> None:
        """A colleague is faster with the one that comes second."""
        other = first if job_id == second.pk else second
        if state_of(other) == "failed":
            retry(other.pk)
        retry(job_id)

    monkeypatch.setattr(execution, "retry", race)
    answer = act(at, "retry", [first, second])

    assert "1 upload job queued again. 1 skipped: 1 × The job is queued" in told(answer)
    assert LogEntry.objects.count() == 1


def test_all_pages_means_the_rows_of_the_filter_and_no_others(at: Client) -> None:
    make = [make_job("failed", kind="pdf", data=b"x") for _ in range(120)]
    spared = make_job("failed", kind="image", data=b"x")

    answer = act(at, "retry", make[:1], "?kind=pdf", select_across="1")

    assert "120 upload jobs queued again." in told(answer)
    assert UploadJob.objects.filter(state="queued").count() == 120
    assert state_of(spared) == "failed"
    assert LogEntry.objects.count() == 120


def test_when_time_is_up_the_rest_is_left_for_another_time(
    at: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [make_failed_job() for _ in range(3)]
    monkeypatch.setattr(bulk_actions, "SECONDS", -1.0)

    answer = act(at, "retry", jobs)

    assert "0 upload jobs queued again. Time was up before the end" in told(answer)
    assert UploadJob.objects.filter(state="failed").count() == 3


@pytest.mark.parametrize("key", ["nonsense", "", "1", "\x00"])
def test_a_forged_key_is_a_bad_request(at: Client, key: str) -> None:
    answer = at.post(URL, {"action": "retry", "index": "0", "_selected_action": key})

    assert answer.status_code == 400


def test_the_buttons_of_a_page_do_the_same(at: Client) -> None:
    failed, queued = make_failed_job(), make_job("queued")

    assert "1 upload job queued again." in told(button(at, failed, "retry"))
    assert "1 upload job cancelled." in told(button(at, queued, "cancel"))
    assert "1 × the job is cancelled" in told(button(at, queued, "cancel"))

    assert (state_of(failed), state_of(queued)) == ("queued", "cancelled")
    assert log_of(failed) == [(CHANGE, "Retried.")]
    assert log_of(queued) == [(CHANGE, "Cancelled.")]


def test_a_button_answers_to_post_only_and_knows_its_verbs(at: Client) -> None:
    job = make_failed_job()

    assert at.get(f"{URL}{job.pk}/do/retry/").status_code == 405
    assert at.post(f"{URL}{job.pk}/do/delete_selected/").status_code == 404
    assert at.post(f"{URL}nonsense/do/retry/").status_code == 404
    assert state_of(job) == "failed"


def test_a_button_needs_the_page_it_stands_on(chief: User) -> None:
    job = make_failed_job()
    at = Client(enforce_csrf_checks=True)
    at.force_login(chief)

    assert at.post(f"{URL}{job.pk}/do/retry/").status_code == 403
    assert state_of(job) == "failed"


# ---------------------------------------------------------------- delete


def confirmed(page: Any) -> dict[str, Any]:
    """What the form of a confirmation page would send."""
    text = page.content.decode()
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text):
        fields.setdefault(name, []).append(value)
    return fields


def test_a_delete_asks_first_then_takes_rows_and_files_but_no_records(
    at: Client, data_dir: Path, django_capture_on_commit_callbacks: Any
) -> None:
    job, other = make_failed_job(data=b"bytes"), make_job()
    make_artifact(job)

    page = act(at, "delete_selected", [job])

    assert job.filename in page.content.decode()
    assert UploadJob.objects.filter(pk=job.pk).exists()

    with django_capture_on_commit_callbacks(execute=True):
        answer = at.post(URL, confirmed(page), follow=True)

    assert "1 upload job deleted." in told(answer)
    assert list(UploadJob.objects.all()) == [other]
    assert not local.file_path(job.pk).exists()
    assert ErrorRecord.objects.get(job_uuid=job.pk).job is None
    assert log_of(job) == [(DELETION, "Deleted.")]


def test_a_delete_of_all_pages_carries_no_field_a_row_and_spares_who_came_later(at: Client) -> None:
    jobs = [make_job("failed") for _ in range(150)]
    page = act(at, "delete_selected", jobs[:1], "?state__exact=failed", select_across="1")
    fields = confirmed(page)
    later = make_job("failed")

    answer = at.post(f"{URL}?state__exact=failed", fields, follow=True)

    assert "150 upload jobs" in page.content.decode()
    assert len(fields["_selected_action"]) == 1
    assert "150 upload jobs deleted." in told(answer)
    assert list(UploadJob.objects.all()) == [later]


def test_a_delete_with_a_forged_time_is_a_bad_request(at: Client) -> None:
    job = make_job()
    for time in ("yesterday", "2026-01-01", "2026-13-45T00:00:00Z", "2026-01-01T00:00:00"):
        page = act(at, "delete_selected", [job], post="yes", seen_until=time)
        assert page.status_code == 400
    assert UploadJob.objects.exists()


def test_the_delete_button_of_a_page_goes_through_the_lifecycle_too(
    at: Client, django_capture_on_commit_callbacks: Any
) -> None:
    job = make_failed_job(data=b"bytes")
    make_artifact(job)
    url = f"{URL}{job.pk}/delete/"

    page = at.get(url).content.decode()
    assert "Are you sure" in page
    assert "protected" not in page

    with django_capture_on_commit_callbacks(execute=True):
        at.post(url, {"post": "yes"})

    assert not UploadJob.objects.exists()
    assert not local.file_path(job.pk).exists()
    assert ErrorRecord.objects.filter(job_uuid=job.pk).exists()
    assert [flag for flag, _message in log_of(job)] == [DELETION]


def test_a_delete_that_came_second_is_no_error(at: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job()
    delete = execution.delete

    def twice(job_id: Any) -> None:
        delete(job_id)
        delete(job_id)

    monkeypatch.setattr(execution, "delete", twice)
    answer = at.post(f"{URL}{job.pk}/delete/", {"post": "yes"}, follow=True)

    assert "There is no such job." in told(answer)


# ---------------------------------------------------------------- permissions


@pytest.mark.parametrize("action", ["retry", "cancel", "delete_selected"])
def test_who_may_only_look_is_offered_no_action_and_refused_each(
    browse: Browse, looker: User, action: str
) -> None:
    job = make_failed_job()
    at = browse(looker)

    assert b'name="action"' not in at.get(URL).content
    assert act(at, action, [job], post="yes").status_code == 403
    assert button(at, job, "retry").status_code == 403
    assert at.get(f"{URL}{job.pk}/delete/").status_code == 403
    assert at.post(f"{URL}{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert state_of(job) == "failed"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [("retry_uploadjob", "retry"), ("cancel_uploadjob", "cancel"), ("delete_uploadjob", "delete_selected")],
)
def test_a_permission_gives_its_action_and_no_other(browse: Browse, permission: str, allowed: str) -> None:
    job = make_failed_job()
    at = browse(make_operator("", "view_uploadjob", permission))

    for action in ("retry", "cancel", "delete_selected"):
        expected = 200 if action == allowed else 403
        assert act(at, action, [job]).status_code == expected


def test_a_permission_to_act_is_not_one_to_look(browse: Browse) -> None:
    job = make_failed_job()
    at = browse(make_operator("", "retry_uploadjob"))

    assert at.get(URL).status_code == 403
    assert button(at, job, "retry").status_code == 403
    assert state_of(job) == "failed"
