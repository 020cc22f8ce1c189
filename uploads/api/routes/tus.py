"""Resumable uploads: tus 1.0.0, core and extensions (https://tus.io/protocols/resumable-upload).

A plain view: OpenAPI has no words for most of it, and a HEAD here is no GET without its body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path, reverse
from django.utils.cache import patch_vary_headers
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from uploads.api.auth import Bearer, Session
from uploads.api.problems import answer, problem
from uploads.codes import Refused
from uploads.intake.tus import headers, protocol
from uploads.models import Concat

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.urls import URLPattern

    from uploads.jobs.resumable.uploads import Upload


@csrf_exempt  # the session's requests are checked in auth, by a header: the body is not a form
def uploads(request: HttpRequest) -> HttpResponse:
    """`/api/tus/`: what is supported, and new uploads."""
    return _answered(request, {"OPTIONS": _options, "POST": _create}, None)


@csrf_exempt
def upload(request: HttpRequest, upload_id: str) -> HttpResponse:
    """`/api/tus/{id}`: one upload."""
    try:
        job_id = UUID(upload_id)
    except ValueError:
        return _mark(problem("not_found"))
    verbs = {"OPTIONS": _options, "HEAD": _look, "PATCH": _patch, "DELETE": _end}
    return _answered(request, verbs, job_id)


urlpatterns: list[URLPattern] = [
    path("", uploads, name="tus"),
    re_path(r"^(?P<upload_id>[^/]+)/?$", upload, name="tus_upload"),
]

_Verb = Callable[[HttpRequest, "User", UUID], HttpResponse]


def _answered(request: HttpRequest, verbs: dict[str, _Verb], job_id: UUID | None) -> HttpResponse:
    asked = (request.headers.get("X-HTTP-Method-Override") or request.method or "").strip().upper()
    request.method = asked  # also for CSRF: what is done decides, not what it is disguised as
    verb = verbs.get(asked)
    if verb is None:
        return _mark(problem("method_not_allowed", headers={"Allow": ", ".join(sorted(verbs))}))
    nothing = UUID(int=0)
    if asked == "OPTIONS":
        return _mark(verb(request, cast("User", None), nothing))
    try:
        headers.check_version(request.headers)
        response = verb(request, _who(request), job_id or nothing)
    except Exception as wrong:  # noqa: BLE001  # as all of the API does: a bug is logged, and a problem
        response = answer(wrong)
        if response.status_code == 412:
            response["Tus-Version"] = headers.VERSION
    return _mark(response)


def _who(request: HttpRequest) -> User:
    user = Bearer()(request) or Session()(request)
    if user is None:
        raise Refused("not_signed_in")
    return cast("User", user)


def _options(_request: HttpRequest, _user: User, _job_id: UUID) -> HttpResponse:
    return HttpResponse(
        status=204,
        headers={
            "Tus-Version": headers.VERSION,
            "Tus-Extension": ",".join(headers.EXTENSIONS),
            "Tus-Max-Size": str(settings.UPLOADS_MAX_SIZE),
            "Tus-Checksum-Algorithm": ",".join(headers.ALGORITHMS),
        },
    )


def _create(request: HttpRequest, user: User, _job_id: UUID) -> HttpResponse:
    made = protocol.create(request, user)
    response = HttpResponse(status=201)
    # A path: right behind any proxy that leaves paths as they are.
    response["Location"] = reverse("tus_upload", args=[made.id])
    return _place(response, made)


def _look(request: HttpRequest, user: User, job_id: UUID) -> HttpResponse:
    found = protocol.look(user, job_id)
    response = _place(HttpResponse(), found)
    transfer = found.transfer
    if transfer.length is None:
        response["Upload-Defer-Length"] = "1"
    else:
        response["Upload-Length"] = str(transfer.length)
    if transfer.metadata:
        response["Upload-Metadata"] = transfer.metadata
    if transfer.concat == Concat.PARTIAL:
        response["Upload-Concat"] = "partial"
    elif transfer.concat == Concat.FINAL:
        parts = (reverse("tus_upload", args=[part]) for part in transfer.parts)
        response["Upload-Concat"] = f"final;{' '.join(parts)}"
    return response


def _patch(request: HttpRequest, user: User, job_id: UUID) -> HttpResponse:
    return _place(HttpResponse(status=204), protocol.patch(request, user, job_id))


def _end(_request: HttpRequest, user: User, job_id: UUID) -> HttpResponse:
    protocol.end(user, job_id)
    return HttpResponse(status=204)


def _place(response: HttpResponse, found: Upload) -> HttpResponse:
    response["Upload-Offset"] = str(found.transfer.offset)
    if found.receiving:
        response["Upload-Expires"] = http_date(found.transfer.expires_at.timestamp())
    return response


def _mark(response: HttpResponse) -> HttpResponse:
    """What holds for each answer. An offset is never to be had from a cache."""
    response["Tus-Resumable"] = headers.VERSION
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ("Cookie", "Authorization"))
    return response
