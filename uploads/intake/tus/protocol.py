"""The moves of tus 1.0.0: create, look, append, end. The rows are `jobs.transfers`', the bytes `storage`'s.

The order is always the same: lock, compare the offset, write. A request takes the upload over from an older
one by a new generation, so that none ever waits for a client of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from uploads.codes import Refused
from uploads.intake import admission, body
from uploads.intake.batch import declared_type, delivery
from uploads.intake.filenames import safe_filename
from uploads.intake.tus import headers
from uploads.intake.tus.append import Writing
from uploads.jobs.lifecycle import capacity, execution
from uploads.jobs.resumable import concatenation, uploads
from uploads.jobs.resumable.uploads import Upload
from uploads.models import Concat
from uploads.storage import spool
from uploads.storage.fence import Superseded
from uploads.storage.fsync import StorageUnavailable

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def create(request: HttpRequest, user: User) -> Upload:
    """Open an upload, and take its first bytes where the request brings some. Raises Refused.

    Where those bytes are cut or wrong nothing stays, since the client has not been told the address.
    """
    said = headers.creation(request.headers)
    if said.length is not None and said.length > settings.UPLOADS_MAX_SIZE:
        raise _too_large(said.length)
    if said.parts:
        return _join(user, said)
    if said.body is None:
        upload = _open(user, said)
        return uploads.finish(upload) if upload.to_finish else upload
    if said.body.length == said.length and (said.length or 0) <= admission.SMALL and not said.partial:
        return _take_at_once(request, user, said, said.body)
    with admission.body_slot():
        upload = _open(user, said)
        try:
            return _append(request, upload, headers.Patch(0, None, said.body))
        except BaseException:
            uploads.withdraw(upload.id)
            raise


def look(user: User, job_id: UUID) -> Upload:
    """An upload as far as its bytes are here, those of a request still under way included. Raises Refused."""
    upload = uploads.find(user.pk, job_id)
    if not upload.receiving:
        return upload
    if not upload.transfer.whole:
        uploads.settle(job_id)
        upload = uploads.find(user.pk, job_id)
    return uploads.finish(upload) if upload.to_finish else upload


def patch(request: HttpRequest, user: User, job_id: UUID) -> Upload:
    """Append the request's bytes; the upload as it is then. Raises Refused.

    What came before a cut is kept, unless it has a checksum. The last bytes queue the job.
    """
    said = headers.patch(request.headers)
    upload = uploads.find(user.pk, job_id)
    if upload.transfer.concat == Concat.FINAL:
        raise Refused("not_allowed", "A final upload is made of its parts; it takes no bytes.")
    if said.length is not None:
        upload = _with_length(user, upload, said.length)
    if upload.receiving and said.offset > upload.transfer.offset:
        uploads.settle(job_id)  # a client may know more than the row does, after a crash
        upload = uploads.find(user.pk, job_id)
    transfer = upload.transfer
    if said.offset != transfer.offset:
        raise Refused("offset_mismatch", f"The upload is at {transfer.offset}, not at {said.offset}.")
    if said.body.length and transfer.length is not None and said.offset + said.body.length > transfer.length:
        raise Refused("too_large", f"The bytes would go past the upload's length of {transfer.length}.")
    if not upload.receiving or (transfer.whole and not upload.to_finish):
        return upload
    if upload.to_finish:
        return uploads.finish(upload)
    if said.body.empty:
        return upload
    with admission.body_slot():
        return _append(request, upload, said)


def end(user: User, job_id: UUID) -> None:
    """Remove an upload, and its job, whatever has become of it. Raises Refused."""
    execution.delete(uploads.find(user.pk, job_id).id)


def _open(user: User, said: headers.Creation) -> Upload:
    size = uploads.first_reservation() if said.length is None else said.length
    capacity.foresee(user.pk, 1, size)
    admission.check_disk(size)
    filename = safe_filename(said.filename)
    upload = uploads.open_transfer(
        user.pk, filename, declared_type(said.content_type, filename),
        length=said.length, metadata=said.metadata, partial=said.partial,
    )  # fmt: skip
    try:
        if size > admission.SMALL:
            # With our own row in the sum: of two that race for the last space, not both get it.
            admission.check_disk(0, afresh=True)
        if said.length == 0:
            spool.create(upload.id)  # else its first writer makes it
    except (Refused, StorageUnavailable):
        uploads.withdraw(upload.id)
        raise
    return upload


def _take_at_once(request: HttpRequest, user: User, said: headers.Creation, sent: headers.Body) -> Upload:
    """A small upload whose bytes all come with its creation is a plain one: no row until it is whole."""
    size, filename = sent.length or 0, safe_filename(said.filename)
    check = headers.ALGORITHMS[sent.checksum.algorithm]() if sent.checksum else None
    with admission.room_for_body(user.pk, size), delivery(user.pk) as files:
        arrival = files.begin(filename, said.content_type, size, row=False)
        for piece in body.chunks(request, size, size):
            arrival.incoming.write(piece)
            if check is not None:
                check.update(piece)
        if check is not None and sent.checksum is not None and check.digest() != sent.checksum.digest:
            raise Refused("checksum_mismatch")
        (landed,) = files.keep()
        return uploads.accept_at_once(landed, user.pk, said.metadata)


def _join(user: User, said: headers.Creation) -> Upload:
    """Make the whole of its parts, which a worker will write once more as one file."""
    admission.check_disk(concatenation.measure(user.pk, said.parts))
    filename = safe_filename(said.filename)
    job_id = concatenation.join(
        user.pk, said.parts, filename, declared_type(said.content_type, filename), said.metadata
    )
    return uploads.finish(uploads.find(user.pk, job_id))


def _with_length(user: User, upload: Upload, length: int) -> Upload:
    if upload.transfer.length == length:
        return upload  # said again, as a repeated request does
    if upload.transfer.length is not None or not upload.receiving:
        raise Refused("invalid_request", "The upload's length is known already, and another one.")
    if length > settings.UPLOADS_MAX_SIZE:
        raise _too_large(length)
    if length > upload.reserved:
        admission.check_disk(length - upload.reserved, afresh=True)
    uploads.tell_length(upload, length)
    return uploads.find(user.pk, upload.id)


def _append(request: HttpRequest, upload: Upload, said: headers.Patch) -> Upload:
    """Take the upload over and append the body. Raises Refused."""
    transfer = upload.transfer
    most = (settings.UPLOADS_MAX_SIZE if transfer.length is None else transfer.length) - said.offset
    if said.body.length is not None and said.body.length > most:
        raise _too_large(said.offset + said.body.length)
    writing = Writing(upload, said)
    writing.reserve(0 if said.body.length is None else said.body.length)
    try:
        writing.begin()
        try:
            writing.take_in(request, most)
        finally:
            writing.close()
    except Superseded as wrong:
        uploads.recover(upload.id)
        upload = uploads.find(transfer.owner_id, upload.id)
        if upload.to_finish:
            upload = uploads.finish(upload)
        if upload.receiving or upload.transfer.length != writing.position:
            raise Refused("superseded") from wrong
        return upload  # these were the last bytes, and another request was quicker to see that
    if writing.kept:
        return uploads.land(upload, writing.sha256)
    upload = uploads.find(transfer.owner_id, upload.id)
    return uploads.finish(upload, writing.sha256) if upload.to_finish else upload


def _too_large(size: int) -> Refused:
    return Refused("too_large", f"{size} bytes are more than the {settings.UPLOADS_MAX_SIZE} accepted here.")
