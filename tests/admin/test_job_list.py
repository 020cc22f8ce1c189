"""The list of jobs: found by what an operator knows of one, with a bounded number of queries."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import make_artifact, make_error, make_failed_job, make_job, make_user
from uploads.admin import base
from uploads.models import UploadJob

URL = "/admin/uploads/uploadjob/"


def listed(at: Client, query: str = "") -> list[str]:
    """The file names that the list shows for a query string."""
    page = at.get(f"{URL}?{query}")
    assert page.status_code == 200, page
    return [job.filename for job in page.context["cl"].result_list]


def found(at: Client, text: str) -> list[str]:
    return listed(at, f"q={quote(text)}")


@pytest.fixture
def wanted(db: None) -> UploadJob:
    make_job(filename="other.txt", data=b"other")
    return make_job(filename="Report 2026.pdf", owner=make_user("petra"), data=b"the wanted bytes")


@pytest.mark.parametrize("column", ["state", "kind", "content_type"])
def test_jobs_are_filtered_by_state_kind_and_type(at: Client, column: str) -> None:
    make_job(filename="a", state="failed", kind="pdf", content_type="application/pdf")
    make_job(filename="b", state="queued", kind="image", content_type="image/png")
    query = {
        "state": "state__exact=failed", "kind": "kind=pdf", "content_type": "content_type=application/pdf",
    }[column]  # fmt: skip

    assert listed(at, query) == ["a"]


def test_a_filter_in_the_address_holds_although_no_recent_job_has_its_value(at: Client) -> None:
    make_job(kind="image")

    assert listed(at, "kind=video") == []


def test_jobs_are_filtered_by_owner_date_and_contradiction(at: Client, wanted: UploadJob) -> None:
    old = timezone.now() - timedelta(days=40)
    make_job(filename="old", created_at=old)
    make_job(filename="liar.png", contradiction="The name says image/png, the content is text/html.")
    week = quote((timezone.now() - timedelta(days=7)).isoformat())

    assert listed(at, "owner=petra") == ["Report 2026.pdf"]
    assert listed(at, "owner=nobody") == []
    assert "old" not in listed(at, f"created_at__gte={week}")
    assert listed(at, f"created_at__lt={week}") == ["old"]
    assert listed(at, "contradiction=yes") == ["liar.png"]
    assert "liar.png" not in listed(at, "contradiction=no")


def test_the_owner_filter_keeps_the_other_filters(at: Client) -> None:
    page = at.get(f"{URL}?state__exact=failed&owner=petra").content.decode()

    assert '<input type="hidden" name="state__exact" value="failed">' in page
    assert 'name="owner" value="petra"' in page
    assert 'href="?state__exact=failed"' in page


def test_a_search_finds_by_name_id_digest_and_owner(at: Client, wanted: UploadJob) -> None:
    for text in (
        "report", "2026.PDF", str(wanted.pk), wanted.pk.hex, f"  {str(wanted.pk).upper()} ", wanted.sha256,
        wanted.sha256.upper(), wanted.sha256[:8], "petra", "PETRA",
    ):  # fmt: skip
        assert found(at, text) == ["Report 2026.pdf"], text


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "0" * 64, "a" * 5_000, "\u202e", "\ud800"])
def test_a_search_for_nonsense_finds_nothing_and_breaks_nothing(
    at: Client, wanted: UploadJob, text: str
) -> None:
    query = quote(text, errors="surrogatepass")

    assert listed(at, f"q={query}") in ([], ["Report 2026.pdf", "other.txt"])


def test_fifty_rows_cost_as_many_queries_as_one(at: Client, django_assert_num_queries: Any) -> None:
    def fill(count: int) -> None:
        for number in range(count):
            job = make_failed_job(data=None, owner=make_user())
            make_artifact(job)
            make_job("receiving", owner=make_user(), size=number)

    fill(1)
    at.get(URL)  # the content types' cache is filled
    with django_assert_num_queries(7):
        at.get(URL)
    fill(24)
    with django_assert_num_queries(7):
        page = at.get(URL)
    assert len(page.context["cl"].result_list) == 50
    assert b"internal_error" in page.content


def test_a_count_stops_where_nobody_turns_pages(
    at: Client, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(base, "COUNT_AT_MOST", 60)
    for number in range(62):
        make_job(filename=f"f{number}")

    page = at.get(URL)

    assert page.context["cl"].result_count == 60
    text = page.content.decode()
    assert "60+ upload jobs" in text
    assert "Select all 60+ upload jobs" in text
    assert at.get(f"{URL}?p=2").status_code == 200
    assert at.get(f"{URL}?p=3").status_code == 302


def test_no_query_of_the_list_counts_the_whole_table(at: Client) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    make_job()
    with CaptureQueriesContext(connection) as queries:
        at.get(f"{URL}?_facets=True")

    counts = [query["sql"] for query in queries if re.search(r"COUNT\(", query["sql"])]
    assert counts
    assert all("LIMIT" in sql for sql in counts), counts


def test_hostile_names_are_text_and_nothing_else(at: Client) -> None:
    name = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>.png"
    make_job(filename=name)
    make_job(filename="invoice_\u202egpj.exe")

    page = at.get(URL).content.decode()

    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert '<bdi class="wf-name">invoice_\u202egpj.exe</bdi>' in page


def test_a_hostile_filter_value_comes_back_as_text(at: Client) -> None:
    evil = quote('"><script>alert(1)</script>')
    for parameter in ("owner", "kind", "content_type", "q", "x"):
        page = at.get(f"{URL}?{parameter}={evil}", follow=True).content.decode()
        assert "<script>alert" not in page


def test_a_filter_with_a_nul_is_a_bad_request(at: Client) -> None:
    for parameter in ("owner", "kind", "state__exact"):
        assert at.get(f"{URL}?{parameter}=a%00b").status_code == 400


def test_a_file_that_comes_in_shows_how_far_it_is(at: Client) -> None:
    make_job("receiving", size=200, data=b"x" * 50)
    make_job("running", progress=42, note="page 3 of 12")
    make_error(make_job("running", attempt=1), code="timed_out")  # not its last word while it runs

    page = at.get(URL).content.decode()

    assert 'max="100" value="25"' in page
    assert 'max="100" value="42"' in page
    assert "page 3 of 12" in page
    assert "timed_out" not in page
