"""The site as a whole: what is on it, what is not, and who is let in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_error, make_failed_job, make_job, make_node, make_user
from uploads.admin import site

Browse = Callable[[User], Client]


def test_only_our_own_models_are_on_the_site() -> None:
    labels = {model._meta.label for model in site._registry}

    assert labels == {
        "auth.User", "auth.Group",
        "uploads.UploadJob", "uploads.ErrorRecord", "uploads.ApiToken", "uploads.Node", "uploads.Pause",
    }  # fmt: skip


@pytest.mark.parametrize("model", ["task", "schedule", "ormq", "success", "failure"])
@pytest.mark.parametrize("page", ["", "add/", "1/change/", "1/delete/"])
def test_the_queues_own_pages_do_not_exist(at: Client, model: str, page: str) -> None:
    url = f"/admin/django_q/{model}/{page}"

    assert at.get(url).status_code == 404
    assert at.post(url, {"func": "os.system"}).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["", "uploads/", "uploads/uploadjob/", "uploads/errorrecord/", "uploads/node/", "uploads/apitoken/",
     "uploads/apitoken/add/", "auth/user/", "auth/group/"],
)  # fmt: skip
def test_every_page_answers_an_operator_and_sends_others_to_the_login(
    at: Client, browse: Browse, path: str
) -> None:
    url = f"/admin/{path}"
    make_failed_job()
    make_node()

    assert at.get(url).status_code == 200
    for outsider in (Client(), browse(make_user())):
        answer = outsider.get(url)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_the_pages_bear_our_name_and_no_inline_style_or_script(at: Client) -> None:
    job = make_failed_job()
    error = job.errors.get()

    for path in (
        "", "uploads/uploadjob/", f"uploads/uploadjob/{job.pk}/change/",
        f"uploads/uploadjob/{job.pk}/delete/", f"uploads/errorrecord/{error.pk}/change/",
    ):  # fmt: skip
        page = at.get(f"/admin/{path}").content.decode()
        assert "Wharfinger" in page
        assert "style=" not in page
        assert "<script>" not in page


def test_the_index_shows_only_what_a_person_may_see(at: Client, browse: Browse, looker: User) -> None:
    make_error()
    make_job()
    blind = make_user(is_staff=True)

    assert b"Open errors of the last day" in browse(looker).get("/admin/").content
    page = browse(blind).get("/admin/").content
    assert b"Open errors of the last day" not in page
    assert b"Oldest job" not in page
    assert b"Nodes" not in page
