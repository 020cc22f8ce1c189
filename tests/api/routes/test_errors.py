"""Error records, as operators review them through the API."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.api.conftest import by_token, problem_of
from tests.factories import make_error, make_failed_job, make_job
from uploads.jobs.lifecycle import execution
from uploads.models import ErrorRecord, UploadJob


@pytest.fixture
def client(operator: User) -> Client:
    return by_token(operator)


def ids(client: Client, **query: object) -> list[int]:
    return [item["id"] for item in client.get("/api/errors", query).json()["items"]]


def test_a_record_tells_an_operator_everything(client: Client, owner: User) -> None:
    error = make_error(make_job("failed", owner), "timed_out", traceback="Traceback …", detail="after 120 s")
    answer = client.get(f"/api/errors/{error.pk}").json()
    assert answer["traceback"] == "Traceback …"
    assert answer["detail"] == "after 120 s"
    assert (answer["owner"], answer["job"], answer["job_exists"]) == ("owner", str(error.job_uuid), True)
    assert (answer["state"], answer["code"], answer["worker"]) == ("open", "timed_out", "here:4711")
    assert "Raise the limit" in answer["advice"]


def test_records_are_narrowed_by_code_state_and_job(client: Client) -> None:
    now = timezone.now()
    first = make_error(code="timed_out", occurred_at=now - timedelta(hours=1))
    second = make_error(code="worker_lost", occurred_at=now, resolved_at=now)
    assert ids(client) == [second.pk, first.pk]
    assert ids(client, code="timed_out") == [first.pk]
    assert ids(client, state="open") == [first.pk]
    assert ids(client, state="resolved") == [second.pk]
    assert ids(client, job=str(second.job_uuid)) == [second.pk]
    assert ids(client, job=str(uuid4())) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [({"code": "bad_luck"}, "query.code"), ({"state": "shut"}, "query.state"), ({"job": "x"}, "query.job")],
)
def test_a_wrong_filter_is_named(query: dict[str, str], field: str, client: Client) -> None:
    problem = problem_of(client.get("/api/errors", query), 400, "invalid_request")
    assert [fault["field"] for fault in problem["errors"]] == [field]


def test_a_retry_queues_the_records_job(client: Client, data_dir: Path) -> None:
    job = make_failed_job()
    error = ErrorRecord.objects.get(job=job)
    answer = client.post(f"/api/errors/{error.pk}/retry").json()
    assert (answer["id"], answer["state"]) == (str(job.pk), "queued")
    problem_of(client.post(f"/api/errors/{error.pk}/retry"), 409, "wrong_state")


def test_a_record_outlives_its_job_but_cannot_bring_it_back(client: Client) -> None:
    error = make_error()
    execution.delete(error.job_uuid)
    assert client.get(f"/api/errors/{error.pk}").json()["job_exists"] is False
    problem_of(client.post(f"/api/errors/{error.pk}/retry"), 409, "wrong_state")
    assert not UploadJob.objects.exists()


def test_a_record_is_resolved_once_with_a_note_and_reopened_once(client: Client, operator: User) -> None:
    path = f"/api/errors/{make_error().pk}"
    answer = client.post(f"{path}/resolve", {"note": "A bad disk."}, content_type="application/json").json()
    assert (answer["state"], answer["resolved_by"], answer["resolution_note"]) == (
        "resolved",
        "operator",
        "A bad disk.",
    )
    again = client.post(f"{path}/resolve", {"note": "Me too."}, content_type="application/json")
    problem_of(again, 409, "wrong_state")
    answer = client.post(f"{path}/reopen").json()
    assert (answer["state"], answer["resolved_by"], answer["resolution_note"]) == (
        "open",
        None,
        "A bad disk.",
    )
    problem_of(client.post(f"{path}/reopen"), 409, "wrong_state")


@pytest.mark.parametrize(
    "sent",
    ["", "{", "[null]", '"note"', "null", '{"note": 1}', '{"note": "a\\u0000b"}', '{"note": "\\ud800"}',
     '{"remark": "x"}', '{"note": "' + "a" * 5001 + '"}', "[" * 100_000],
    ids=range(11),
)  # fmt: skip
def test_a_resolution_that_is_none_is_refused(sent: str, client: Client) -> None:
    error = make_error()
    response = client.post(f"/api/errors/{error.pk}/resolve", sent, content_type="application/json")
    problem_of(response, 400, "invalid_request")
    error.refresh_from_db()
    assert not error.is_resolved


def test_a_resolution_is_no_place_for_a_file(client: Client) -> None:
    sent = '{"note": "' + "a" * (2 << 20) + '"}'
    path = f"/api/errors/{make_error().pk}/resolve"
    problem_of(client.post(path, sent, content_type="application/json"), 413, "too_large")


def test_a_fault_in_a_body_is_named_as_the_client_knows_it(client: Client) -> None:
    path = f"/api/errors/{make_error().pk}/resolve"
    response = client.post(path, {"note": 1}, content_type="application/json")
    assert problem_of(response, 400, "invalid_request")["errors"][0]["field"] == "body.note"


@pytest.mark.parametrize("error_id", ["0", "-1", "x", "9" * 30, "12345", "%00"])
@pytest.mark.parametrize("act", ["", "/retry", "/resolve", "/reopen"])
def test_an_id_of_nothing_is_not_found(error_id: str, act: str, client: Client) -> None:
    path = f"/api/errors/{error_id}{act}"
    response = client.post(path, {"note": ""}, content_type="application/json") if act else client.get(path)
    problem_of(response, 404, "not_found")
