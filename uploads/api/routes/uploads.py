"""The two plain ways in. Their bodies are read by intake alone: nothing here looks at one."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import register_converter, reverse
from ninja import Router

from uploads.api.auth import user_of
from uploads.api.openapi import answers, binary
from uploads.api.schemas.job import JobOut, JobsOut
from uploads.intake import receive

router = Router(tags=["uploads"])


class AnythingConverter:
    """What is left of the path, whatever it is: a name is data, and intake makes it safe to show."""

    regex = r"(?s:.*)"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(AnythingConverter, "anything")

_REFUSALS = (
    "invalid_request", "incomplete_body", "digest_mismatch", "not_allowed", "too_slow", "wrong_state",
    "length_required", "too_large", "unsupported_encoding", "quota_exceeded", "queue_full", "too_busy",
    "storage_unavailable", "disk_full",
)  # fmt: skip
_MULTIPART: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "format": "binary"},
                        "description": "One or more files: all are taken, or none.",
                    }
                },
            }
        }
    },
}
_DIGEST: dict[str, Any] = {
    "name": "Content-Digest",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "`sha-256=:BASE64:` (RFC 9530); a body without a Content-Length needs it.",
}


@router.post(
    "", response={202: JobsOut}, summary="Send files as a form",
    openapi_extra=answers(*_REFUSALS, unsafe=True, requestBody=_MULTIPART),
)  # fmt: skip
def upload_form(request: HttpRequest) -> JobsOut:
    jobs = receive.receive_multipart(request, user_of(request))
    return JobsOut(jobs=[JobOut.of(job) for job in jobs])


@router.put(
    "/{anything:filename}", response={202: JobOut}, summary="Send one file as the body",
    openapi_extra=answers(
        *_REFUSALS, unsafe=True, requestBody={"required": True, "content": binary()}, parameters=[_DIGEST]
    ),
)  # fmt: skip
def upload_raw(request: HttpRequest, response: HttpResponse, filename: str) -> JobOut:
    job = receive.receive_raw(request, user_of(request), filename)
    response["Location"] = reverse("api:get_job", args=[job.pk])
    return JobOut.of(job)
