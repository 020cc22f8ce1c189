"""The upload page for people: they send files, search and filter their own, and watch what becomes of them.

Everything works as plain forms and links; with htmx the same views answer with the parts that changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from uploads.codes import Refused
from uploads.intake import receive
from uploads.web.auth import PageRequest, signed_in
from uploads.web.listing import changes, polling, row, sessions
from uploads.web.responses import refusal_page
from uploads.web.wording.script_strings import script_texts

if TYPE_CHECKING:
    from django.contrib.auth.models import User


# ---------------------------------------------------------------- the page


@csrf_exempt  # a form with files is checked by the intake, which must not have its body read before
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@vary_on_headers("HX-Request")
@signed_in
def index(request: PageRequest) -> HttpResponseBase:
    """The page; for htmx the list alone, or its next rows; and the plain form's door."""
    if request.method == "POST":
        return _receive(request)
    wanted = changes.Wanted.from_query(request.GET)
    after = request.GET.get("after", "")
    jobs, more = changes.page(request.user, wanted, after)
    context = {
        "rows": row.rows(jobs, changes.line_for(job.state for job in jobs)),
        "wanted": wanted,
        "filters": [(key, label) for key, (label, _states) in changes.FILTERS.items()],
        "more": changes.cursor_of(jobs[-1]) if more else "",
        "after": after,
        "pause": changes.pause(job.state for job in jobs),
    }
    if request.htmx:
        part = "more" if request.htmx.target == "more" else "list"
        return render(request, f"uploads/_{part}.html", context)
    get_token(request)  # the scripts look whether the cookie is still the same
    return render(request, "uploads/index.html", context | _page_context(request.user))


def _page_context(user: User) -> dict[str, Any]:
    return {
        "max_size": settings.UPLOADS_MAX_SIZE,
        # Whose page it is: what a browser remembers of one person is nobody else's.
        "script": {
            "user": user.pk,
            "maxSize": settings.UPLOADS_MAX_SIZE,
            "compareMax": settings.UPLOADS_COMPARE_MAX,
            "texts": script_texts(),
        },
    }


def _receive(request: PageRequest) -> HttpResponseBase:
    try:
        jobs = receive.receive_multipart(request, request.user, form_token=True)
    except Refused as refused:
        return refusal_page(request, refused)
    text = ngettext("%(count)s file is here.", "%(count)s files are here.", len(jobs))
    messages.success(request, text % {"count": len(jobs)})
    response = redirect("index")
    response.status_code = 303
    return response


@require_GET
@never_cache
def live(request: PageRequest) -> HttpResponseBase:
    """What has changed in the list since the browser last looked; 304 where nothing has.

    The ETag is the versions of all rows, see `listing`. `Poll-After` says in milliseconds when to ask again,
    0 not before something happens in the browser. Most looks find nothing: those end before anybody is asked
    who this is.
    """
    tag = request.headers.get("If-None-Match", "").removeprefix("W/")
    wanted = changes.Wanted.from_query(request.GET)
    until, also = request.GET.get("until", ""), changes.named(request.GET.get("also", ""))
    owner_id = sessions.of(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    if owner_id is not None:
        etag, wish = changes.glance(owner_id, wanted, until, also)
        if etag == tag:
            return _paced(HttpResponseNotModified(), etag, wish)
    return _changes(request, tag, wanted, until, also)


@signed_in
def _changes(
    request: PageRequest, tag: str, wanted: changes.Wanted, until: str, also: list[UUID]
) -> HttpResponseBase:
    sessions.met(request.session.session_key, request.user.pk)
    found = changes.changes(request.user, wanted, until, changes.known_versions(tag), also)
    if found.etag == tag:
        return _paced(HttpResponseNotModified(), found.etag, found.pause)
    context = {
        "changed": row.rows(found.changed, found.line),
        "new": [(group.after, row.rows(group.jobs, found.line)) for group in found.new],
        "gone": found.gone,
        "announcement": row.announcement(found.news),
    }
    return _paced(render(request, "uploads/_live.html", context), found.etag, found.pause)


def _paced(response: HttpResponse, etag: str, wish: int) -> HttpResponse:
    response["ETag"] = etag
    response["Poll-After"] = str(polling.pause(wish))
    return response
