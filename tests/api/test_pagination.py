"""Paging: every row once, in order, whatever comes and goes meanwhile."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client

from tests.api.conftest import by_token, problem_of
from tests.factories import make_error, make_job
from uploads.models import ErrorRecord, UploadJob


def walk(client: Client, path: str, limit: int) -> list[list[Any]]:
    """The ids of each page."""
    pages: list[list[Any]] = []
    cursor = ""
    while True:
        answer = client.get(path, {"limit": limit} | ({"cursor": cursor} if cursor else {})).json()
        pages.append([item["id"] for item in answer["items"]])
        cursor = answer["next_cursor"]
        if cursor is None:
            return pages
        assert len(pages) < 50, "the pages never end"


def flat(pages: list[list[Any]]) -> list[Any]:
    return [row for page in pages for row in page]


@pytest.mark.parametrize(
    "when",
    [Now(), datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5, 123_000, tzinfo=UTC),
     datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)],
    ids=["by the database's clock", "whole seconds", "milliseconds", "microseconds"],
)  # fmt: skip
def test_jobs_of_one_instant_come_once_each(when: Any, owner: User) -> None:
    older = make_job("queued", owner, created_at=datetime(2025, 1, 1, tzinfo=UTC))
    for _ in range(7):
        make_job("queued", owner, created_at=when)
    expected = [str(pk) for pk in UploadJob.objects.values_list("pk", flat=True)]
    pages = walk(by_token(owner), "/api/jobs", 3)
    assert [len(page) for page in pages] == [3, 3, 2]
    assert flat(pages) == expected
    assert expected[-1] == str(older.pk)


def test_error_records_of_one_instant_come_once_each(operator: User, owner: User) -> None:
    job = make_job("failed", owner)
    for number in range(5):
        make_error(job, attempt=number, occurred_at=Now())
    expected = list(ErrorRecord.objects.values_list("pk", flat=True))
    pages = walk(by_token(operator), "/api/errors", 2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert flat(pages) == expected


def test_a_full_last_page_is_the_last(owner: User) -> None:
    for _ in range(4):
        make_job("queued", owner)
    assert [len(page) for page in walk(by_token(owner), "/api/jobs", 2)] == [2, 2]


def test_rows_that_come_or_go_between_pages_shift_nothing(owner: User) -> None:
    jobs = [make_job("queued", owner) for _ in range(4)]
    client = by_token(owner)
    first = client.get("/api/jobs", {"limit": 2}).json()
    make_job("queued", owner)
    jobs[2].delete()  # the one the cursor names
    second = client.get("/api/jobs", {"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in second["items"]] == [str(jobs[1].pk), str(jobs[0].pk)]


@pytest.mark.parametrize("path", ["/api/jobs", "/api/errors"])
@pytest.mark.parametrize(
    "cursor",
    [
        "x", "====", "\0", "é", "a" * 201,
        *(
            base64.urlsafe_b64encode(text).decode().rstrip("=")
            for text in (
                b" ", b"now 1", b"2026-01-01T00:00:00 1", b"2026-01-01T00:00:00+00:00", b"\xff\xfe",
                b"0001-01-01T00:00:00+14:00 1", b"2026-01-01T00:00:00+00:00 \x00",
                b"0001-01-01T00:00:00+00:00 0b3a2b1c-0000-4000-8000-000000000000",
            )
        ),
    ],
)  # fmt: skip
def test_a_cursor_that_is_not_ours_is_refused(path: str, cursor: str, operator: User) -> None:
    problem_of(by_token(operator).get(path, {"cursor": cursor}), 400, "invalid_request")


def test_an_id_beyond_the_databases_integers_is_only_a_large_one(operator: User) -> None:
    make_error()
    text = f"2999-01-01T00:00:00+00:00 {10**30}".encode()
    cursor = base64.urlsafe_b64encode(text).decode().rstrip("=")
    assert by_token(operator).get("/api/errors", {"cursor": cursor}).status_code == 200
