"""Answers that several views give: why not, and back to where somebody was."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from uploads.codes import Refused
from uploads.web.wording import translated


def refusal_page(request: HttpRequest, refused: Refused) -> HttpResponse:
    """A page that says why something was turned away."""
    title, detail = gettext(refused.title), translated.refusal(refused)
    context = {
        "title": title,
        "detail": "" if detail == title else detail,
        "retry_after": refused.retry_after,
    }
    response = render(request, "uploads/refused.html", context, status=refused.status)
    if refused.retry_after is not None:
        response["Retry-After"] = str(refused.retry_after)
    return response


def back(request: HttpRequest) -> HttpResponse:
    """Back to the list as it was, with its filter."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    response = cast(HttpResponse, redirect(wanted if safe else "/"))
    response.status_code = 303
    return response
