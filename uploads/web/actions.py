"""What people do with their files: retry, cancel, delete, download, one by one or many at once.

Each is a plain form; with htmx the same views answer with the parts of the page that changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import reswap, trigger_client_event

from uploads.codes import Refused
from uploads.db import connections
from uploads.jobs.lifecycle import execution, permissions
from uploads.web import bulk_actions
from uploads.web.auth import PageRequest, signed_in
from uploads.web.listing import changes, row
from uploads.web.responses import back, refusal_page
from uploads.web.wording import translated

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ACTS: dict[str, Callable[[UUID], None]] = {
    "retry": execution.retry,
    "cancel": execution.cancel,
    "delete": execution.delete,
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
        return back(request)
    context: dict[str, Any] = {"announcement": said}
    if verb == "delete":
        context["gone"] = [changes.key_of(job_id)]
    else:
        job = _own(request.user, job_id, "view")
        context["changed"] = row.rows([job], changes.line_for([job.state]))
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
    return render(request, template, {"row": row.Row(job)})


def _own(user: User, job_id: UUID, verb: str) -> Any:
    """One's own job: operators act on those of others in the admin, where it is written down."""
    job = permissions.job_for(user, job_id, verb)
    if job.owner_id != user.pk:
        raise Refused("not_found", _("There is no such job."))
    return job


def _not_done(request: PageRequest, job_id: UUID, refused: Refused) -> HttpResponse:
    if request.htmx:
        gone = [changes.key_of(job_id)] if refused.code == "not_found" else []
        context = {"problem": translated.refusal(refused), "gone": gone}
        response = render(request, "uploads/_live.html", context, status=refused.status)
        return trigger_client_event(response, "wake")
    if refused.code == "not_found":
        return refusal_page(request, refused)
    messages.error(request, translated.refusal(refused))
    return back(request)


# ---------------------------------------------------------------- many at once

NAMED = 5  # files named in the question


@require_POST
@never_cache
@signed_in
def act_on_many(request: PageRequest) -> HttpResponseBase:
    """Retry, cancel or delete the files that were ticked, or all that the filter shows; deleting asks first."""
    verb = request.POST.get("verb", "")
    if verb not in bulk_actions.VERBS:
        return refusal_page(request, Refused("invalid_request"))
    chosen = bulk_actions.Chosen.from_form(request.POST)
    if verb == "delete" and not request.POST.get("before"):
        return _ask_to_delete(request, chosen)
    said = bulk_actions.act(request.user, chosen, verb)
    if not request.htmx:
        messages.success(request, said)
        return back(request)
    response = render(request, "uploads/_live.html", {"announcement": said, "done": said})
    return trigger_client_event(trigger_client_event(reswap(response, "none"), "wake"), "acted")


def _ask_to_delete(request: PageRequest, chosen: bulk_actions.Chosen) -> HttpResponse:
    """The question, and in it the moment it was put: what comes later was not meant."""
    found = chosen.rows(request.user).prefetch_related(None)
    names = list(found.values_list("filename", flat=True)[: NAMED + 1])
    context = {
        "count": found.count(),
        "names": names if len(names) <= NAMED else names[: NAMED - 1],
        "chosen": chosen,
        "before": timezone.now().isoformat(),
        "next": request.POST.get("next", ""),
    }
    return render(request, f"uploads/{'_delete_many' if request.htmx else 'delete_many'}.html", context)


@require_GET
@never_cache
@signed_in
def download_many(request: PageRequest) -> HttpResponseBase:
    """The chosen files as one zip."""
    try:
        pieces = bulk_actions.zipped(request.user, bulk_actions.Chosen.from_form(request.GET))
    except Refused as refused:
        return refusal_page(request, refused)
    response = StreamingHttpResponse(pieces, content_type="application/zip")
    response["Content-Disposition"] = content_disposition_header(True, bulk_actions.zip_name()) or ""
    response["X-Content-Type-Options"] = "nosniff"
    connections.let_go()  # a slow reader must not hold a connection
    return response
