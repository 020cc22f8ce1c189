"""An owner's browser, and the storage of one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_user
from uploads.web.listing import sessions

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def data_dir(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture(autouse=True)
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered for a moment is not remembered from test to test."""
    monkeypatch.setattr(sessions, "_known", {})


@pytest.fixture
def owner(db: None) -> User:
    return make_user("owner")


@pytest.fixture
def colleague(db: None) -> User:
    return make_user("colleague")


@pytest.fixture
def browse() -> Callable[..., Client]:
    """A browser in which this person is signed in."""

    def signed_in(user: User, **options: Any) -> Client:
        client = Client(**options)
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def at(owner: User, browse: Callable[..., Client]) -> Client:
    """The owner's browser."""
    return browse(owner)
