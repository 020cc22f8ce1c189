"""The two plain doors: a raw body, and a multipart form (RFC 7578).

Nothing is left behind by a request that is refused, cut or fails: neither bytes nor rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from multipart import parse_options_header

from uploads.codes import Refused
from uploads.db import connections
from uploads.intake import admission, body
from uploads.intake.batch import Arrival, delivery
from uploads.intake.filenames import safe_filename
from uploads.intake.multipart import FIELD, Form
from uploads.jobs.lifecycle import capacity

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from uploads.models import UploadJob


def receive_raw(request: HttpRequest, user: User, filename: str) -> UploadJob:
    """Take the request's body as one file. Raises Refused; see `limits` and `body` for when."""
    largest = settings.UPLOADS_MAX_SIZE
    said = admission.announced(request, largest)
    size = min(admission.SMALL, largest) if said.length is None else said.length
    name, content_type = safe_filename(filename), request.headers.get("Content-Type", "")
    with admission.room_for_body(user.pk, size) as room, delivery(user.pk) as files:
        row = said.length is None or size > admission.SMALL
        arrival = files.begin(name, content_type, size, row=row)
        if row:
            room.reserved_by_row()
        for piece in body.chunks(request, said.length, largest):
            if arrival.incoming.size + len(piece) > size:
                size = _enlarge(arrival, user.pk, size + max(admission.SMALL, size // 8))
            arrival.incoming.write(piece)
        if said.sha256 and said.sha256 != arrival.incoming.sha256:
            raise Refused("digest_mismatch")
        return files.accept("put")[0]


def _enlarge(arrival: Arrival, owner_id: int, size: int) -> int:
    """Reserve `size` bytes, but no more than are ever accepted, for a body that tells no length."""
    size = min(size, settings.UPLOADS_MAX_SIZE)
    capacity.enlarge(arrival.job_id, owner_id, size)
    admission.check_disk(0, afresh=True)
    connections.let_go()
    return size


def receive_multipart(request: HttpRequest, user: User, *, form_token: bool = False) -> list[UploadJob]:
    """Take all files of a form, or none: one commit. The jobs come in the order of the files.

    With `form_token` (a page without script) the token must be a field before the first file; otherwise
    the caller has checked a header already. Raises Refused; where one file is to blame its name is said.
    """
    content_type, options = parse_options_header(request.headers.get("Content-Type", ""))
    boundary = options.get("boundary", "")
    if content_type != "multipart/form-data" or not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise Refused("invalid_request", "Send multipart/form-data with a boundary.")
    said = admission.announced(request, settings.UPLOADS_MAX_REQUEST)
    if said.length is None:
        raise Refused("length_required", "A form needs a Content-Length.")
    with admission.room_for_body(user.pk, said.length) as room, delivery(user.pk) as files:
        form = Form(request, files, room, said.length, checked=not form_token)
        form.read(boundary)
        if not files.arrivals:
            raise Refused("invalid_request", f'The form has no file. Send it in a field named "{FIELD}".')
        return files.accept("multipart")
