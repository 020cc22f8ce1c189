"""The page: whose rows it shows, which, how safely, and at what cost."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.utils import timezone
from django.utils.html import strip_tags
from django.views.defaults import server_error

from tests.factories import (
    PASSWORD,
    make_artifact,
    make_attempt,
    make_error,
    make_job,
    make_node,
    make_operator,
)
from tests.web.conftest import HTMX
from uploads.models import Outcome, State, Transfer, UploadJob
from uploads.web.listing import changes


def names(html: str) -> list[str]:
    """The file names of the rows, from the top."""
    return re.findall(r'<h3 class="name"><bdi>(.*?)</bdi>', html)


def shown(client: Client, query: str = "") -> list[str]:
    # The sending list is empty without script; the rest are rows of the server.
    return [name for name in names(client.get(f"/{query}").content.decode()) if name]


def test_a_stranger_is_sent_to_the_login(client: Client, db: None) -> None:
    answer = client.get("/?state=failed")
    assert answer.status_code == 302
    assert answer["Location"] == "/login/?next=/%3Fstate%3Dfailed"


def test_after_signing_in_a_person_is_where_they_wanted_to_be(client: Client, owner: User) -> None:
    answer = client.post("/login/", {"username": "owner", "password": PASSWORD, "next": "/?q=a"})
    assert answer["Location"] == "/?q=a"


def test_a_wrong_password_is_told_without_saying_which_was_wrong(client: Client, owner: User) -> None:
    answer = client.post("/login/", {"username": "owner", "password": "guess"})
    assert "correct username and password" in answer.content.decode()


def test_signing_out_needs_a_post(at: Client) -> None:
    assert at.get("/logout/").status_code == 405
    assert at.post("/logout/").status_code == 302
    assert at.get("/").status_code == 302


def test_everybody_sees_their_own_files_only(
    owner: User, colleague: User, browse: Callable[..., Client]
) -> None:
    make_job(owner=owner, filename="mine.txt")
    make_job(owner=colleague, filename="theirs.txt")
    assert shown(browse(owner)) == ["mine.txt"]
    assert shown(browse(colleague)) == ["theirs.txt"]


def test_an_operator_too_sees_only_their_own_files_here(owner: User, browse: Callable[..., Client]) -> None:
    make_job(owner=owner, filename="mine.txt")
    assert shown(browse(make_operator("operator", "view_uploadjob"))) == []


def test_who_has_nothing_yet_is_told_what_will_be_here(at: Client) -> None:
    assert "Nothing here yet." in at.get("/").content.decode()


def test_the_newest_file_is_on_top(at: Client, owner: User) -> None:
    now = timezone.now()
    for minutes, name in ((5, "old.txt"), (1, "new.txt"), (3, "middle.txt")):
        make_job(owner=owner, filename=name, created_at=now - timedelta(minutes=minutes))
    assert shown(at) == ["new.txt", "middle.txt", "old.txt"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?state=failed", ["broken.pdf"]),
        ("?state=active", ["waiting.csv"]),
        ("?state=succeeded", ["Done.csv"]),
        ("?q=.CSV", ["Done.csv", "waiting.csv"]),
        ("?q=.csv&state=succeeded", ["Done.csv"]),
        ("?q=%25", []),
        ("?state=nonsense", ["broken.pdf", "Done.csv", "waiting.csv"]),
        ("?after=nonsense", ["broken.pdf", "Done.csv", "waiting.csv"]),
        ("?q=%00", ["broken.pdf", "Done.csv", "waiting.csv"]),
    ],
)
def test_the_list_is_filtered_by_state_and_searched_by_name(
    at: Client, owner: User, query: str, expected: list[str]
) -> None:
    now = timezone.now()
    make_job(State.FAILED, owner=owner, filename="broken.pdf", created_at=now)
    make_job(State.SUCCEEDED, owner=owner, filename="Done.csv", created_at=now - timedelta(1))
    make_job(State.QUEUED, owner=owner, filename="waiting.csv", created_at=now - timedelta(2))
    assert shown(at, query) == expected


def test_a_search_that_finds_nothing_says_so(at: Client, owner: User) -> None:
    make_job(owner=owner)
    assert "No upload matches." in at.get("/?q=unheard-of").content.decode()


def test_pages_join_without_a_gap_even_where_many_rows_have_the_same_time(at: Client, owner: User) -> None:
    # As in a form with many files: one statement of the database's, so one moment.
    make_job(owner=owner, filename="first")
    moment = UploadJob.objects.get().created_at
    for number in range(2 * changes.PAGE + 3):
        make_job(owner=owner, filename=f"n{number}", created_at=moment)
    seen: list[str] = []
    url: str | None = "/"
    while url:
        html = at.get(url).content.decode()
        seen += [name for name in names(html) if name]
        more = re.search(r'<p id="more".*?href="([^"]+)"', html, re.S)
        url = more and more[1].replace("&amp;", "&")
    assert len(seen) == 2 * changes.PAGE + 4
    assert len(set(seen)) == len(seen)


def test_rows_whose_time_the_database_wrote_are_paged_like_all_others(at: Client, owner: User) -> None:
    # SQLite writes milliseconds, and compares texts.
    UploadJob.objects.bulk_create(
        UploadJob(
            owner=owner, filename=f"n{number}", size=1, state=State.CANCELLED, finished_at=timezone.now()
        )
        for number in range(changes.PAGE + 5)
    )
    html = at.get("/").content.decode()
    first = [name for name in names(html) if name]
    link = re.search(r'hx-get="([^"]+after=[^"]+)"', html)
    assert link
    rest = names(at.get(link[1].replace("&amp;", "&"), headers=HTMX | {"HX-Target": "more"}).content.decode())
    assert len(first) == changes.PAGE
    assert len(rest) == 5
    assert not set(first) & set(rest)


def test_a_name_is_text_whatever_is_in_it(at: Client, owner: User) -> None:
    make_job(State.FAILED, owner=owner, filename="<script>alert(1)</script>\"'.txt")
    html = at.get("/").content.decode()
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;.txt") >= 2


def test_what_a_processor_found_is_text_too(at: Client, owner: User) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    make_job(
        State.SUCCEEDED, owner=owner, kind="table", content_type=nasty,
        result={"rows": 1, "columns": 1, "fields": [{"name": nasty, "type": nasty}],
                "preview": [[nasty]], "findings": [nasty]},
    )  # fmt: skip
    assert "<img src=x" not in at.get("/").content.decode()


def test_the_number_of_queries_does_not_grow_with_the_rows(
    at: Client, owner: User, django_assert_num_queries: Any
) -> None:
    def fill() -> None:
        for _ in range(5):
            make_job(owner=owner)
            make_error(make_job(State.FAILED, owner=owner))
            make_artifact(make_job(State.SUCCEEDED, owner=owner, kind="image", result={"width": 1}))

    fill()
    with django_assert_num_queries(8):  # session, person, rows, artifacts, errors; line, workers, attempts
        at.get("/")
    fill()
    with django_assert_num_queries(5):  # the line is known for a second
        at.get("/")


def test_for_htmx_the_list_comes_alone(at: Client, owner: User) -> None:
    make_job(owner=owner, filename="mine.txt")
    html = at.get("/", headers=HTMX | {"HX-Target": "list"}).content.decode()
    assert "mine.txt" in html
    assert "<html" not in html


def test_a_failed_file_says_why_and_what_to_do_and_offers_a_retry_where_that_could_help(
    at: Client, owner: User
) -> None:
    hopeless = make_job(State.FAILED, owner=owner)
    make_error(hopeless, "password_protected", message="The PDF opens only with a password.")
    hopeful = make_job(State.FAILED, owner=owner)
    make_error(hopeful, "processor_crashed")
    html = at.get("/").content.decode()
    assert "The PDF opens only with a password." in html
    assert "Remove the password and send it again." in html
    assert f"/jobs/{hopeful.pk}/retry/" in html
    assert f"/jobs/{hopeless.pk}/retry/" not in html


def test_no_traceback_reaches_the_page(at: Client, owner: User) -> None:
    make_error(make_job(State.FAILED, owner=owner), traceback="Traceback: secret", detail="secret detail")
    html = at.get("/").content.decode()
    assert "secret" not in html


def test_a_file_that_will_be_tried_again_says_when(at: Client, owner: User) -> None:
    soon = timezone.now() + timedelta(minutes=3)
    make_error(make_job(owner=owner, attempt=1, run_after=soon), "storage_unavailable")
    html = at.get("/").content.decode()
    assert "Will be tried again" in html
    assert soon.isoformat() in html


def test_waiting_files_know_their_place_in_line(at: Client, owner: User, colleague: User) -> None:
    now = timezone.now()
    make_job(owner=colleague, run_after=now - timedelta(seconds=9))
    make_job(owner=owner, filename="second", run_after=now - timedelta(seconds=5))
    html = at.get("/").content.decode()
    assert "Number 2 in line<" in html


def test_waiting_files_know_about_how_long_they_wait(at: Client, owner: User, colleague: User) -> None:
    now = timezone.now()
    make_node(workers=1)
    make_attempt(make_job(State.SUCCEEDED, owner=colleague), outcome=Outcome.SUCCEEDED)  # took a second
    for number in range(2, 131):
        make_job(owner=colleague, run_after=now - timedelta(seconds=300 - number))
    make_job(owner=owner, filename="first", run_after=now - timedelta(seconds=301))
    make_job(owner=owner, filename="last", run_after=now - timedelta(seconds=1))
    page = strip_tags(at.get("/").content.decode())
    assert "Next in line, less than a minute\n" in page
    assert "Waiting, about 2 minutes\n" in page  # its number would change with every start
    german = strip_tags(at.get("/", headers={"Accept-Language": "de"}).content.decode())
    assert "Als Nächstes dran, weniger als eine Minute\n" in german
    assert "Wartet, etwa 2 Minuten\n" in german


def test_a_cancelled_file_is_retried_only_if_it_is_whole(at: Client, owner: User) -> None:
    whole = make_job(State.CANCELLED, owner=owner)
    cut = make_job(State.CANCELLED, owner=owner, queued_at=None)
    html = at.get("/").content.decode()
    assert f"/jobs/{whole.pk}/retry/" in html
    assert f"/jobs/{cut.pk}/retry/" not in html
    assert f"/api/jobs/{cut.pk}/file" not in html


def test_the_page_carries_no_inline_script_or_style(at: Client, owner: User) -> None:
    make_artifact(make_job(State.SUCCEEDED, owner=owner, kind="image", result={"width": 1}))
    html = at.get("/").content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    scripts = re.findall(r"<script[^>]*>", html)
    assert all("src=" in tag or 'type="application/json"' in tag for tag in scripts)


def test_pages_that_went_wrong_are_ours(client: Client, db: None) -> None:
    answer = client.get("/nowhere/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_when_all_goes_wrong_the_page_says_so_without_a_person_or_a_database(rf: RequestFactory) -> None:
    answer = server_error(rf.get("/"))
    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.content.decode()


def test_a_resumable_upload_shows_how_far_it_has_come_and_how_it_goes_on(at: Client, owner: User) -> None:
    until = timezone.now() + timedelta(days=1)
    job = make_job(State.RECEIVING, owner=owner, filename="film.mov", size=1000, progress=40)
    Transfer.objects.create(job=job, owner=owner, offset=400, length=1000, expires_at=until)
    html = at.get("/").content.decode()
    assert 'value="40" aria-label="Progress of film.mov"' in html
    assert "choose the same file again" in html
    assert until.isoformat() in html


def test_a_plain_upload_that_is_being_received_promises_nothing(at: Client, owner: User) -> None:
    make_job(State.RECEIVING, owner=owner)
    html = at.get("/").content.decode()
    assert "Receiving" in html
    assert "choose the same file again" not in html


def test_the_line_is_in_the_order_in_which_jobs_start(at: Client, owner: User, colleague: User) -> None:
    now = timezone.now()
    make_job(owner=colleague, run_after=now - timedelta(seconds=9))
    make_job(owner=owner, filename="urgent", run_after=now - timedelta(seconds=5), priority=9)
    assert "Next in line" in at.get("/").content.decode()
