"""Rows that keep up: only what changed is sent, and nothing while nothing changes."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.factories import make_error, make_job
from tests.web.conftest import HTMX
from uploads.models import State, UploadJob
from uploads.web.listing import changes


class Page:
    """A browser's page: it has rows in versions, and asks what changed."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.versions = re.findall(r'data-version="([^"]+)"', client.get("/").content.decode())

    def ask(self, query: str = "", tag: str | None = None) -> Any:
        tag = f'"{".".join(self.versions)}"' if tag is None else tag
        return self.client.get(f"/live/{query}", headers=HTMX | {"If-None-Match": tag})


def key(job: UploadJob) -> str:
    return f"job-{changes.key_of(job.pk)}"


def test_nothing_is_sent_while_nothing_has_changed(at: Client, owner: User) -> None:
    make_job(State.RUNNING, owner=owner)
    answer = Page(at).ask()
    assert answer.status_code == 304
    assert answer.content == b""


def test_a_proxy_that_weakens_the_tag_does_no_harm(at: Client, owner: User) -> None:
    make_job(owner=owner)
    page = Page(at)
    assert page.ask(tag=f'W/"{page.versions[0]}"').status_code == 304


def test_an_unchanged_look_is_cheap(at: Client, owner: User, django_assert_num_queries: Any) -> None:
    for _ in range(20):
        make_job(State.RUNNING, owner=owner)
    page = Page(at)
    with django_assert_num_queries(3):  # session, person, versions
        assert page.ask().status_code == 304
    with django_assert_num_queries(1):  # who this is has been seen a moment ago
        assert page.ask().status_code == 304


def test_who_signed_out_sees_no_change_any_more(at: Client, owner: User) -> None:
    job = make_job(State.RUNNING, owner=owner)
    page = Page(at)
    assert page.ask().status_code == 304
    cookie = at.cookies["sessionid"].value
    at.logout()
    at.cookies["sessionid"] = cookie
    UploadJob.objects.filter(pk=job.pk).update(progress=50, note="half way")
    answer = page.ask()
    assert answer.status_code == 401
    assert "half way" not in answer.content.decode()


def test_only_the_row_that_moved_is_sent(at: Client, owner: User) -> None:
    moving, resting = make_job(State.RUNNING, owner=owner), make_job(State.RUNNING, owner=owner)
    page = Page(at)
    UploadJob.objects.filter(pk=moving.pk).update(progress=50, note="half way")
    html = page.ask().content.decode()
    assert f'id="{key(moving)}"' in html
    assert "half way" in html
    assert 'hx-swap-oob="true"' in html
    assert key(resting) not in html


def test_a_new_file_comes_in_at_the_top(at: Client, owner: User) -> None:
    make_job(owner=owner, filename="old.txt", created_at=timezone.now() - timedelta(1))
    page = Page(at)
    make_job(owner=owner, filename="new.txt")
    html = page.ask().content.decode()
    assert 'hx-swap-oob="afterbegin:#rows"' in html
    assert "new.txt" in html


def test_a_row_that_begins_to_match_a_filter_comes_in_at_its_place(at: Client, owner: User) -> None:
    now = timezone.now()
    top = make_job(State.FAILED, owner=owner, created_at=now)
    late = make_job(State.RUNNING, owner=owner, created_at=now - timedelta(1))
    page = Page(at)
    page.versions = [changes.version_of(UploadJob.objects.get(pk=top.pk), None)]
    UploadJob.objects.filter(pk=late.pk).update(state=State.FAILED, lease_until=None, finished_at=now)
    html = page.ask("?state=failed").content.decode()
    assert f'hx-swap-oob="afterend:#{key(top)}"' in html
    assert key(late) in html


def test_a_row_that_went_is_taken_out(at: Client, owner: User) -> None:
    gone = make_job(owner=owner)
    page = Page(at)
    element = key(gone)
    gone.delete()
    assert f'<li id="{element}" hx-swap-oob="delete">' in page.ask().content.decode()


def test_rows_below_the_shown_ones_are_not_looked_at(at: Client, owner: User) -> None:
    now = timezone.now()
    for number in range(changes.PAGE + 5):
        make_job(State.RUNNING, owner=owner, created_at=now - timedelta(minutes=number))
    html = at.get("/").content.decode()
    until = re.search(r'data-until="([^"]+)"', html)
    assert until
    page = Page(at)
    assert len(page.versions) == changes.PAGE
    assert page.ask(f"?until={until[1]}").status_code == 304
    assert page.ask().status_code == 200


def test_of_a_long_list_the_newest_rows_are_kept_live_and_those_below_that_are_named(
    at: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LIVE_ROWS", 3)
    now = timezone.now()
    jobs = [make_job(State.RUNNING, owner=owner, created_at=now - timedelta(minutes=n)) for n in range(5)]
    versions = Page(at).versions
    page = Page(at)
    page.versions = [*versions[:3], versions[4]]
    assert page.ask(f"?also={jobs[4].pk.hex}").status_code == 304
    UploadJob.objects.filter(pk__in=[jobs[3].pk, jobs[4].pk]).update(progress=50)
    html = page.ask(f"?also={jobs[4].pk.hex}").content.decode()
    assert re.findall(r'<li class="row [^>]*id="([^"]+)"', html) == [key(jobs[4])]
    doomed = key(jobs[4])
    UploadJob.objects.filter(pk=jobs[4].pk).delete()
    html = page.ask(f"?also={jobs[4].pk.hex}").content.decode()
    assert re.findall(r'<li id="([^"]+)" hx-swap-oob="delete">', html) == [doomed]


@pytest.mark.parametrize("also", ["nonsense", "%00", "g" * 32, "-" * 32, "." * 5000])
def test_rows_named_wrongly_are_passed_over(at: Client, owner: User, also: str) -> None:
    make_job(owner=owner)
    assert Page(at).ask(f"?also={also}").status_code == 304


def test_nobody_elses_row_is_seen_by_naming_it(
    at: Client, owner: User, colleague: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LIVE_ROWS", 1)
    make_job(owner=owner)
    theirs = make_job(owner=colleague, filename="theirs.txt")
    assert "theirs.txt" not in Page(at).ask(f"?also={theirs.pk.hex}").content.decode()


@pytest.mark.parametrize(
    ("state", "pause"),
    [("running", "1000"), ("queued", "1500"), ("receiving", "2000"), ("succeeded", "0"), ("failed", "0")],
)
def test_the_server_says_when_to_ask_again_and_when_not_to(
    at: Client, owner: User, state: str, pause: str
) -> None:
    make_job(state, owner=owner)
    page = Page(at)
    assert page.ask()["Poll-After"] == pause
    assert page.ask(tag='""')["Poll-After"] == pause


def test_an_end_is_announced_once_and_by_name(at: Client, owner: User) -> None:
    job = make_job(State.RUNNING, owner=owner, filename="a.pdf")
    page = Page(at)
    UploadJob.objects.filter(pk=job.pk).update(
        state=State.SUCCEEDED, lease_until=None, finished_at=timezone.now(), result={}
    )
    html = page.ask().content.decode()
    assert '<p id="announcement" hx-swap-oob="innerHTML">a.pdf is done.</p>' in html
    assert "announcement" not in Page(at).ask().content.decode()


def test_a_failure_is_announced_with_its_reason(at: Client, owner: User) -> None:
    job = make_job(State.RUNNING, owner=owner, filename="a.pdf")
    page = Page(at)
    UploadJob.objects.filter(pk=job.pk).update(
        state=State.FAILED, lease_until=None, finished_at=timezone.now()
    )
    make_error(job, message="It is damaged.")
    assert "a.pdf failed. It is damaged." in page.ask().content.decode()


def test_many_ends_are_announced_as_numbers(at: Client, owner: User) -> None:
    for _ in range(4):
        make_job(State.SUCCEEDED, owner=owner)
    make_job(State.FAILED, owner=owner)
    assert "4 files are done. 1 file failed." in Page(at).ask(tag='""').content.decode()


def test_the_files_of_others_do_not_show(at: Client, owner: User, colleague: User) -> None:
    make_job(owner=colleague, filename="theirs.txt")
    assert "theirs.txt" not in Page(at).ask().content.decode()


@pytest.mark.parametrize("tag", ["", "*", '"', '"rubbish"', '"' + "a" * 20_000 + '"', '"....."'])
def test_a_tag_that_is_not_ours_is_as_good_as_none(at: Client, owner: User, tag: str) -> None:
    make_job(owner=owner, filename="mine.txt")
    answer = Page(at).ask(tag=tag)
    assert answer.status_code == 200
    assert "mine.txt" in answer.content.decode()


def test_who_is_signed_out_is_not_shown_a_login_inside_the_page(client: Client, db: None) -> None:
    assert client.get("/live/", headers=HTMX).status_code == 401
