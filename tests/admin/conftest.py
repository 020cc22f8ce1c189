"""The cast: a superuser, a colleague who may only look, and somebody with no business here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_operator, make_user

VIEW_ONLY = ("view_uploadjob", "view_errorrecord", "view_apitoken", "view_node")


@pytest.fixture(autouse=True)
def data_dir(settings: Any, tmp_path: Path) -> Path:
    """Storage of this test alone."""
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def chief(db: None) -> User:
    return make_user("chief", is_staff=True, is_superuser=True)


@pytest.fixture
def looker(db: None) -> User:
    return make_operator("looker", *VIEW_ONLY)


@pytest.fixture
def browse(db: None) -> Callable[[User], Client]:
    """A browser in which this person is signed in."""

    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def at(chief: User, browse: Callable[[User], Client]) -> Client:
    """The superuser's browser."""
    return browse(chief)
