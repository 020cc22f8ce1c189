"""The cast: an owner, a colleague whose business the owner's files are not, an operator, and a token each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import translation

from uploads.intake import admission
from uploads.jobs.lifecycle import capacity, queue_position
from uploads.models import ApiToken


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What a web worker remembers for a second must not reach the next test."""
    capacity._plenty.clear()
    capacity._uncounted = (0, 0.0, 0)
    admission._reserved.until = 0
    queue_position.forget()
    # A language that an earlier test left active must not reach the next one.
    translation.activate("en")


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner", password="owner")


@pytest.fixture
def colleague(db: None) -> User:
    return User.objects.create_user("colleague", password="colleague")


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("operator", password="operator")


@pytest.fixture
def owner_token(owner: User) -> str:
    return ApiToken.issue(owner)[1]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """The storage's directories, empty before and after."""
    root = Path(settings.DATA_DIR)
    yield root
    for name in ("spool", "files", "artifacts", "fences", "parts"):
        shutil.rmtree(root / name, ignore_errors=True)
