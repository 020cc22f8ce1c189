"""Error records: open ones first, one on its page with all an operator needs, retried and resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.admin.test_job_acts import confirmed, told
from tests.factories import make_error, make_failed_job, make_job, make_operator, make_user
from uploads.jobs.errors import review
from uploads.jobs.lifecycle import execution
from uploads.models import ErrorRecord, UploadJob

Browse = Callable[[User], Client]
URL = "/admin/uploads/errorrecord/"


def act(at: Client, action: str, errors: Iterable[ErrorRecord], query: str = "", **extra: str) -> Any:
    chosen = [str(error.pk) for error in errors]
    data = {"action": action, "index": "0", "_selected_action": chosen, **extra}
    return at.post(f"{URL}{query}", data, follow=True)


def button(at: Client, error: ErrorRecord, verb: str, **data: str) -> Any:
    return at.post(f"{URL}{error.pk}/do/{verb}/", data, follow=True)


def listed(at: Client, query: str = "") -> list[str]:
    page = at.get(f"{URL}?{query}")
    assert page.status_code == 200
    return [error.filename for error in page.context["cl"].result_list]


def error_of(job: UploadJob) -> ErrorRecord:
    return ErrorRecord.objects.get(job_uuid=job.pk)


@pytest.fixture
def failed(db: None) -> ErrorRecord:
    """The record of a failed job whose file is whole."""
    return error_of(make_failed_job(filename="failed.csv"))


# ---------------------------------------------------------------- the list


def test_open_records_are_shown_unless_others_are_asked_for(at: Client, chief: User) -> None:
    make_error(filename="open")
    review.resolve([make_error(filename="resolved").pk], chief)

    assert listed(at) == ["open"]
    assert listed(at, "review=nonsense") == ["open"]
    assert listed(at, "review=resolved") == ["resolved"]
    assert sorted(listed(at, "review=all")) == ["open", "resolved"]


def test_records_are_filtered_by_code_kind_date_owner_and_what_came_next(at: Client) -> None:
    make_error(code="timed_out", filename="slow", kind="pdf", owner=make_user("petra"))
    make_error(
        code="worker_lost", filename="lost", will_retry=True, kind="text",
        occurred_at=timezone.now() - timedelta(days=30),
    )  # fmt: skip
    week = quote((timezone.now() - timedelta(days=7)).isoformat())

    assert listed(at, "code__exact=timed_out") == ["slow"]
    assert listed(at, "kind=text") == ["lost"]
    assert listed(at, f"occurred_at__gte={week}") == ["slow"]
    assert listed(at, "owner=petra") == ["slow"]
    assert listed(at, "will_retry__exact=1") == ["lost"]


def test_a_search_finds_by_name_message_job_and_digest_also_after_the_job_has_gone(at: Client) -> None:
    job = make_failed_job(filename="wanted.csv")
    error = error_of(job)
    ErrorRecord.objects.filter(pk=error.pk).update(message="Line 7 has nine fields.")
    execution.delete(job.pk)
    make_error(filename="other")

    for text in ("WANTED", "nine fields", str(job.pk), job.pk.hex, error.sha256, error.sha256[:10]):
        assert listed(at, f"q={quote(text)}") == ["wanted.csv"], text


def test_fifty_records_cost_as_many_queries_as_one(at: Client, django_assert_num_queries: Any) -> None:
    make_error(make_job("failed", owner=make_user()))
    at.get(URL)
    with django_assert_num_queries(6):
        at.get(URL)
    for _ in range(20):
        make_error(make_job("failed", owner=make_user()))
    with django_assert_num_queries(6):
        at.get(URL)


# ---------------------------------------------------------------- the page of one


def test_a_page_tells_code_advice_traceback_worker_file_and_the_other_records(
    at: Client, failed: ErrorRecord
) -> None:
    ErrorRecord.objects.filter(pk=failed.pk).update(
        traceback='File "x.py"\nValueError: <script>alert(1)</script>', detail="exit <b>1</b>",
        exception_type="ValueError",
    )  # fmt: skip
    other = make_error(failed.job, "timed_out", attempt=7)

    page = at.get(f"{URL}{failed.pk}/change/").content.decode()

    for text in (
        "internal_error", "Internal error", "The traceback says where.", failed.message, "here:4711",
        "ValueError", failed.sha256, "failed.csv", f"/admin/uploads/uploadjob/{failed.job_uuid}/change/",
        f"{URL}{other.pk}/change/", "ValueError: &lt;script&gt;alert(1)",
    ):  # fmt: skip
        assert text in page, text
    assert "<script>alert" not in page
    assert "<b>1</b>" not in page


def test_a_record_outlives_its_job_and_says_so(at: Client, failed: ErrorRecord) -> None:
    execution.delete(failed.job_uuid)

    page = at.get(f"{URL}{failed.pk}/change/").content.decode()

    assert "deleted" in page
    assert "/do/retry/" not in page
    assert "/do/resolve/" in page
    answer = button(at, failed, "retry")
    assert "1 × the job was deleted" in told(answer)


def test_records_are_never_added_edited_or_removed(at: Client, failed: ErrorRecord) -> None:
    assert at.get(f"{URL}add/").status_code == 403
    assert at.post(f"{URL}{failed.pk}/change/", {"message": "nothing"}).status_code == 403
    assert at.post(f"{URL}{failed.pk}/delete/", {"post": "yes"}).status_code == 403
    act(at, "delete_selected", [failed], post="yes")
    assert error_of(UploadJob.objects.get()).message == failed.message


# ---------------------------------------------------------------- acts


def test_a_retry_moves_each_job_once_and_logs_job_and_record(at: Client, chief: User) -> None:
    job = make_failed_job(attempt=2)
    first = error_of(job)
    second = make_error(job, attempt=1)
    orphan = make_error()
    execution.delete(orphan.job_uuid)
    running = make_error(make_job("running"))

    answer = act(at, "retry", [first, second, orphan, running])

    text = told(answer)
    assert "1 error record retried. 3 skipped" in text
    assert "1 × another record of a job that was retried" in text
    assert "1 × the job was deleted" in text
    assert "1 × the job is running" in text
    job.refresh_from_db()
    assert job.state == "queued"
    log = LogEntry.objects.order_by("id").values_list("object_id", "action_flag")
    assert sorted(log) == sorted([(str(job.pk), CHANGE), (str(first.pk), CHANGE)])


def test_a_retry_that_is_refused_says_why_and_moves_nothing(at: Client) -> None:
    error = error_of(make_failed_job(data=None))

    for verb in ("retry", "retry_and_resolve"):
        assert "The file of this job is not here any more" in told(button(at, error, verb))
    assert not error_of(UploadJob.objects.get()).is_resolved
    assert not LogEntry.objects.exists()


def test_a_retry_may_resolve_all_records_of_the_job_that_were_chosen(at: Client, chief: User) -> None:
    job = make_failed_job(attempt=2)
    make_error(job, attempt=1)
    spared = make_error(job, attempt=3)

    answer = act(at, "retry_and_resolve", ErrorRecord.objects.exclude(pk=spared.pk))

    assert "2 error records retried and resolved." in told(answer)
    resolved = ErrorRecord.objects.filter(resolved_by=chief).values_list("attempt", flat=True)
    assert sorted(resolved) == [1, 2]
    spared.refresh_from_db()
    assert not spared.is_resolved


def test_resolving_asks_for_a_note_which_is_kept_and_logged(
    at: Client, chief: User, failed: ErrorRecord
) -> None:
    page = act(at, "resolve", [failed])
    assert b'<textarea id="wf-note" name="note"' in page.content
    assert not error_of(UploadJob.objects.get()).is_resolved

    answer = at.post(URL, {**confirmed(page), "note": " <b>Disk</b> replaced. "}, follow=True)

    assert "1 error record resolved." in told(answer)
    failed.refresh_from_db()
    assert (failed.resolved_by, failed.resolution_note) == (chief, "<b>Disk</b> replaced.")
    assert LogEntry.objects.get().change_message == "Resolved: <b>Disk</b> replaced."
    for url in (f"{URL}{failed.pk}/change/", f"{URL}{failed.pk}/history/"):
        shown = at.get(url).content.decode()
        assert "&lt;b&gt;Disk&lt;/b&gt; replaced." in shown
        assert "<b>Disk</b>" not in shown


def test_the_button_resolves_through_the_same_page_and_reopens(at: Client, failed: ErrorRecord) -> None:
    page = button(at, failed, "resolve")
    at.post(f"{URL}{failed.pk}/do/resolve/", {**confirmed(page), "note": "Seen."})
    failed.refresh_from_db()
    assert failed.is_resolved

    assert "1 × resolved already" in told(button(at, failed, "resolve", post="yes"))
    assert "1 error record reopened." in told(button(at, failed, "reopen"))
    assert "1 × open already" in told(button(at, failed, "reopen"))
    failed.refresh_from_db()
    assert not failed.is_resolved
    messages = LogEntry.objects.order_by("id").values_list("change_message", flat=True)
    assert list(messages) == ["Resolved: Seen.", "Reopened."]


def test_resolving_all_pages_spares_records_that_came_after_the_page(at: Client) -> None:
    errors = [make_error(code="worker_lost") for _ in range(60)]
    page = act(at, "resolve", errors[:1], "?code__exact=worker_lost", select_across="1")
    later, other = make_error(code="worker_lost"), make_error(code="timed_out")

    answer = at.post(f"{URL}?code__exact=worker_lost", confirmed(page), follow=True)

    assert "60 error records resolved." in told(answer)
    still_open = ErrorRecord.objects.filter(resolved_at__isnull=True)
    assert set(still_open) == {later, other}


# ---------------------------------------------------------------- permissions


@pytest.mark.parametrize("action", ["retry", "retry_and_resolve", "resolve", "reopen"])
def test_who_may_only_look_is_offered_no_action_and_refused_each(
    browse: Browse, looker: User, failed: ErrorRecord, action: str
) -> None:
    at = browse(looker)

    assert b'name="action"' not in at.get(URL).content
    assert b"/do/" not in at.get(f"{URL}{failed.pk}/change/").content
    assert act(at, action, [failed], post="yes").status_code == 403
    assert button(at, failed, action, post="yes").status_code == 403
    failed.refresh_from_db()
    assert not failed.is_resolved
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        (("retry_errorrecord",), {"retry"}),
        (("resolve_errorrecord",), {"resolve", "reopen"}),
        (("retry_errorrecord", "resolve_errorrecord"), {"retry", "resolve", "reopen", "retry_and_resolve"}),
        (("retry_uploadjob", "delete_uploadjob"), set()),
    ],
)
def test_a_permission_gives_its_actions_and_no_others(
    browse: Browse, failed: ErrorRecord, permissions: tuple[str, ...], allowed: set[str]
) -> None:
    at = browse(make_operator("", "view_errorrecord", "view_uploadjob", *permissions))

    answers = {
        action: button(at, failed, action).status_code
        for action in ("retry", "retry_and_resolve", "resolve", "reopen")
    }

    assert {action for action, status in answers.items() if status == 200} == allowed
    assert {status for action, status in answers.items() if action not in allowed} <= {403}
