"""The rows of resumable uploads: opened, taken over, moved on, finished.

A transfer's job is in state receiving from its first byte, under the same id. Each move is one guarded
UPDATE: `generation` is the fence between requests, as an attempt's number is between workers. Where both
rows move, the job's goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from uploads.codes import Refused
from uploads.db import clock, group_commit
from uploads.db.insertion import Insertion
from uploads.db.sql import dialect, key
from uploads.jobs.lifecycle import capacity, execution, submission
from uploads.models import Concat, State, Transfer, UploadJob
from uploads.storage import fence, spool
from uploads.storage.fsync import StorageUnavailable, storage_errors
from uploads.storage.kept import local
from uploads.telemetry import metrics
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

PART_NOTE = "part of a larger upload"
# What an upload of unknown length reserves beyond the bytes that are known to come.
DEFERRED_STEP = 64 << 20

_TABLE, _JOBS = Transfer._meta.db_table, UploadJob._meta.db_table
# What is seldom wanted of a transfer is loaded when it is. from_db() takes fields in the order of the model's.
_FIELDS = ("job_id", "owner_id", "offset", "length", "generation", "metadata", "concat", "expires_at")
_FIND = (
    'SELECT t.job_id, t.owner_id, t."offset", t.length, t.generation, t.metadata, t.concat, t.expires_at, '  # noqa: S608 - our own names
    "t.expires_at <= {now}, j.state, j.size, j.filename, j.declared_type "
    f"FROM {_TABLE} t LEFT JOIN {_JOBS} j ON j.id = t.job_id WHERE t.job_id = %s AND t.owner_id = %s"
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A resumable upload as its owner may see it: its transfer, and what its job says; sizes in bytes."""

    transfer: Transfer
    state: State
    reserved: int
    filename: str
    declared_type: str

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
    with connection.cursor() as cursor:
        cursor.execute(_FIND.format(now=dialect().now), [key(job_id), owner_id])
        row = cursor.fetchone()
    if row is None:
        raise Refused("not_found", "There is no such upload.")
    _key, *values, expires_at, over, state, size, filename, declared_type = row
    if state is None or state == State.CANCELLED:
        raise Refused("gone")
    if state == State.RECEIVING and over and not expired:
        raise Refused("gone", "The upload has expired.")
    transfer = Transfer.from_db(connection.alias, _FIELDS, [job_id, *values, clock.moment(expires_at)])
    return Upload(transfer, State(state), size, filename, declared_type)


def open_transfer(
    owner_id: int, filename: str, declared_type: str, *, length: int | None, metadata: str, partial: bool
) -> Upload:
    """Announce an upload of `length` bytes (None: not yet known). Raises Refused where there is no room."""
    reserved = first_reservation() if length is None else length

    transfer = Transfer(
        job_id=uuid4(), owner_id=owner_id, length=length, metadata=metadata,
        concat=Concat.PARTIAL if partial else Concat.NONE, expires_at=expiry(),
    )  # fmt: skip
    execution.open_upload(
        owner_id, filename, declared_type, reserved, job_id=transfer.pk, note=PART_NOTE if partial else "",
        also=Insertion(transfer),
    )  # fmt: skip
    return Upload(transfer, State.RECEIVING, reserved, filename, declared_type)


def accept_at_once(landed: execution.Landed, owner_id: int, metadata: str) -> Upload:
    """Queue an upload that was created with all its bytes, in one commit. Raises Refused; then nothing is there."""
    transfer = Transfer(
        job_id=landed.job_id, owner_id=owner_id, offset=landed.size, length=landed.size, metadata=metadata,
        expires_at=expiry(),
    )  # fmt: skip
    execution.accept(owner_id, [landed], also=Insertion(transfer).write)
    _count(landed.size)
    return Upload(transfer, State.QUEUED, landed.size, landed.filename, landed.declared_type)


def first_reservation() -> int:
    return min(DEFERRED_STEP, settings.UPLOADS_MAX_SIZE)


def withdraw(job_id: UUID) -> None:
    """Forget an upload of which nobody has been told: rows and bytes."""
    with transaction.atomic():
        execution.abandon(job_id)
        Transfer.objects.filter(pk=job_id).delete()
    local.remove_job(job_id)


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


def standing(job_id: UUID) -> tuple[State | None, bool]:
    """The state of an upload's job (None: it has gone), and whether nobody has written to the upload yet.

    One that would expire soon counts as touched: taking it over gives it time.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT j.state, t.generation = 0 AND t."offset" = 0 AND t.expires_at > {dialect().later} '  # noqa: S608
            f"FROM {_JOBS} j JOIN {_TABLE} t ON t.job_id = j.id WHERE j.id = %s",
            [_patience() // 2, key(job_id)],
        )
        state, untouched = cursor.fetchone() or (None, False)
    return (State(state) if state else None), bool(untouched and state == State.RECEIVING)


def take(upload: Upload, offset: int) -> int:
    """Take an upload over from whoever writes it, to go on at `offset`; the new generation.

    Raises Refused: offset_mismatch where it has moved meanwhile.
    """
    seen: int = upload.transfer.generation

    def write() -> bool:
        return _run(
            f'UPDATE {_TABLE} SET generation = %s, expires_at = {{later}} '  # noqa: S608
            'WHERE job_id = %s AND "offset" = %s AND generation = %s',
            seen + 1, _patience(), key(upload.id), offset, seen,
        )  # fmt: skip

    if not group_commit.commit(write, moves=True):
        raise Refused("offset_mismatch", "Another request has moved this upload just now.")
    return seen + 1


def advance(job_id: UUID, generation: int, offset: int, length: int | None) -> None:
    """Say that bytes are durable up to `offset`. Raises Refused: gone, superseded."""

    def write() -> None:
        percent = 100 * offset // length if length else 0
        going_on = f"UPDATE {_JOBS} SET progress = %s WHERE id = %s AND state = 'receiving'"  # noqa: S608
        if not _run(going_on, percent, key(job_id)):
            raise Refused("gone", "The upload was ended meanwhile.")
        further = (
            f'UPDATE {_TABLE} SET "offset" = CASE WHEN "offset" < %s THEN %s ELSE "offset" END, '  # noqa: S608
            "expires_at = {later} WHERE job_id = %s AND generation = %s"
        )
        if not _run(further, offset, offset, _patience(), key(job_id), generation):
            raise Refused("superseded")

    group_commit.commit(write, moves=True)


def settle(job_id: UUID) -> None:
    """Count what the present writer has written and not yet said, so that nobody has to send it again."""
    if recover(job_id):
        return
    found = spool.arrived(job_id)
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
    size = spool.kept(job_id)
    if size is None:
        return False
    Transfer.objects.filter(pk=job_id, length=size, offset__lt=size).update(offset=size)
    return True


def finish(upload: Upload, sha256: str = "") -> Upload:
    """Queue an upload whose bytes are all here. Safe to repeat, and at once. Raises Refused(gone).

    `sha256` is that of the whole, where it is known; else the worker finds it out.
    """
    if upload.transfer.concat == Concat.NONE:
        size = spool.keep(upload.id)
        if size is None or size != upload.transfer.length:
            lost(upload.id, size)
    return land(upload, sha256)


def land(upload: Upload, sha256: str) -> Upload:
    """Queue an upload whose bytes are durable under their final name (or are parts). Raises Refused(gone)."""
    transfer, size = upload.transfer, upload.transfer.length or 0
    landed = execution.Landed(upload.id, upload.filename, upload.declared_type, size, sha256, opened=True)
    moved = f'UPDATE {_TABLE} SET "offset" = %s, expires_at = {{later}} WHERE job_id = %s'  # noqa: S608
    try:
        # Nobody can write on, so that it does not matter whose request says that all is here.
        submission.land(landed, also=lambda: _run(moved, size, _patience(), key(upload.id)))
    except Refused:
        job = UploadJob.objects.filter(pk=upload.id).first()
        if job is None or job.state in (State.RECEIVING, State.CANCELLED):
            local.remove_job(upload.id)
            raise Refused("gone") from None
    else:
        _count(size)
        _drop_fence(upload.id)
    transfer.offset = size
    return Upload(transfer, State.QUEUED, size, upload.filename, upload.declared_type)


def _count(size: int) -> None:
    metrics.UPLOADS.labels("tus").inc()
    metrics.UPLOAD_BYTES.labels("tus").inc(size)


def lost(job_id: UUID, size: int | None = None) -> None:
    """Give up an upload whose bytes (`size` of them) are not where they should be, unless its job goes on without
    this request. Raises Refused(gone) otherwise."""
    state = UploadJob.objects.filter(pk=job_id).values_list("state", flat=True).first()
    if state == State.RECEIVING:
        log.error("transfer.bytes_lost", job=str(job_id), found=size)
    if state in (None, State.RECEIVING, State.CANCELLED):
        execution.abandon(job_id)
        local.remove_job(job_id)
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
    return clock.now() + timedelta(seconds=_patience())


def _patience() -> int:
    seconds: int = settings.UPLOADS_TUS_EXPIRY
    return seconds


def _run(statement: str, *values: UUID | str | int) -> bool:
    """Run an UPDATE of ours, `{later}` in it being now and a number of seconds; whether it met a row."""
    with connection.cursor() as cursor:
        cursor.execute(statement.format(later=dialect().later), values)
        return bool(cursor.rowcount)
