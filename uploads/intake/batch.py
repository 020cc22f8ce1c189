"""The files of one request on their way in: each byte is written to disk once, hashed on the way.

Nothing is left behind by a request that is refused, cut or fails: neither bytes nor rows.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from uploads.codes import Refused
from uploads.db import connections
from uploads.intake import admission
from uploads.jobs.lifecycle import execution
from uploads.storage.fsync import StorageUnavailable
from uploads.storage.kept.local import Incoming
from uploads.telemetry import metrics

if TYPE_CHECKING:
    from uploads.models import UploadJob


@dataclass(slots=True)
class Arrival:
    """One file on its way in; `job_id` is its job's from the start."""

    filename: str
    declared_type: str
    job_id: UUID
    opened: bool
    incoming: Incoming

    @property
    def landed(self) -> execution.Landed:
        return execution.Landed(
            self.job_id,
            self.filename,
            self.declared_type,
            self.incoming.size,
            self.incoming.sha256,
            self.opened,
        )


@dataclass(slots=True)
class Delivery:
    """The files of one request: all of them are accepted in one commit, or none."""

    owner_id: int
    arrivals: list[Arrival] = field(default_factory=list)

    def begin(self, filename: str, content_type: str, size: int, *, row: bool) -> Arrival:
        """Begin a file of `size` bytes (at most); with `row` its job is there to see while it comes."""
        declared = declared_type(content_type, filename)
        job_id = execution.open_upload(self.owner_id, filename, declared, size) if row else uuid4()
        try:
            if row:
                # With our own row in the sum: of two that race for the last space, not both get it.
                admission.check_disk(0, afresh=True)
            incoming = Incoming(job_id)
        except (Refused, StorageUnavailable):
            if row:
                execution.abandon(job_id)
            raise
        finally:
            connections.let_go()
        self.arrivals.append(Arrival(filename, declared, job_id, row, incoming))
        return self.arrivals[-1]

    def keep(self) -> list[execution.Landed]:
        """Make all files durable, in their order."""
        for arrival in self.arrivals:
            try:
                arrival.incoming.keep()
            except FileNotFoundError as wrong:
                raise Refused("wrong_state", "The upload was cancelled meanwhile.") from wrong
        return [arrival.landed for arrival in self.arrivals]

    def accept(self, door: str) -> list[UploadJob]:
        """Make all files durable, then queue them in one commit."""
        jobs = execution.accept(self.owner_id, self.keep())
        metrics.UPLOADS.labels(door).inc(len(jobs))
        metrics.UPLOAD_BYTES.labels(door).inc(sum(job.size for job in jobs))
        return jobs

    def abandon(self) -> None:
        for arrival in self.arrivals:
            arrival.incoming.discard()
            if arrival.opened:
                execution.abandon(arrival.job_id)


@contextmanager
def delivery(owner_id: int) -> Iterator[Delivery]:
    """A delivery that leaves nothing behind unless its block ends well. A full disk is Refused(disk_full)."""
    files = Delivery(owner_id)
    try:
        yield files
    except StorageUnavailable as wrong:
        files.abandon()
        raise Refused(
            "disk_full" if wrong.full else "storage_unavailable", retry_after=None if wrong.full else 30
        ) from wrong
    except BaseException:
        files.abandon()
        raise


def declared_type(content_type: str, filename: str) -> str:
    """The type that a client declares in `content_type`, or else what the name suggests; "" for neither."""
    declared = content_type.partition(";")[0].strip().lower()
    return (declared or mimetypes.guess_type(filename, strict=False)[0] or "")[:127]
