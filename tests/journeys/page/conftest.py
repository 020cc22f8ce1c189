"""The page in a real browser: one Chromium, and a person without files for each story."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.journeys.conftest import Wharf
from tests.journeys.page.browser import Visit, chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


# People are made with a session each, since sixty good password hashes would take half a minute.
MAKE_PEOPLE = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
for number in range(60):
    user = User.objects.create_user(f"person{number}")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    print(session.session_key)
"""


@pytest.fixture(scope="package")
def sessions(wharf: Wharf) -> Iterator[str]:
    """Sessions of people who have no files yet, one for each story."""
    return iter(wharf.manage("shell", "--no-imports", "-c", MAKE_PEOPLE).split())


@pytest.fixture
def visit(browser: Browser, wharf: Wharf, sessions: Iterator[str]) -> Iterator[Visit]:
    """A tab of somebody whom no other test knows."""
    begun = Visit.begin(browser, wharf, viewport={"width": 1280, "height": 900})
    begun.enter(next(sessions))
    yield begun
    begun.context.close()


def jpeg(size: tuple[int, int] = (320, 200)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()
