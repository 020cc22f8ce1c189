"""The page of one job: its whole story, and nothing that could rewrite it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import (
    make_artifact,
    make_attempt,
    make_error,
    make_failed_job,
    make_job,
    make_node,
    make_operator,
)
from uploads.models import State, UploadJob

Browse = Callable[[User], Client]


def page_of(job: UploadJob) -> str:
    return f"/admin/uploads/uploadjob/{job.pk}/change/"


@pytest.fixture
def storied(db: None) -> UploadJob:
    """A job that failed twice and then went through."""
    job = make_job("succeeded", attempt=3, filename="story.png", result={"width": 640, "by": "<b>me</b>"})
    node = make_node("dock-1")
    for number, outcome in ((1, "failed"), (2, "failed"), (3, "succeeded")):
        make_attempt(
            job, number, outcome, node=node, worker=f"dock-1:{number}00", peak_memory=3 << 20,
            cpu_seconds=0.5, wall_seconds=75.0, bytes_written=2048,
        )  # fmt: skip
    make_error(job, "worker_lost", attempt=1, will_retry=True)
    make_error(job, "timed_out", attempt=2, message="Too slow <i>today</i>.")
    make_artifact(job, "thumbnail.webp", attempt=3)
    make_artifact(job, "text.txt", attempt=3, content_type="text/plain")
    return job


def test_it_tells_each_attempt_each_error_the_artifacts_and_the_result(
    at: Client, storied: UploadJob
) -> None:
    page = at.get(page_of(storied)).content.decode()

    for told in (
        "dock-1:100", "dock-1:300", "3.0\xa0MB", "0.50 s", "1 min 15 s", "2.0\xa0KB", "Worker lost",
        "Took too long", storied.sha256, str(storied.pk), "&quot;width&quot;: 640",
        f"/api/jobs/{storied.pk}/file", f'<img src="/api/jobs/{storied.pk}/artifacts/thumbnail.webp"',
        f'href="/api/jobs/{storied.pk}/artifacts/text.txt"',
    ):  # fmt: skip
        assert told in page, told
    assert f'<img src="/api/jobs/{storied.pk}/artifacts/text.txt"' not in page
    for error in storied.errors.all():
        assert f"/admin/uploads/errorrecord/{error.pk}/change/" in page


def test_what_came_from_outside_is_escaped(at: Client, storied: UploadJob) -> None:
    UploadJob.objects.filter(pk=storied.pk).update(
        filename="<script>a</script>", note="<script>b</script>", contradiction="<script>c</script>"
    )

    page = at.get(page_of(storied)).content.decode()

    assert "<script>a" not in page
    assert "<script>b" not in page
    assert "<script>c" not in page
    assert "<b>me</b>" not in page
    assert "<i>today</i>" not in page
    assert "&lt;b&gt;me&lt;/b&gt;" in page


def test_many_attempts_cost_no_more_queries(at: Client, django_assert_max_num_queries: Any) -> None:
    job = make_job("failed", attempt=30)
    for number in range(1, 31):
        make_attempt(job, number, "failed", node=make_node())
        make_error(job, attempt=number)
    at.get(page_of(job))

    with django_assert_max_num_queries(12):
        assert at.get(page_of(job)).status_code == 200


@pytest.mark.parametrize("state", State.values)
def test_a_job_in_any_state_has_a_page_with_the_buttons_that_fit(at: Client, state: str) -> None:
    job = make_job(state)

    page = at.get(page_of(job)).content.decode()

    assert ("/do/retry/" in page) == (state in ("failed", "cancelled"))
    assert ("/do/cancel/" in page) == (state in ("receiving", "queued", "running"))
    assert 'name="_save"' not in page


def test_history_cannot_be_written(at: Client) -> None:
    job = make_job("failed", filename="before.txt")

    assert at.post(page_of(job), {"filename": "after.txt", "state": "succeeded"}).status_code == 403
    assert at.get("/admin/uploads/uploadjob/add/").status_code == 403
    job.refresh_from_db()
    assert (job.filename, job.state) == ("before.txt", "failed")


def test_a_job_that_does_not_exist_is_one_sentence(at: Client) -> None:
    for key in ("00000000-0000-0000-0000-000000000000", "nonsense", "..%2f..%2fetc"):
        answer = at.get(f"/admin/uploads/uploadjob/{key}/change/", follow=True)
        assert b"doesn\xe2\x80\x99t exist" in answer.content


def test_an_operator_who_may_only_look_is_offered_no_act_and_no_error(browse: Browse) -> None:
    job = make_failed_job()
    looker = make_operator("", "view_uploadjob")

    page = browse(looker).get(page_of(job)).content.decode()

    assert "/do/" not in page
    assert "/delete/" not in page
    assert "/errorrecord/" not in page
    assert "internal_error" in page
