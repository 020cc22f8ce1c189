"""The upload page for people: they sign in, send files, watch, retry, cancel, delete.

Everything works as plain forms and links; with htmx the same views answer with the parts that changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event
from django_htmx.middleware import HtmxDetails

from uploads.codes import Refused
from uploads.intake import receive
from uploads.jobs import access, lifecycle
from uploads.models import State
from uploads.web import listing, rows
from uploads.web.texts import script_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User


class PageRequest(HttpRequest):
    """A request as it comes to these views: with what HtmxMiddleware says of it, and somebody signed in."""

    htmx: HtmxDetails
    user: User


def signed_in(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Send strangers to the login; a part of a page that asks in the background gets 401 instead."""

    def checked(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.htmx:
            return HttpResponse(status=401)
        return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")

    return checked


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
    wanted = listing.Wanted.from_query(request.GET)
    after = request.GET.get("after", "")
    jobs, more = listing.page(request.user, wanted, after)
    places = listing.places() if any(job.state == State.QUEUED for job in jobs) else {}
    context = {
        "rows": rows.rows(jobs, places),
        "wanted": wanted,
        "filters": [(key, label) for key, (label, _states) in listing.FILTERS.items()],
        "more": listing.cursor_of(jobs[-1]) if more else "",
        "after": after,
        "pause": listing.pause(job.state for job in jobs),
    }
    if request.htmx:
        part = "more" if request.htmx.target == "more" else "list"
        return render(request, f"uploads/_{part}.html", context)
    get_token(request)  # the scripts read the cookie
    return render(request, "uploads/index.html", context | _page_context(request.user))


def _page_context(user: User) -> dict[str, Any]:
    return {
        "max_size": settings.UPLOADS_MAX_SIZE,
        # Whose page it is: a browser remembers what was not finished for each person apart.
        "script": {"user": user.pk, "maxSize": settings.UPLOADS_MAX_SIZE, "texts": script_texts()},
    }


def _receive(request: PageRequest) -> HttpResponseBase:
    try:
        jobs = receive.receive_multipart(request, request.user, form_token=True)
    except Refused as refused:
        return _refusal(request, refused)
    text = ngettext("%(count)s file is here.", "%(count)s files are here.", len(jobs))
    messages.success(request, text % {"count": len(jobs)})
    response = redirect("index")
    response.status_code = 303
    return response


def _refusal(request: HttpRequest, refused: Refused) -> HttpResponse:
    """A page that says why something was turned away."""
    response = render(request, "uploads/refused.html", {"refused": refused}, status=refused.status)
    if refused.retry_after is not None:
        response["Retry-After"] = str(refused.retry_after)
    return response


@require_GET
@never_cache
@signed_in
def live(request: PageRequest) -> HttpResponseBase:
    """What has changed in the list since the browser last looked; 304 where nothing has.

    The ETag is the versions of all rows, see `listing`. `Poll-After` says in milliseconds when to ask again,
    0 not before something happens in the browser.
    """
    wanted = listing.Wanted.from_query(request.GET)
    known = listing.known_versions(request.headers.get("If-None-Match", ""))
    also = listing.named(request.GET.get("also", ""))
    found = listing.changes(request.user, wanted, request.GET.get("until", ""), known, also)
    response: HttpResponse
    if found.etag == request.headers.get("If-None-Match", "").removeprefix("W/"):
        response = HttpResponseNotModified()
    else:
        context = {
            "changed": rows.rows(found.changed, found.places),
            "new": [(group.after, rows.rows(group.jobs, found.places)) for group in found.new],
            "gone": found.gone,
            "announcement": rows.announcement(found.news),
        }
        response = render(request, "uploads/_live.html", context)
    response["ETag"] = found.etag
    response["Poll-After"] = str(found.pause)
    return response


# ---------------------------------------------------------------- what may be done with a job

ACTS: dict[str, Callable[[UUID], None]] = {
    "retry": lifecycle.retry,
    "cancel": lifecycle.cancel,
    "delete": lifecycle.delete,
}


@require_POST
@never_cache
@signed_in
def act(request: PageRequest, job_id: UUID, verb: str) -> HttpResponseBase:
    """Retry, cancel or delete one of one's own jobs. A refusal is a message."""
    try:
        job = _own(request.user, job_id, verb)
        ACTS[verb](job_id)
    except Refused as refused:
        return _not_done(request, job_id, refused)
    said = {
        "retry": _("%(name)s is in the queue again."),
        "cancel": _("%(name)s was cancelled."),
        "delete": _("%(name)s was deleted."),
    }[verb] % {"name": job.filename}
    if not request.htmx:
        messages.success(request, said)
        return _back(request)
    context: dict[str, Any] = {"announcement": said}
    if verb == "delete":
        context["gone"] = [listing.key_of(job_id)]
    else:
        context["changed"] = rows.rows([_own(request.user, job_id, "view")], listing.places())
    return trigger_client_event(render(request, "uploads/_live.html", context), "wake")


@require_GET
@never_cache
@vary_on_headers("HX-Request")
@signed_in
def confirm_delete(request: PageRequest, job_id: UUID) -> HttpResponseBase:
    """Ask before a job is deleted: a dialog in the page, or a page of its own."""
    try:
        job = _own(request.user, job_id, "delete")
    except Refused as refused:
        return _not_done(request, job_id, refused)
    template = "uploads/_delete.html" if request.htmx else "uploads/delete.html"
    return render(request, template, {"row": rows.Row(job)})


def _own(user: User, job_id: UUID, verb: str) -> Any:
    """One's own job: operators act on those of others in the admin, where it is written down."""
    job = access.job_for(user, job_id, verb)
    if job.owner_id != user.pk:
        raise Refused("not_found", _("There is no such job."))
    return job


def _not_done(request: PageRequest, job_id: UUID, refused: Refused) -> HttpResponse:
    if request.htmx:
        gone = [listing.key_of(job_id)] if refused.code == "not_found" else []
        context = {"problem": refused.detail, "gone": gone}
        response = render(request, "uploads/_live.html", context, status=refused.status)
        return trigger_client_event(response, "wake")
    if refused.code == "not_found":
        return _refusal(request, refused)
    messages.error(request, refused.detail)
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    """Back to the list as it was, with its filter."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    response = cast(HttpResponse, redirect(wanted if safe else "/"))
    response.status_code = 303
    return response
