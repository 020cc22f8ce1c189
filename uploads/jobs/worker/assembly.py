"""What a worker does before it works on a file that did not come in one piece: join it, and hash it once."""

from __future__ import annotations

from collections.abc import Callable

from uploads.models import UploadJob
from uploads.storage import parts
from uploads.storage.kept import local


def make_whole(job: UploadJob, stopped: Callable[[], bool]) -> bool:
    """See that the file of a running job is in one piece and its SHA-256 is in the row.

    False where `stopped` said so, or the attempt is not the job's any more. Raises StorageUnavailable, and
    FileNotFoundError where there is no file.
    """
    if local.file_path(job.pk).is_file():
        if job.sha256:
            return True
        digest = parts.digest_of(job.pk, stopped)
        parts.drop(job.pk)  # an assembly that was interrupted at its very end
    elif parts.pending(job.pk):
        digest = parts.assemble(job.pk, job.attempt, stopped)
    else:
        raise FileNotFoundError(str(job.pk))
    if digest is None or not UploadJob.objects.running(job.attempt).filter(pk=job.pk).update(sha256=digest):
        return False
    job.sha256 = digest
    return True
