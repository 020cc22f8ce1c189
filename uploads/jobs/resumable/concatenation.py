"""Concatenation: whole parts become one upload, and are used up by it.

The parts' bytes only get new names here, so that the request is answered at once however large they are; a
worker writes them as one file before it works on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from uploads.codes import Refused
from uploads.jobs.lifecycle import capacity
from uploads.jobs.resumable import uploads
from uploads.models import Concat, State, Transfer, UploadJob
from uploads.storage import parts
from uploads.storage.fsync import StorageUnavailable
from uploads.storage.kept import local
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)


def measure(owner_id: int, part_ids: Sequence[UUID]) -> int:
    """The bytes of all parts together.

    Raises Refused: not_found for a part that is not there or somebody else's, gone for one that was, is
    used already or has expired, wrong_state for one that is not whole or no part.
    """
    total = 0
    for part_id in part_ids:
        transfer = uploads.find(owner_id, part_id).transfer
        if transfer.concat != Concat.PARTIAL:
            raise Refused("wrong_state", f"{part_id} was not created as a part.")
        if not transfer.whole:
            raise Refused("wrong_state", f"The part {part_id} is not complete.")
        total += transfer.length or 0
    if total > settings.UPLOADS_MAX_SIZE:
        raise Refused(
            "too_large", f"{total} bytes are more than the {settings.UPLOADS_MAX_SIZE} accepted here."
        )
    return total


def join(owner_id: int, part_ids: Sequence[UUID], filename: str, declared_type: str, metadata: str) -> UUID:
    """Make one upload of whole parts, in this order, and remove them; all or nothing. Raises Refused."""
    job_id = uuid4()
    try:
        _collect(job_id, part_ids)
        with transaction.atomic():
            total = measure(owner_id, part_ids)
            _gone, by_model = UploadJob.objects.receiving().filter(pk__in=part_ids).delete()
            if by_model.get(UploadJob._meta.label) != len(part_ids):
                raise Refused("gone", "One of the parts was ended meanwhile.")
            capacity.check(owner_id, 1, total)
            UploadJob.objects.create(
                id=job_id, owner_id=owner_id, filename=filename, declared_type=declared_type, size=total,
                state=State.RECEIVING,
            )  # fmt: skip
            Transfer.objects.create(
                job_id=job_id, owner_id=owner_id, offset=total, length=total, metadata=metadata,
                concat=Concat.FINAL, parts=[str(part) for part in part_ids], expires_at=uploads.expiry(),
            )  # fmt: skip
    except BaseException:
        parts.drop(job_id)
        raise
    for part_id in part_ids:
        try:
            local.remove_job(part_id)
        except StorageUnavailable as wrong:
            log.error("storage.removal_failed", job=str(part_id), reason=str(wrong))  # the sweep finds it
    log.info("job.joined", job=str(job_id), parts=len(part_ids), size=total)
    return job_id


def _collect(job_id: UUID, part_ids: Sequence[UUID]) -> None:
    try:
        parts.collect(job_id, part_ids)
    except FileNotFoundError as wrong:
        raise Refused("gone", "The bytes of a part are not here any more.") from wrong
