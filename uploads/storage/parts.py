"""The parts of a larger upload, between the request that joins them and the worker that writes them as one.

They lie in `parts/<job>/` in the order of their names, each a second name (a hard link) of the spooled file
it came in: so joining costs no copy, and either all parts have their new names or the old ones still count.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

from django.conf import settings

from uploads.storage.fsync import make_directory, storage_errors, sync_directory
from uploads.storage.kept.local import file_path, spool_path

CHUNK = 1 << 20


def parts_directory() -> Path:
    return Path(settings.DATA_DIR) / "parts"


def directory(job_id: UUID) -> Path:
    return parts_directory() / str(job_id)


def pending(job_id: UUID) -> bool:
    """Whether a job's file is still in parts."""
    return directory(job_id).is_dir() and not file_path(job_id).is_file()


def size(job_id: UUID) -> int:
    """Bytes of all parts together."""
    return sum(path.stat().st_size for path in _parts(job_id))


def collect(job_id: UUID, part_ids: Sequence[UUID]) -> None:
    """Give the whole spooled files of `part_ids` their second names, durably, in this order.

    Raises StorageUnavailable; FileNotFoundError where a part has gone.
    """
    target = directory(job_id)
    with storage_errors():
        make_directory(target)
        for number, part_id in enumerate(part_ids):
            os.link(spool_path(part_id), target / f"{number:06}")
        sync_directory(target)


def drop(job_id: UUID) -> None:
    """Remove a job's parts; none is fine. Raises StorageUnavailable."""
    with storage_errors():
        if directory(job_id).exists():
            shutil.rmtree(directory(job_id))


def assemble(job_id: UUID, attempt: int, stopped: Callable[[], bool]) -> str | None:
    """Write the parts as one file under its final name, durably; its SHA-256, None if `stopped` said so.

    Raises StorageUnavailable, and FileNotFoundError where there are no parts.
    """
    draft, final = directory(job_id) / f"whole.{attempt}", file_path(job_id)
    digest = hashlib.sha256()
    with storage_errors():
        handle = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb", buffering=0) as whole:
            for path in _parts(job_id):
                for piece in _pieces(path):
                    if stopped():
                        return None
                    digest.update(piece)
                    view = memoryview(piece)
                    while view:
                        view = view[whole.write(view) :]
            os.fsync(whole.fileno())
        make_directory(final.parent)
        draft.rename(final)
        sync_directory(final.parent)
    drop(job_id)
    return digest.hexdigest()


def digest_of(job_id: UUID, stopped: Callable[[], bool]) -> str | None:
    """The SHA-256 of a kept file; None if `stopped` said so. Raises StorageUnavailable, FileNotFoundError."""
    digest = hashlib.sha256()
    with storage_errors():
        for piece in _pieces(file_path(job_id)):
            if stopped():
                return None
            digest.update(piece)
    return digest.hexdigest()


def _parts(job_id: UUID) -> list[Path]:
    return sorted(path for path in directory(job_id).iterdir() if path.name.isdigit())


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(CHUNK):
            yield piece
