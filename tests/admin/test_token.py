"""API tokens: shown once when made, never again; revoked by deleting."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.factories import make_operator, make_user
from uploads.models import ApiToken

Browse = Callable[[User], Client]
URL = "/admin/uploads/apitoken/"


def make(at: Client, user: User, **fields: str) -> Any:
    data = {"user": str(user.pk), "name": "ci", "expires_at_0": "", "expires_at_1": "", **fields}
    return at.post(f"{URL}add/", data, follow=True)


def test_a_new_token_is_shown_once_and_works(at: Client) -> None:
    petra = make_user("petra")

    page = make(at, petra).content.decode()

    shown = re.findall(r"<code>(whf_\w{12}_[\w-]+)</code>", page)
    assert len(shown) == 1
    assert ApiToken.user_of(shown[0]) == petra
    row = ApiToken.objects.get()
    assert (row.user, row.name) == (petra, "ci")
    for path in ("", f"{row.pk}/change/", f"{row.pk}/history/", f"{row.pk}/delete/"):
        later = at.get(f"{URL}{path}").content.decode()
        assert shown[0] not in later
        assert row.digest not in later
    logged = " ".join(f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())
    assert logged
    assert shown[0].removeprefix(f"whf_{row.prefix}_") not in logged


def test_a_token_may_end(at: Client) -> None:
    until = timezone.now() + timedelta(days=1)

    make(at, make_user(), expires_at_0=f"{until:%Y-%m-%d}", expires_at_1="12:00:00")

    assert ApiToken.objects.get().expires_at is not None


def test_a_token_that_has_ended_already_is_not_made(at: Client) -> None:
    page = make(at, make_user(), expires_at_0="2020-01-01", expires_at_1="12:00:00")

    assert b"This time has passed." in page.content
    assert not ApiToken.objects.exists()


def test_a_token_is_revoked_by_deleting_and_never_changed(at: Client) -> None:
    row, token = ApiToken.issue(make_user())

    assert at.post(f"{URL}{row.pk}/change/", {"name": "other"}).status_code == 403
    assert ApiToken.user_of(token) is not None
    at.post(f"{URL}{row.pk}/delete/", {"post": "yes"})

    assert ApiToken.user_of(token) is None


def test_a_token_does_not_lend_the_rights_of_other_staff(browse: Browse, chief: User) -> None:
    clerk = make_operator("clerk", "add_apitoken", "view_apitoken", "view_user")
    at = browse(clerk)

    assert b"Only a superuser" in make(at, chief).content
    assert not ApiToken.objects.exists()
    make(at, clerk)
    make(at, make_user())
    assert ApiToken.objects.count() == 2


@pytest.mark.parametrize("path", ["add/", "{}/delete/"])
def test_who_may_only_look_makes_and_revokes_none(browse: Browse, looker: User, path: str) -> None:
    row, _token = ApiToken.issue(make_user())

    answer = browse(looker).post(f"{URL}{path.format(row.pk)}", {"user": row.user_id, "post": "yes"})

    assert answer.status_code == 403
    assert ApiToken.objects.count() == 1
