"""The index: is anything on fire?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from tests.factories import make_error, make_job, make_node
from uploads.admin import overview
from uploads.models import ErrorRecord


def figures(at: Client) -> dict[str, Any]:
    shown: dict[str, Any] = at.get("/admin/").context["figures"]
    return shown


def test_it_counts_jobs_by_state_and_links_to_them(at: Client) -> None:
    for state in ("failed", "failed", "running"):
        make_job(state)

    counts = {one["state"]: one["count"] for one in figures(at)["states"]}

    assert counts == {
        "receiving": 0, "queued": 0, "running": 1, "succeeded": 0, "failed": 2, "cancelled": 0,
    }  # fmt: skip
    link = next(one["url"] for one in figures(at)["states"] if one["state"] == "failed")
    assert at.get(link).context["cl"].result_count == 2


def test_it_counts_open_errors_of_the_last_day_by_code_and_links_to_them(at: Client) -> None:
    now = timezone.now()
    make_error(code="timed_out", will_retry=True)
    make_error(code="timed_out")
    make_error(code="timed_out", occurred_at=now - timedelta(days=2))
    make_error(code="corrupt_file")
    make_error(code="worker_lost", resolved_at=now)

    shown = figures(at)

    rows = [(one["code"], one["count"], one["by_itself"], one["own_fault"]) for one in shown["errors"]]
    assert rows == [("timed_out", 2, 1, False), ("corrupt_file", 1, 0, True)]
    assert shown["open_errors"] == 4
    assert at.get(shown["errors"][0]["url"]).context["cl"].result_count == 2


def test_it_names_the_oldest_job_that_is_due(at: Client) -> None:
    now = timezone.now()
    make_job(filename="later", run_after=now + timedelta(hours=1))
    assert figures(at)["oldest"] is None
    make_job(filename="newer", run_after=now - timedelta(minutes=1))
    make_job(filename="<b>older</b>", run_after=now - timedelta(minutes=5))

    page = at.get("/admin/")

    assert page.context["figures"]["oldest"].filename == "<b>older</b>"
    assert b"&lt;b&gt;older&lt;/b&gt;" in page.content
    assert b"waiting for 5 min" in page.content


def test_it_warns_where_no_node_lives(at: Client) -> None:
    make_node("lost", beat_at=timezone.now() - timedelta(minutes=10))
    assert b"No live node" in at.get("/admin/").content

    make_node("dock")

    assert b"No live node" not in at.get("/admin/").content


def test_its_counts_are_bounded(at: Client, monkeypatch: Any, django_assert_max_num_queries: Any) -> None:
    monkeypatch.setattr(overview, "COUNT_AT_MOST", 2)
    for _ in range(4):
        make_error()
    at.get("/admin/")

    with django_assert_max_num_queries(14):
        page = at.get("/admin/")

    assert b"<b>2+</b>" in page.content
    assert b"All open error records: 2+" in page.content
    assert ErrorRecord.objects.count() == 4
