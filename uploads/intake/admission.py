"""What is refused before a body is read: by headers, queue, quota, disk, and the threads at hand."""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

from uploads.codes import Refused
from uploads.db import connections
from uploads.jobs.lifecycle import capacity
from uploads.models import UploadJob
from uploads.storage.kept import local

SMALL = 8 << 20  # a plain upload larger than this is a row from its first byte

# RFC 9530 names a Byte Sequence of RFC 8941 a member of the dictionary: sha-256=:BASE64:
_SHA256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/]*={0,2}):\s*(?=;|,|$)")


@dataclass(frozen=True, slots=True)
class Announced:
    """What the headers say of a body: its length in bytes (None: chunked) and its SHA-256 in hex, or ""."""

    length: int | None
    sha256: str

    @property
    def most(self) -> int:
        """The most bytes that may come, for what must be known beforehand."""
        return settings.UPLOADS_MAX_SIZE if self.length is None else self.length


def announced(request: HttpRequest, largest: int) -> Announced:
    """Read the headers. Raises Refused: unsupported_encoding, length_required, too_large, invalid_request."""
    headers = request.headers
    if headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise Refused("unsupported_encoding")
    if "Content-Range" in headers:  # RFC 9110, section 14.5: a part must not pass for the whole file
        raise Refused("invalid_request", "Send the whole file: Content-Range is not taken here.")
    digest = _digest(headers.get("Content-Digest", ""))
    given = headers.get("Content-Length", "")
    if "Transfer-Encoding" in headers or not given:
        if not digest:
            # The end of a cut chunked body looks like any end: only a digest tells that it is whole.
            raise Refused("length_required")
        return Announced(None, digest)
    if not (given.isascii() and given.isdigit()):
        raise Refused("invalid_request", "Content-Length must be a whole number.")
    length = int(given)
    if length > largest:
        raise Refused("too_large", f"{length:,} bytes are more than the {largest:,} accepted here.")
    return Announced(length, digest)


def _digest(header: str) -> str:
    found = _SHA256.findall(header)
    if not found:
        return ""
    try:
        raw = base64.b64decode(found[-1], validate=True)  # of a key that comes twice the last counts
    except binascii.Error as wrong:
        raise Refused("invalid_request", "The sha-256 of Content-Digest is not base64.") from wrong
    if len(raw) != 32:
        raise Refused("invalid_request", "The sha-256 of Content-Digest is not 32 bytes long.")
    return raw.hex()


def check_disk(size: int, *, afresh: bool = False) -> None:
    """Raise Refused(disk_full) where `size` more bytes, beside those promised, pass UPLOADS_MIN_FREE."""
    with _promises:
        promised = _promised
    if afresh or size > SMALL or _reserved.until < time.monotonic():
        _reserved.look()
    promised += _reserved.size
    if local.free_bytes() - promised - size < settings.UPLOADS_MIN_FREE:
        raise Refused("disk_full")


class _Reserved:
    """Bytes that receiving rows reserve beyond what is on disk; remembered a moment for small bodies."""

    size = 0
    until = 0.0

    def look(self) -> None:
        rows = UploadJob.objects.receiving().values_list("pk", "size")
        self.size = sum(max(0, declared - local.spooled_bytes(job_id)) for job_id, declared in rows)
        self.until = time.monotonic() + 0.5


_reserved = _Reserved()
_promises = threading.Lock()
_promised = 0  # bytes of this process's bodies that no row reserves
_slots: threading.BoundedSemaphore | None = None


def _body_slots() -> threading.BoundedSemaphore:
    global _slots
    with _promises:
        if _slots is None:
            _slots = threading.BoundedSemaphore(max(1, settings.UPLOADS_WEB_THREADS * 3 // 4))
        return _slots


class Room:
    """A place for a body: its bytes are promised by this process until a receiving row reserves them."""

    def __init__(self, size: int) -> None:
        self.size = 0
        self._promise(size)

    def reserved_by_row(self) -> None:
        self._promise(-self.size)

    def _promise(self, more: int) -> None:
        global _promised
        with _promises:
            _promised += more
            self.size += more


@contextmanager
def body_slot() -> Iterator[None]:
    """Hold one of the threads that may read bodies. Raises Refused(too_busy).

    At most three quarters of a web worker's threads read bodies, so that the rest answer.
    """
    slots = _body_slots()
    if not slots.acquire(blocking=False):
        raise Refused("too_busy", retry_after=5)
    try:
        yield
    finally:
        slots.release()


@contextmanager
def room_for_body(owner_id: int, size: int) -> Iterator[Room]:
    """Hold a place for a body of at most `size` bytes: checks, then one of the threads that may read bodies.

    No database connection is held inside. Raises Refused: queue_full, quota_exceeded, disk_full, too_busy.
    """
    with body_slot():
        capacity.foresee(owner_id, 1, size)
        check_disk(size)
        connections.let_go()
        room = Room(size)
        try:
            yield room
        finally:
            room.reserved_by_row()
