"""Who asks: a bearer token, or the session of a page of this site. Neither reads the body."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import HttpBearer
from ninja.security.base import AuthBase

from uploads.codes import Refused
from uploads.intake import csrf
from uploads.models import ApiToken


class Bearer(HttpBearer):
    """`Authorization: Bearer TOKEN`. A bad token is refused even where a session would do."""

    def authenticate(self, request: HttpRequest, token: str) -> User:
        # A header may hold any byte; only what could be a token gets as far as the database.
        user = ApiToken.user_of(token) if token.isascii() and token.isprintable() else None
        if user is None:
            raise Refused("not_signed_in", "The API token is wrong, or has expired.")
        request.user = user
        return user


class Session(AuthBase):
    """The session cookie; unsafe methods also need the page's origin and its token in X-CSRFToken."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME
    csrf = True  # the docs page sends the token by itself

    def __call__(self, request: HttpRequest) -> User | None:
        if not request.user.is_authenticated:
            return None
        csrf.check(request)
        return request.user


def user_of(request: HttpRequest) -> User:
    """Who asks, in a route behind `Bearer` or `Session`."""
    return cast(User, cast(Any, request).auth)
