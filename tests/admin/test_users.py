"""Users and groups: whoever may edit people may not make themselves more than they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_failed_job, make_operator, make_user

Browse = Callable[[User], Client]
URL = "/admin/auth/user/"


@pytest.fixture
def clerk(db: None) -> User:
    return make_operator("clerk", "view_user", "change_user", "add_user", "delete_user")


def test_a_clerk_does_not_raise_anybodys_rights(browse: Browse, clerk: User) -> None:
    at = browse(clerk)
    data = {"username": "clerk", "is_active": "on", "is_staff": "on", "is_superuser": "on"}

    answer = at.post(f"{URL}{clerk.pk}/change/", {**data, "first_name": "Clara"})

    assert answer.status_code == 302
    clerk.refresh_from_db()
    assert clerk.first_name == "Clara"
    assert not clerk.is_superuser


def test_a_clerk_does_not_touch_a_superuser(browse: Browse, clerk: User, chief: User) -> None:
    at = browse(clerk)
    before = chief.password

    assert at.post(f"{URL}{chief.pk}/change/", {"username": "mine"}).status_code == 403
    new = {"password1": "another-long-one", "password2": "another-long-one"}
    assert at.post(f"{URL}{chief.pk}/password/", new).status_code == 403
    assert at.post(f"{URL}{chief.pk}/delete/", {"post": "yes"}).status_code == 403
    at.post(URL, {"action": "delete_selected", "index": "0", "_selected_action": chief.pk, "post": "yes"})

    chief.refresh_from_db()
    assert (chief.username, chief.password) == ("chief", before)


def test_a_superuser_raises_rights(at: Client) -> None:
    user = make_user("petra")

    at.post(f"{URL}{user.pk}/change/", {"username": "petra", "is_active": "on", "is_staff": "on"})

    user.refresh_from_db()
    assert user.is_staff


def test_whose_acts_are_in_the_log_is_kept_and_so_is_who_has_jobs(at: Client, browse: Browse) -> None:
    colleague = make_user("colleague", is_staff=True, is_superuser=True)
    job = make_failed_job()
    browse(colleague).post(f"/admin/uploads/uploadjob/{job.pk}/do/retry/")

    for person, reason in ((colleague, b"the admin log of colleague"), (job.owner, b"upload job")):
        page = at.post(f"{URL}{person.pk}/delete/", {"post": "yes"})
        assert page.status_code == 200
        assert reason in page.content.lower()
        assert User.objects.filter(pk=person.pk).exists()


def test_who_left_no_trace_is_deleted(at: Client) -> None:
    user = make_user()

    at.post(f"{URL}{user.pk}/delete/", {"post": "yes"})

    assert not User.objects.filter(pk=user.pk).exists()
