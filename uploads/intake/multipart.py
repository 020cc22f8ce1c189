"""The multipart door (RFC 7578): every part named `file` is a file, written to disk as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpRequest
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from uploads.codes import Refused
from uploads.db import connections
from uploads.intake import admission, body, csrf
from uploads.intake.batch import Arrival, Delivery
from uploads.intake.filenames import safe_filename
from uploads.jobs.lifecycle import execution

FIELD = "file"
TOKEN_FIELD = "csrfmiddlewaretoken"  # noqa: S105 - the name of a field
_ANY = "latin-1"
_LONGEST_FIELD = 4_096
_MOST_FIELDS = 20


class Form:
    """One form on its way in: fields are looked at, files go to the delivery."""

    def __init__(
        self, request: HttpRequest, files: Delivery, room: admission.Room, length: int, *, checked: bool
    ) -> None:
        self.request, self.files, self.room = request, files, room
        self.length, self.checked = length, checked
        self.came = 0
        self.fields = 0

    def read(self, boundary: str) -> None:
        """Read the form to its end. Raises Refused."""
        try:
            # Latin-1 decodes any byte, so that no name fails; `_sent_name` looks again.
            with PushMultipartParser(boundary, self.length, header_charset=_ANY, strict=False) as parser:
                for piece in body.chunks(self.request, self.length, settings.UPLOADS_MAX_REQUEST):
                    self.came += len(piece)
                    self._take(parser.parse(piece))
        except ParserLimitReached as wrong:
            raise Refused("too_large", "The form's headers are larger than is accepted here.") from wrong
        except MultipartError as wrong:
            raise Refused("invalid_request", "The form is not well-formed multipart/form-data.") from wrong

    part: MultipartSegment | None = None
    arrival: Arrival | None = None
    field = b""
    perhaps_empty = False

    def _take(self, events: Iterator[MultipartSegment | bytearray | None]) -> None:
        for event in events:
            if isinstance(event, MultipartSegment):
                self._begin(event)
            elif event is not None:
                self._data(event)
            else:
                self._end()

    def _begin(self, part: MultipartSegment) -> None:
        self.part, self.arrival, self.field, self.perhaps_empty = part, None, b"", False
        if part.filename is None and part.name != FIELD:
            self.fields += 1
            if self.fields > _MOST_FIELDS:
                raise Refused("invalid_request", f"The form has more than {_MOST_FIELDS} fields.")
            return
        if not self.checked:
            raise Refused("csrf_failed", "The form's token must come before its files.")
        if part.name != FIELD:
            raise Refused("invalid_request", f'Send files in a field named "{FIELD}".')
        if part.filename == "" and part.content_type == "application/octet-stream":
            self.perhaps_empty = True  # what a browser sends for a file field that was left empty
            return
        self._begin_file(part)

    def _begin_file(self, part: MultipartSegment) -> None:
        if len(self.files.arrivals) >= settings.UPLOADS_MAX_FILES:
            raise Refused("too_large", f"One request may bring {settings.UPLOADS_MAX_FILES} files.")
        self.arrival = self.files.begin(
            safe_filename(_sent_name(part)), part.content_type or "", self.length, row=False
        )

    def _data(self, data: bytearray) -> None:
        if self.perhaps_empty and self.part is not None and data:
            self.perhaps_empty = False
            self._begin_file(self.part)  # a file after all, only without a name
        if self.arrival is None:
            self.field += data
            if len(self.field) > _LONGEST_FIELD:
                raise Refused("too_large", f"A field of the form is longer than {_LONGEST_FIELD} bytes.")
            return
        incoming = self.arrival.incoming
        if incoming.size + len(data) > settings.UPLOADS_MAX_SIZE:
            raise Refused(
                "too_large",
                f'"{self.arrival.filename}" is larger than the {settings.UPLOADS_MAX_SIZE:,} bytes accepted here.',
            )
        incoming.write(data)
        if incoming.size > admission.SMALL and not self.arrival.opened:
            self._show(self.arrival)

    def _end(self) -> None:
        if self.part is not None and self.part.name == TOKEN_FIELD and not self.checked:
            csrf.check(self.request, self.field.decode("latin-1"))
            self.checked = True
        if self.arrival is not None and self.arrival.opened:
            execution.measure(self.arrival.job_id, self.arrival.incoming.size)
            connections.let_go()
        self.arrival = None

    def _show(self, arrival: Arrival) -> None:
        """Give a file that has grown large its row; its size is at most what is left of the request."""
        most = arrival.incoming.size + self.length - self.came
        execution.open_upload(
            self.files.owner_id, arrival.filename, arrival.declared_type, most, job_id=arrival.job_id
        )
        arrival.opened = True
        self.room.reserved_by_row()
        connections.let_go()


def _sent_name(part: MultipartSegment) -> str:
    """The file name of a part, "" where it has none.

    Browsers send UTF-8 as it is (RFC 7578, section 5.1), other programs `filename*=UTF-8''…` (RFC 8187),
    old ones what their system writes: bytes that are no UTF-8 stand for Latin-1 then.
    """
    disposition = next(value for name, value in part.headerlist if name == "Content-Disposition")
    extended = parse_options_header(disposition)[1].get("filename*", "")
    charset, _language, quoted = extended.split("'", 2) if extended.count("'") >= 2 else ("", "", "")
    if charset.lower() in {"utf-8", "iso-8859-1"} and quoted:
        return unquote(quoted, charset, "replace")
    name = part.filename or ""
    try:
        return name.encode(_ANY).decode()
    except UnicodeDecodeError:
        return name
