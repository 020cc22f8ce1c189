"""Downloads: the original, always as an attachment, and its artifacts.

What strangers sent must never run in our origin: an opaque type, no sniffing, and a sandbox besides.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date, parse_http_date_safe
from ninja import Router

from uploads.api import ranges
from uploads.api.auth import user_of
from uploads.api.openapi import NOT_MODIFIED, answers, binary
from uploads.api.problems import problem
from uploads.codes import Refused
from uploads.db import connections
from uploads.jobs.lifecycle import permissions
from uploads.models import State
from uploads.storage import parts
from uploads.storage.fsync import storage_errors
from uploads.storage.kept import local

router = Router(tags=["files"])

CHUNK = 256 * 1024
OPAQUE = "application/octet-stream"
_PARAMETERS = [
    {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": what}
    for name, what in (
        ("Range", "One range of bytes, such as `bytes=0-1023`; several are answered with the whole file."),
        ("If-Range", "The ETag or Last-Modified that the range belongs to."),
        ("If-None-Match", "The ETag of what is there already."),
    )
]


def _described(kind: str, *codes: str, **types: object) -> dict[str, object]:
    return answers(
        *codes, "not_found", "range_not_satisfiable", "precondition_failed", "storage_unavailable",
        more=NOT_MODIFIED | {
            200: {"description": f"The {kind}", "content": {**binary(), **types}},
            206: {"description": f"A range of the {kind}", "content": {**binary(), **types}},
        },
        parameters=_PARAMETERS,
    )  # fmt: skip


def _inline_types() -> dict[str, object]:
    return {kind: body for each in settings.UPLOADS_INLINE_TYPES for kind, body in binary(each).items()}


@router.get(
    "/{job_id}/file", summary="The file as it was sent", openapi_extra=_described("file", "wrong_state")
)
def download_file(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    job = permissions.job_for(user_of(request), job_id)
    path = local.file_path(job_id)
    if job.state == State.RECEIVING:
        raise Refused("wrong_state", "The file is still being received.")
    if parts.pending(job_id):
        raise Refused("wrong_state", "The file is still being put together from its parts.")
    return _send(request, path, job.filename, OPAQUE, f'"{job.sha256 or job.pk}"')


@router.get(
    "/{job_id}/artifacts/{name}", summary="A file derived from it",
    openapi_extra=_described("artifact", **_inline_types()),
)  # fmt: skip
def download_artifact(request: HttpRequest, job_id: UUID, name: str) -> HttpResponseBase:
    job = permissions.job_for(user_of(request), job_id)
    found = next((one for one in job.artifacts.all() if one.name == name), None)
    if found is None:
        raise Refused("not_found", "The job has no such artifact.")
    path = local.artifact_path(job_id, found.attempt, found.name)
    return _send(request, path, name, found.content_type, f'"{job_id.hex}-{found.attempt}-{name}"')


def _send(request: HttpRequest, path: Path, filename: str, content_type: str, etag: str) -> HttpResponseBase:
    """The file, a range of it, 304, 412 or 416. Raises Refused(not_found) where it is gone."""
    try:
        with storage_errors():
            file = path.open("rb")
    except FileNotFoundError as wrong:
        raise Refused("not_found", "The file is not here any more.") from wrong
    stat = os.fstat(file.fileno())
    modified = int(stat.st_mtime)
    response = _partial(request, file, stat.st_size, etag, modified)
    inline = content_type in settings.UPLOADS_INLINE_TYPES
    if response.status_code < 300:
        response["Content-Type"] = content_type if inline else OPAQUE
        response["Content-Disposition"] = disposition(filename, attachment=not inline)
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified)
    response["Accept-Ranges"] = "bytes"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    connections.let_go()  # a slow reader must not hold a connection
    return response


def _partial(request: HttpRequest, file: BinaryIO, size: int, etag: str, modified: int) -> HttpResponseBase:
    """What the request's conditions and its range make of `file`; closes it where it isn't sent."""
    refused = get_conditional_response(request, etag, modified)
    if refused is not None:
        file.close()
        return problem("precondition_failed") if refused.status_code == 412 else refused
    wanted = None
    # Only GET has ranges; a HEAD is answered as for the whole file.
    if request.META["REQUEST_METHOD"] == "GET" and _if_range(request, etag, modified):
        try:
            wanted = ranges.parse(request.headers.get("Range", ""), size)
        except ranges.Unsatisfiable:
            file.close()
            return problem("range_not_satisfiable", headers={"Content-Range": f"bytes */{size}"})
    if request.META["REQUEST_METHOD"] == "HEAD":
        file.close()
        return HttpResponse(headers={"Content-Length": str(size)})
    whole = wanted or ranges.Range(0, size, size)
    response = StreamingHttpResponse(
        Slice(file, whole.start, whole.length), headers={"Content-Length": str(whole.length)}
    )
    if wanted is not None:
        response.status_code = 206
        response["Content-Range"] = wanted.content_range
    return response


def _if_range(request: HttpRequest, etag: str, modified: int) -> bool:
    """Whether a range may be sent: what the client has a part of is still the same (RFC 9110, 13.1.5)."""
    validator = request.headers.get("If-Range", "").strip()
    if not validator or validator == etag:
        return True
    return parse_http_date_safe(validator) == modified


class Slice:
    """`length` bytes of an open file from `start` on, in chunks; closes the file at the end."""

    def __init__(self, file: BinaryIO, start: int, length: int) -> None:
        file.seek(start)
        self._file = file
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = self._file.read(min(CHUNK, self._left)) if self._left else b""
        if not data:
            self.close()
            raise StopIteration
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()
        self._left = 0


def disposition(filename: str, *, attachment: bool) -> str:
    """Content-Disposition (RFC 6266): a name for every client, and beside it the true one (RFC 8187)."""
    name = "".join(letter for letter in filename if letter.isprintable()) or "file"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    if plain.startswith(".") and not name.startswith("."):
        plain = f"file{plain}"  # all of its stem was of other letters: keep what tells its kind
    plain = plain.strip(" .")
    # A percent sign in the plain name is decoded by some browsers, so it needs the second form too.
    plain = plain.replace("%", "_") or "file"
    header = content_disposition_header(attachment, plain) or ""
    return header if plain == name else f"{header}; filename*=utf-8''{quote(name, safe='')}"
