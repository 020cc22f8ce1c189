"""Django's CSRF check for requests whose body must not be read to make it."""

from __future__ import annotations

import copy

from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware

from uploads.codes import Refused


def check(request: HttpRequest, form_token: str = "") -> None:
    """Check origin and token: the X-CSRFToken header, or `form_token` as a form's first field gave it.

    Django looks into request.POST first, which would spool the whole body; so it is shown a copy of the
    request whose form is what we say. Raises Refused(csrf_failed).
    """
    form = QueryDict(mutable=True)
    form["csrfmiddlewaretoken"] = form_token
    shown = copy.copy(request)
    shown.POST = form  # type: ignore[assignment]  # mutable or not, it is only read
    middleware = _Verdict(_not_exempt)
    middleware.process_request(shown)
    if middleware.process_view(shown, _not_exempt, (), {}) is not None:
        raise Refused("csrf_failed")


class _Verdict(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        return HttpResponse(status=403)  # Django would draw its page, which nobody gets to see


def _not_exempt(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()
