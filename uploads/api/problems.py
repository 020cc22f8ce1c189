"""Every refusal and error as application/problem+json (RFC 9457) with a stable code."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.utils.translation import gettext
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from uploads.codes import REFUSALS, Refusal, Refused
from uploads.i18n import phrases
from uploads.storage.fsync import StorageUnavailable
from uploads.telemetry import metrics
from uploads.telemetry.logs import get_logger

CONTENT_TYPE = "application/problem+json"

# What only a program meets, beside the table that all faces share.
INTERNAL_ERROR = Refusal("internal_error", 500, "Something went wrong on our side.")
PRECONDITION_FAILED = Refusal("precondition_failed", 412, "What you have is out of date.")
TABLE = REFUSALS | {row.code: row for row in (INTERNAL_ERROR, PRECONDITION_FAILED)}

_CODE_OF_STATUS = {
    400: "invalid_request", 401: "not_signed_in", 403: "not_allowed", 404: "not_found",
    405: "method_not_allowed", 413: "too_large",
}  # fmt: skip

log = get_logger(__name__)


def problem(
    code: str,
    detail: str = "",
    *,
    retry_after: int | None = None,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """The answer for a code of TABLE: `detail` is one sentence about this case, `retry_after` seconds.

    `errors` are the single faults of an invalid request, each `{"field", "message"}`.
    """
    row = TABLE[code]
    body: dict[str, Any] = {
        "type": f"urn:wharfinger:{code}",
        # In the language asked for, where the catalogue has it; programs go by the code.
        "title": gettext(row.title),
        "status": row.status,
        "detail": phrases.translated(detail or row.title),
        "code": code,
    }
    if errors is not None:
        body["errors"] = errors
    response = HttpResponse(json.dumps(body), status=row.status, content_type=CONTENT_TYPE, headers=headers)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    if row.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="wharfinger"'
    metrics.REFUSALS.labels(code).inc()
    return response


def answer(wrong: Exception) -> HttpResponse:
    """The problem that an exception stands for; an unexpected one is logged and tells nothing."""
    if isinstance(wrong, Refused):
        return problem(wrong.code, wrong.detail, retry_after=wrong.retry_after)
    if isinstance(wrong, Http404):
        return problem("not_found")
    if isinstance(wrong, RequestDataTooBig):
        return problem("too_large", "The request's body is larger than is accepted here.")
    if isinstance(wrong, SuspiciousOperation):  # such as thousands of query parameters
        return problem("invalid_request")
    if isinstance(wrong, UnreadablePostError):
        return problem("incomplete_body")
    if isinstance(wrong, StorageUnavailable):
        log.error("request.storage_unavailable", exc_info=wrong)
        code = "disk_full" if wrong.full else "storage_unavailable"
        return problem(code, retry_after=30)
    if isinstance(wrong, (OperationalError, InterfaceError)):
        log.error("request.database_unavailable", exc_info=wrong)
        return problem("database_unavailable", retry_after=5)
    log.error("request.failed", exc_info=wrong)
    return problem("internal_error")


def install(api: NinjaAPI) -> None:
    """Let `api` answer each exception with its problem."""
    api.add_exception_handler(Exception, _any)
    api.add_exception_handler(Http404, _any)
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(ValidationError, _validation_error)


def _any(_request: HttpRequest, wrong: Any) -> HttpResponse:
    return answer(wrong)


def _http_error(_request: HttpRequest, wrong: Any) -> HttpResponse:
    """What ninja itself refuses: nobody signed in, a body that is no JSON."""
    code = _CODE_OF_STATUS.get(wrong.status_code, "invalid_request")
    return problem(code, "" if code == "not_signed_in" else str(wrong))


def _validation_error(_request: HttpRequest, wrong: Any) -> HttpResponse:
    if all(one["loc"][0] == "path" for one in wrong.errors):
        return problem("not_found")  # no such id can exist
    errors = [{"field": _field(one["loc"]), "message": str(one["msg"])} for one in wrong.errors]
    first = errors[0]
    return problem("invalid_request", f"{first['field']}: {first['message']}.", errors=errors)


def _field(location: tuple[str | int, ...]) -> str:
    """The place of a fault as the client knows it, such as `query.limit` or `body.note`.

    Where it is nested, ninja also names the argument of our own function that it is for.
    """
    source, *rest = location
    if source == "body" or len(rest) > 1:
        rest = rest[1:]
    return ".".join(str(part) for part in (source, *rest))
