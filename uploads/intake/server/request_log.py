"""One log line and one measurement a request."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from uuid import uuid4

import structlog
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from uploads.telemetry import metrics
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_QUIET = ("/healthz", "/readyz", "/metrics", "/static/")


class RequestLogMiddleware:
    """Binds a request id (a proxy's X-Request-ID, or one of ours) to all that is logged meanwhile."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        got_request_exception.connect(_say_what_failed, dispatch_uid="uploads.request_failed")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.match(given) else uuid4().hex
        began = time.monotonic()
        with structlog.contextvars.bound_contextvars(request=request_id):
            response = self.get_response(request)
            spent = time.monotonic() - began
            # The route, not the path: a label with ids would grow without end.
            match = request.resolver_match
            route = match.route if match else "-"
            method = request.method if request.method in _METHODS else "other"
            metrics.REQUESTS.labels(method, route, response.status_code).observe(spent)
            quiet = request.path.startswith(_QUIET) or response.status_code == 304  # a page that looks again
            say = log.debug if quiet else log.info
            say(
                "request.answered", method=request.method, path=request.path[:500],
                status=response.status_code, seconds=round(spent, 4),
                user=None if quiet else getattr(getattr(request, "user", None), "pk", None),  # it may cost queries
            )  # fmt: skip
        response.headers["X-Request-ID"] = request_id
        return response


def _say_what_failed(**_signal: object) -> None:
    """Log what no view has caught: Django's own line about it is silenced, since it repeats ours."""
    log.error("request.failed", exc_info=True)
