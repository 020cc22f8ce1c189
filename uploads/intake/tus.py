"""The moves of tus 1.0.0: create, look, append, end. The rows are `jobs.transfers`', the bytes `storage`'s.

The order is always the same: lock, compare the offset, write. A request takes the upload over from an older
one by a new generation, so that none ever waits for a client of another.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from uploads.codes import Refused
from uploads.intake import body, connections, limits, tus_headers
from uploads.intake.delivery import declared_type
from uploads.intake.names import safe_filename
from uploads.jobs import capacity, concatenation, lifecycle, transfers
from uploads.jobs.transfers import Upload
from uploads.models import Concat
from uploads.storage import append
from uploads.storage.append import Appender
from uploads.storage.durable import StorageUnavailable
from uploads.storage.fence import Superseded

if TYPE_CHECKING:
    from django.contrib.auth.models import User

COMMIT_BYTES = 16 << 20
COMMIT_SECONDS = 2.0


def create(request: HttpRequest, user: User) -> Upload:
    """Open an upload, and take its first bytes where the request brings some. Raises Refused.

    Where those bytes are cut or wrong nothing stays, since the client has not been told the address.
    """
    said = tus_headers.creation(request.headers)
    if said.length is not None and said.length > settings.UPLOADS_MAX_SIZE:
        raise _too_large(said.length)
    if said.parts:
        return _join(user, said)
    if said.body is None:
        upload = _open(user, said)
        return _finished(upload) if upload.to_finish else upload
    with limits.body_slot():
        upload = _open(user, said)
        try:
            return _append(request, upload, tus_headers.Patch(0, None, said.body))
        except BaseException:
            transfers.withdraw(upload.id)
            raise


def look(user: User, job_id: UUID) -> Upload:
    """An upload as far as its bytes are here, those of a request still under way included. Raises Refused."""
    upload = transfers.find(user.pk, job_id)
    if not upload.receiving:
        return upload
    if not upload.transfer.whole:
        transfers.settle(job_id)
        upload = transfers.find(user.pk, job_id)
    return _finished(upload) if upload.to_finish else upload


def patch(request: HttpRequest, user: User, job_id: UUID) -> Upload:
    """Append the request's bytes; the upload as it is then. Raises Refused.

    What came before a cut is kept, unless it has a checksum. The last bytes queue the job.
    """
    said = tus_headers.patch(request.headers)
    upload = transfers.find(user.pk, job_id)
    if upload.transfer.concat == Concat.FINAL:
        raise Refused("not_allowed", "A final upload is made of its parts; it takes no bytes.")
    if said.length is not None:
        upload = _with_length(user, upload, said.length)
    transfer = upload.transfer
    if said.offset != transfer.offset:
        raise Refused("offset_mismatch", f"The upload is at {transfer.offset}, not at {said.offset}.")
    if said.body.length and transfer.length is not None and said.offset + said.body.length > transfer.length:
        raise Refused("too_large", f"The bytes would go past the upload's length of {transfer.length}.")
    if not upload.receiving or (transfer.whole and not upload.to_finish):
        return upload
    if upload.to_finish:
        return _finished(upload)
    if said.body.empty:
        return upload
    with limits.body_slot():
        return _append(request, upload, said)


def end(user: User, job_id: UUID) -> None:
    """Remove an upload, and its job, whatever has become of it. Raises Refused."""
    lifecycle.delete(transfers.find(user.pk, job_id).id)


def _open(user: User, said: tus_headers.Creation) -> Upload:
    size = transfers.first_reservation() if said.length is None else said.length
    capacity.foresee(user.pk, 1, size)
    limits.check_disk(size)
    filename = safe_filename(said.filename)
    job_id = transfers.open_transfer(
        user.pk, filename, declared_type(said.content_type, filename),
        length=said.length, metadata=said.metadata, partial=said.partial,
    )  # fmt: skip
    try:
        if size > limits.SMALL:
            # With our own row in the sum: of two that race for the last space, not both get it.
            limits.check_disk(0, afresh=True)
        append.create(job_id)
    except (Refused, StorageUnavailable):
        transfers.withdraw(job_id)
        raise
    return transfers.find(user.pk, job_id)


def _join(user: User, said: tus_headers.Creation) -> Upload:
    """Make the whole of its parts, which a worker will write once more as one file."""
    limits.check_disk(concatenation.measure(user.pk, said.parts))
    filename = safe_filename(said.filename)
    job_id = concatenation.join(
        user.pk, said.parts, filename, declared_type(said.content_type, filename), said.metadata
    )
    return _finished(transfers.find(user.pk, job_id))


def _with_length(user: User, upload: Upload, length: int) -> Upload:
    if upload.transfer.length == length:
        return upload  # said again, as a repeated request does
    if upload.transfer.length is not None or not upload.receiving:
        raise Refused("invalid_request", "The upload's length is known already, and another one.")
    if length > settings.UPLOADS_MAX_SIZE:
        raise _too_large(length)
    if length > upload.reserved:
        limits.check_disk(length - upload.reserved, afresh=True)
    transfers.tell_length(upload, length)
    return transfers.find(user.pk, upload.id)


def _append(request: HttpRequest, upload: Upload, said: tus_headers.Patch) -> Upload:
    """Take the upload over and append the body. Raises Refused."""
    transfer = upload.transfer
    most = (settings.UPLOADS_MAX_SIZE if transfer.length is None else transfer.length) - said.offset
    if said.body.length is not None and said.body.length > most:
        raise _too_large(said.offset + said.body.length)
    writing = _Writing(upload, said)
    writing.reserve(0 if said.body.length is None else said.body.length)
    try:
        writing.begin()
        try:
            writing.take_in(request, most)
        finally:
            writing.close()
    except Superseded as wrong:
        upload = transfers.find(transfer.owner_id, upload.id)
        if upload.receiving or upload.transfer.length != writing.position:
            raise Refused("superseded") from wrong
        return upload  # these were the last bytes, and another request was quicker to see that
    upload = transfers.find(transfer.owner_id, upload.id)
    return _finished(upload, writing.sha256) if upload.to_finish else upload


class _Writing:
    """One request's bytes on their way into an upload."""

    def __init__(self, upload: Upload, said: tus_headers.Patch) -> None:
        self.upload, self.said = upload, said
        self.length = upload.transfer.length
        self.position = self.committed = said.offset
        self.reserved = upload.reserved
        checksum = said.body.checksum
        self._check = tus_headers.ALGORITHMS[checksum.algorithm]() if checksum else None
        # All bytes in one unbroken request: their digest costs nothing more than now.
        unbroken = said.offset == 0 and self.length is not None and said.body.length in (None, self.length)
        self._hash = hashlib.sha256() if unbroken else None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest() if self._hash and self.position == self.length else ""

    def begin(self) -> None:
        generation = transfers.take(self.upload, self.said.offset)
        connections.let_go()
        self.generation = generation
        try:
            self._file = Appender(
                self.upload.id, generation, self.said.offset, tentative=self._check is not None
            )
        except FileNotFoundError:
            transfers.lost(self.upload.id)
            raise Refused("superseded") from None

    def close(self) -> None:
        self._file.close()

    def reserve(self, more: int) -> None:
        """See that an upload of unknown length has room for `more` bytes (0: for its next step)."""
        if self.length is not None:
            return
        wanted = self.position + (more or transfers.DEFERRED_STEP)
        wanted = min(wanted, settings.UPLOADS_MAX_SIZE)
        if wanted > self.reserved:
            limits.check_disk(wanted - self.reserved, afresh=True)
            transfers.reserve(self.upload, wanted)
            self.reserved = wanted
            connections.let_go()

    def take_in(self, request: HttpRequest, most: int) -> None:
        try:
            self._read(request, most)
        except Refused as wrong:
            # A chunked body that goes on past the end: who knows what its last bytes are worth.
            if self._check is not None or wrong.code == "too_large":
                self._file.forget(self.committed)
            elif wrong.code in ("incomplete_body", "too_slow"):
                self._commit()
            raise
        self._verify()
        self._commit()

    def _read(self, request: HttpRequest, most: int) -> None:
        told = time.monotonic()
        for piece in body.chunks(request, self.said.body.length, most, lively=True):
            if self._check is not None:
                self._check.update(piece)
            if self._hash is not None:
                self._hash.update(piece)
            if self.said.body.length is None and self.position + len(piece) > self.reserved:
                self.reserve(0)
            self._file.write(piece)
            self.position = self._file.position
            due = self.position - self.committed >= COMMIT_BYTES or time.monotonic() - told >= COMMIT_SECONDS
            if due and self._check is None and self.position != self.length:
                self._commit()
                told = time.monotonic()

    def _verify(self) -> None:
        if self._check is None or self.said.body.checksum is None:
            return
        if self._check.digest() != self.said.body.checksum.digest:
            self._file.forget(self.committed)
            raise Refused("checksum_mismatch")
        self._file.sync()
        self._file.confirm()

    def _commit(self) -> None:
        """Bytes first, then the row: it never runs ahead of them."""
        position = self._file.sync()
        if position == self.committed:
            return
        try:
            transfers.advance(self.upload.id, self.generation, position, self.length)
        except Refused as wrong:
            if wrong.code == "gone":
                raise Superseded from wrong
            raise
        finally:
            connections.let_go()
        self.committed = position


def _finished(upload: Upload, sha256: str = "") -> Upload:
    transfers.finish(upload, sha256)
    return transfers.find(upload.transfer.owner_id, upload.id)


def _too_large(size: int) -> Refused:
    return Refused("too_large", f"{size} bytes are more than the {settings.UPLOADS_MAX_SIZE} accepted here.")
