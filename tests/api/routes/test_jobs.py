"""Jobs as a program sees them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.api.conftest import problem_of, url
from tests.factories import make_artifact, make_attempt, make_error, make_failed_job, make_job, make_node
from uploads.codes import FAILURE_CODES
from uploads.models import State, UploadJob

FIELDS = {
    "id", "filename", "size", "sha256", "content_type", "state", "progress", "note", "attempt", "created_at",
    "queued_at", "started_at", "finished_at", "next_attempt_at", "position", "estimated_start_at", "result",
    "artifacts", "error",
}  # fmt: skip


def names(program: Client, **query: object) -> list[str]:
    response = program.get("/api/jobs", query)
    assert response.status_code == 200, response.content
    return [item["filename"] for item in response.json()["items"]]


@pytest.mark.parametrize("state", State.values)
def test_a_job_has_exactly_the_promised_fields_in_each_state(
    state: str, program: Client, owner: User
) -> None:
    job = make_job(state, owner)
    answer = program.get(url(job)).json()
    assert set(answer) == FIELDS
    assert (answer["id"], answer["state"]) == (str(job.pk), state)
    assert answer["created_at"].endswith("Z")


def test_what_is_not_known_yet_is_null(program: Client, owner: User) -> None:
    answer = program.get(url(make_job("receiving", owner, content_type=""))).json()
    nulls = (
        "sha256", "content_type", "queued_at", "started_at", "finished_at", "next_attempt_at", "position",
        "estimated_start_at", "result",
    )  # fmt: skip
    assert {answer[name] for name in (*nulls, "error")} == {None}
    assert answer["artifacts"] == []


def test_a_result_comes_with_its_artifacts(program: Client, owner: User) -> None:
    job = make_job("succeeded", owner, result={"pages": [1, {"ä": None}]})
    make_artifact(job, "page-1.webp", size=7)
    answer = program.get(url(job)).json()
    assert answer["result"] == {"pages": [1, {"ä": None}]}
    assert answer["artifacts"] == [{"name": "page-1.webp", "content_type": "image/webp", "size": 7}]


def test_a_failed_job_says_what_went_wrong_in_the_uploaders_words_only(program: Client, owner: User) -> None:
    job = make_job("failed", owner)
    make_error(job, "corrupt_file", message="It ends early.", traceback="Traceback: secret", detail="secret")
    response = program.get(url(job))
    assert response.json()["error"] == {
        "code": "corrupt_file",
        "message": "It ends early.",
        "advice": FAILURE_CODES["corrupt_file"].uploader_advice,
        "retryable": False,
    }
    assert b"secret" not in response.content


def test_a_job_that_is_tried_again_says_when(program: Client, owner: User) -> None:
    due = timezone.now().replace(microsecond=0) + timedelta(minutes=1)
    job = make_job("queued", owner, attempt=1, run_after=due)
    make_error(job, "timed_out", attempt=1)
    answer = program.get(url(job)).json()
    assert answer["next_attempt_at"] == due.isoformat().replace("+00:00", "Z")
    assert answer["error"]["code"] == "timed_out"


def test_a_waiting_job_says_its_place_in_line_and_about_when_it_starts(
    program: Client, owner: User, colleague: User
) -> None:
    make_node(workers=1)
    make_attempt(make_job("succeeded", colleague), outcome="succeeded")  # took a second
    before = timezone.now()
    make_job("queued", colleague, run_after=before - timedelta(seconds=9))
    job = make_job("queued", owner, run_after=before - timedelta(seconds=5))
    answer = program.get(url(job)).json()
    assert answer["position"] == 2
    start = datetime.fromisoformat(answer["estimated_start_at"])
    assert before + timedelta(seconds=1) < start < before + timedelta(seconds=20)
    assert [one["position"] for one in program.get("/api/jobs").json()["items"]] == [2]


def test_each_failed_attempt_is_told_in_order_without_its_traceback(program: Client, owner: User) -> None:
    job = make_job("failed", owner, attempt=2)
    make_error(job, "corrupt_file", attempt=2, traceback="secret")
    make_error(job, "worker_lost", attempt=1, will_retry=True, detail="secret", worker="secret")
    response = program.get(url(job, "/errors"))
    items = response.json()["items"]
    assert [(item["attempt"], item["code"], item["will_retry"]) for item in items] == [
        (1, "worker_lost", True),
        (2, "corrupt_file", False),
    ]
    assert set(items[0]) == {
        "attempt", "code", "message", "advice", "retryable", "occurred_at", "will_retry",
    }  # fmt: skip
    assert b"secret" not in response.content


def test_the_list_is_narrowed_by_state_name_id_and_digest(program: Client, owner: User) -> None:
    make_job("queued", owner, filename="Report.PDF", sha256="a" * 64)
    job = make_job("failed", owner, filename="100%_sure.txt")
    make_job("running", owner, filename="other", sha256="b" * 64)
    assert names(program) == ["other", "100%_sure.txt", "Report.PDF"]
    assert names(program, state="failed") == ["100%_sure.txt"]
    assert names(program, state=["failed", "queued"]) == ["100%_sure.txt", "Report.PDF"]
    assert names(program, q="report") == ["Report.PDF"]
    assert names(program, q="%_") == ["100%_sure.txt"]
    assert names(program, q=str(job.pk)) == ["100%_sure.txt"]
    assert names(program, q=str(job.pk).upper()) == ["100%_sure.txt"]
    assert names(program, q=str(job.pk)[:8]) == []
    assert names(program, sha256="A" * 64) == ["Report.PDF"]
    assert names(program, sha256="a" * 64, state="failed") == []
    assert names(program, sha256=["b" * 64, "A" * 64, "c" * 64]) == ["other", "Report.PDF"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "lost"}, "query.state.0"),
        ({"q": "a\0b"}, "query.q"),
        ({"q": "a" * 201}, "query.q"),
        ({"sha256": "abc"}, "query.sha256.0"),
        ({"limit": 0}, "query.limit"),
        ({"limit": 101}, "query.limit"),
        ({"limit": "ten"}, "query.limit"),
        ({"limit": "9" * 5000}, "query.limit"),
        ({"cursor": "a" * 201}, "query.cursor"),
    ],
)
def test_a_wrong_filter_is_named(query: dict[str, str], field: str, program: Client) -> None:
    problem = problem_of(program.get("/api/jobs", query), 400, "invalid_request")
    assert [fault["field"] for fault in problem["errors"]] == [field]
    assert problem["detail"].startswith(field)


def test_broken_bytes_in_a_query_find_nothing(program: Client, owner: User) -> None:
    make_job("queued", owner)
    for broken in ("%ff%fe", "%ed%a0%80", "%25%00"[:3]):
        assert program.get(f"/api/jobs?q={broken}").json()["items"] == []


def test_what_has_not_changed_is_not_sent_again(program: Client, owner: User) -> None:
    job = make_job("queued", owner)
    for path in ("/api/jobs", url(job)):
        etag = program.get(path)["ETag"]
        response = program.get(path, headers={"If-None-Match": etag})
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)
        UploadJob.objects.filter(pk=job.pk).update(note=path)
        assert program.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_the_list_takes_as_many_queries_for_many_jobs_as_for_one(
    program: Client, owner: User, django_assert_max_num_queries: object
) -> None:
    for _ in range(20):
        make_artifact(make_failed_job(owner=owner, data=None))
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert len(program.get("/api/jobs").json()["items"]) == 20


def test_a_failed_job_is_queued_again(program: Client, owner: User, data_dir: Path) -> None:
    job = make_failed_job(owner=owner)
    assert program.post(url(job, "/retry")).json()["state"] == "queued"
    job.refresh_from_db()
    assert job.state == State.QUEUED


def test_a_job_that_runs_is_cancelled(program: Client, owner: User) -> None:
    job = make_job("running", owner)
    assert program.post(url(job, "/cancel")).json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("state", "act"),
    [("queued", "retry"), ("succeeded", "retry"), ("failed", "cancel"), ("cancelled", "cancel")],
)
def test_an_act_that_does_not_fit_the_state_is_refused(
    state: str, act: str, program: Client, owner: User
) -> None:
    job = make_job(state, owner)
    problem_of(program.post(url(job, f"/{act}")), 409, "wrong_state")
    job.refresh_from_db()
    assert job.state == state


def test_a_job_whose_file_is_gone_cannot_be_retried(program: Client, owner: User, data_dir: Path) -> None:
    problem_of(program.post(url(make_job("failed", owner), "/retry")), 409, "wrong_state")


def test_a_deleted_job_is_gone(program: Client, owner: User) -> None:
    job = make_job("running", owner)
    response = program.delete(url(job))
    assert (response.status_code, response.content) == (204, b"")
    problem_of(program.get(url(job)), 404, "not_found")
    problem_of(program.delete(url(job)), 404, "not_found")


@pytest.mark.parametrize("rest", ["", "/file", "/errors", "/artifacts/a"])
@pytest.mark.parametrize("job_id", ["x", "1", "%00", "..", "0" * 5000, str(UUID(int=7))])
def test_an_id_of_nothing_is_not_found(job_id: str, rest: str, program: Client) -> None:
    problem_of(program.get(f"/api/jobs/{job_id}{rest}"), 404, "not_found")
