"""What Django refuses before a view is reached: under `/api/` it is a problem like any other."""

from __future__ import annotations

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from uploads.api.problems import problem


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a problem for programs, the page 400.html for people."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    wrong_host = isinstance(exception, DisallowedHost)
    return problem("invalid_request", "This site is not known under that host name." if wrong_host else "")
