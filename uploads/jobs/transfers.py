"""The rows of resumable uploads: opened, taken over, moved on, finished.

A transfer's job is in state receiving from its first byte, under the same id. Each move is one guarded
UPDATE: `generation` is the fence between requests, as an attempt's number is between workers. Where both
rows move, the job's goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Greatest, Now

from uploads.codes import Refused
from uploads.jobs import capacity, clock, lifecycle, together
from uploads.models import Concat, State, Transfer, UploadJob
from uploads.storage import append, disk, fence
from uploads.storage.durable import StorageUnavailable, storage_errors
from uploads.telemetry import metrics
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

PART_NOTE = "part of a larger upload"
# What an upload of unknown length reserves beyond the bytes that are known to come.
DEFERRED_STEP = 64 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A resumable upload as its owner may see it: its transfer and its job's state; sizes in bytes."""

    transfer: Transfer
    state: State
    reserved: int

    @property
    def id(self) -> UUID:
        job_id: UUID = self.transfer.pk
        return job_id

    @property
    def receiving(self) -> bool:
        return self.state == State.RECEIVING

    @property
    def to_finish(self) -> bool:
        """Whether all bytes are here and the job is only to be queued."""
        return self.receiving and self.transfer.whole and self.transfer.concat != Concat.PARTIAL


def find(owner_id: int, job_id: UUID, *, expired: bool = False) -> Upload:
    """An owner's upload. Raises Refused: not_found where there never was one of theirs; gone where it has
    expired (but with `expired`), or was cancelled, removed or used as a part."""
    job = UploadJob.objects.filter(pk=OuterRef("pk"))
    found = (
        Transfer.objects.filter(pk=job_id, owner_id=owner_id)
        .annotate(state=Subquery(job.values("state")), size=Subquery(job.values("size")), now=Now())
        .first()
    )
    if found is None:
        raise Refused("not_found", "There is no such upload.")
    if found.state is None or found.state == State.CANCELLED:
        raise Refused("gone")
    if found.state == State.RECEIVING and found.expires_at <= found.now and not expired:
        raise Refused("gone", "The upload has expired.")
    return Upload(found, State(found.state), found.size)


def open_transfer(
    owner_id: int, filename: str, declared_type: str, *, length: int | None, metadata: str, partial: bool
) -> Upload:
    """Announce an upload of `length` bytes (None: not yet known). Raises Refused where there is no room."""
    reserved = first_reservation() if length is None else length

    def write() -> Upload:
        job_id = lifecycle.open_upload(owner_id, filename, declared_type, reserved)
        if partial:
            UploadJob.objects.filter(pk=job_id).update(note=PART_NOTE)
        transfer = Transfer.objects.create(
            job_id=job_id, owner_id=owner_id, length=length, metadata=metadata,
            concat=Concat.PARTIAL if partial else Concat.NONE, expires_at=expiry(),
        )  # fmt: skip
        return Upload(transfer, State.RECEIVING, reserved)

    return together.commit(write, moves=False)


def accept_at_once(landed: lifecycle.Landed, owner_id: int, metadata: str) -> Upload:
    """Queue an upload that was created with all its bytes, in one commit. Raises Refused; then nothing is there."""
    transfer = Transfer(
        job_id=landed.job_id, owner_id=owner_id, offset=landed.size, length=landed.size, metadata=metadata,
        expires_at=expiry(),
    )  # fmt: skip
    lifecycle.accept(owner_id, [landed], also=lambda: transfer.save(force_insert=True))
    _count(landed.size)
    return Upload(transfer, State.QUEUED, landed.size)


def first_reservation() -> int:
    return min(DEFERRED_STEP, settings.UPLOADS_MAX_SIZE)


def withdraw(job_id: UUID) -> None:
    """Forget an upload of which nobody has been told: rows and bytes."""
    with transaction.atomic():
        lifecycle.abandon(job_id)
        Transfer.objects.filter(pk=job_id).delete()
    disk.remove_job(job_id)


def tell_length(upload: Upload, length: int) -> None:
    """The length of an upload is known now. Raises Refused where it cannot be, or does not fit."""
    with transaction.atomic():
        _reserve(upload, length)
        moved = Transfer.objects.filter(
            pk=upload.id, length__isnull=True, offset__lte=length, generation=upload.transfer.generation
        ).update(length=length)
        if not moved:
            raise Refused("invalid_request", "The length was told already, or more bytes than that are here.")
        UploadJob.objects.receiving().filter(pk=upload.id).update(size=length)


def reserve(upload: Upload, size: int) -> None:
    """Reserve `size` bytes in all for an upload of unknown length. Raises Refused where they do not fit."""
    with transaction.atomic():
        _reserve(upload, size)


def take(upload: Upload, offset: int) -> int:
    """Take an upload over from whoever writes it, to go on at `offset`; the new generation.

    Raises Refused: offset_mismatch where it has moved meanwhile.
    """
    seen: int = upload.transfer.generation
    row = Transfer.objects.filter(pk=upload.id, offset=offset, generation=seen)
    if not together.commit(lambda: row.update(generation=seen + 1, expires_at=_expires()), moves=True):
        raise Refused("offset_mismatch", "Another request has moved this upload just now.")
    return seen + 1


def advance(job_id: UUID, generation: int, offset: int, length: int | None) -> None:
    """Say that bytes are durable up to `offset`. Raises Refused: gone, superseded."""

    def write() -> None:
        percent = 100 * offset // length if length else 0
        if not UploadJob.objects.receiving().filter(pk=job_id).update(progress=percent):
            raise Refused("gone", "The upload was ended meanwhile.")
        moved = Transfer.objects.filter(pk=job_id, generation=generation).update(
            offset=Greatest(F("offset"), offset), expires_at=_expires()
        )
        if not moved:
            raise Refused("superseded")

    together.commit(write, moves=True)


def settle(job_id: UUID) -> None:
    """Count what the present writer has written and not yet said, so that nobody has to send it again."""
    if recover(job_id):
        return
    found = append.arrived(job_id)
    if found is not None and found[0] == fence.CLOSED:
        # Closed as whole, and stopped just before it got its final name: nobody can write on.
        Transfer.objects.filter(pk=job_id, length=found[1], offset__lt=found[1]).update(offset=found[1])
    elif found is not None:
        generation, size = found
        Transfer.objects.filter(
            Q(length__isnull=True) | Q(length__gte=size), pk=job_id, generation=generation, offset__lt=size
        ).update(offset=size)


def recover(job_id: UUID) -> bool:
    """Count all bytes of an upload that is under its final name; whether it is.

    Whoever put it there was about to queue it, or was stopped between the two.
    """
    size = append.kept(job_id)
    if size is None:
        return False
    Transfer.objects.filter(pk=job_id, length=size, offset__lt=size).update(offset=size)
    return True


def finish(upload: Upload, sha256: str = "") -> Upload:
    """Queue an upload whose bytes are all here. Safe to repeat, and at once. Raises Refused(gone).

    `sha256` is that of the whole, where it is known; else the worker finds it out.
    """
    if upload.transfer.concat == Concat.NONE:
        size = append.keep(upload.id)
        if size is None or size != upload.transfer.length:
            _lost(upload.id, size)
    return land(upload, sha256)


def land(upload: Upload, sha256: str) -> Upload:
    """Queue an upload whose bytes are durable under their final name (or are parts). Raises Refused(gone)."""
    transfer = upload.transfer
    row = Transfer.objects.filter(pk=upload.id)
    job = UploadJob.objects.filter(pk=upload.id).first()
    if job is None:
        disk.remove_job(upload.id)
        raise Refused("gone")
    size = transfer.length or 0
    landed = lifecycle.Landed(upload.id, job.filename, job.declared_type, size, sha256, opened=True)
    try:
        # Nobody can write on, so that it does not matter whose request says that all is here.
        lifecycle.accept(job.owner_id, [landed], also=lambda: row.update(offset=size, expires_at=_expires()))
    except Refused:
        job = UploadJob.objects.filter(pk=upload.id).first()
        if job is None or job.state in (State.RECEIVING, State.CANCELLED):
            disk.remove_job(upload.id)
            raise Refused("gone") from None
    else:
        _count(size)
        _drop_fence(upload.id)
    transfer.offset = size
    return Upload(transfer, State.QUEUED, size)


def _count(size: int) -> None:
    metrics.UPLOADS.labels("tus").inc()
    metrics.UPLOAD_BYTES.labels("tus").inc(size)


def lost(job_id: UUID) -> None:
    """Give up an upload whose bytes are not where they should be; always raises Refused(gone)."""
    _lost(job_id, None)


def _lost(job_id: UUID, size: int | None) -> None:
    state = UploadJob.objects.filter(pk=job_id).values_list("state", flat=True).first()
    if state == State.RECEIVING:
        log.error("transfer.bytes_lost", job=str(job_id), found=size)
    if state in (None, State.RECEIVING, State.CANCELLED):
        lifecycle.abandon(job_id)
        disk.remove_job(job_id)
        raise Refused("gone", "The bytes of this upload are not here any more. Send them again.")


def _reserve(upload: Upload, size: int) -> None:
    if size > upload.reserved:
        capacity.check(upload.transfer.owner_id, 0, size - upload.reserved)
        UploadJob.objects.receiving().filter(pk=upload.id, size__lt=size).update(size=size)


def _drop_fence(job_id: UUID) -> None:
    try:
        with storage_errors():
            fence.remove(job_id)
    except StorageUnavailable as wrong:
        log.warning("storage.removal_failed", job=str(job_id), reason=str(wrong))  # the sweep finds it


def expiry() -> datetime:
    """When an upload expires that has news now."""
    return clock.now() + timedelta(seconds=settings.UPLOADS_TUS_EXPIRY)


def _expires() -> Any:
    """The same, as an expression of the database."""
    return Now() + timedelta(seconds=settings.UPLOADS_TUS_EXPIRY)
