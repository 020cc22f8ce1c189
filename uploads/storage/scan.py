"""What lies in storage, as it is found on disk: for those who look for what should not be there.

Files come and go while one looks; what is gone by then is left out. Names that are not ours are told
apart, and nobody here touches them. Raises StorageUnavailable where the disk does not answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from uploads.storage import fence
from uploads.storage import parts as parts_of
from uploads.storage.fsync import storage_errors
from uploads.storage.kept import local

PREFIXES = tuple(f"{number:02x}" for number in range(256))


@dataclass(frozen=True, slots=True)
class Found:
    """An entry of storage: `attempt` is 0 but for artifacts, `age` in seconds since it was last written."""

    path: Path
    job_id: UUID
    size: int
    age: float
    attempt: int = 0


def spooled(now: float) -> Iterator[Found]:
    """Incoming files; `now` is the time of the clock that stamps files, time.time()."""
    yield from _jobs_in(local.spool_directory(), now)


def kept(prefix: str, now: float) -> Iterator[Found]:
    """Kept files whose job's id begins with `prefix`, one of PREFIXES."""
    yield from _jobs_in(local.files_directory() / prefix, now)


def derived(prefix: str, now: float) -> Iterator[Found]:
    """Directories of attempts whose job's id begins with `prefix`; one of attempt 0 has no attempts in it."""
    for job in _jobs_in(local.artifacts_directory() / prefix, now):
        attempts = [entry for entry in _entries(job.path) if entry.name.isdigit()]
        if not attempts:
            yield job
        for entry in attempts:
            if found := _found(entry, job.job_id, now, attempt=int(entry.name)):
                yield found


def fences(now: float) -> Iterator[Found]:
    """Fences of resumable uploads."""
    yield from _jobs_in(fence.fences_directory(), now)


def spares(now: float) -> Iterator[Found]:
    """Fences that are kept for uploads to come; their ids are nobody's."""
    yield from _jobs_in(fence.spares_directory(), now)


def parts(now: float) -> Iterator[Found]:
    """Directories with the parts of one job each."""
    yield from _jobs_in(parts_of.parts_directory(), now)


def strangers() -> Iterator[Path]:
    """Entries of our directories whose names we would not have given."""
    for root in (local.files_directory(), local.artifacts_directory()):
        for entry in _entries(root):
            if entry.name not in PREFIXES:
                yield Path(entry.path)
            else:
                yield from _misnamed(Path(entry.path))
    for one in (local.spool_directory(), fence.fences_directory(), parts_of.parts_directory()):
        yield from _misnamed(one)


def _misnamed(directory: Path) -> Iterator[Path]:
    for entry in _entries(directory):
        if _uuid(entry.name) is None:
            yield Path(entry.path)


def _jobs_in(directory: Path, now: float) -> Iterator[Found]:
    for entry in _entries(directory):
        job_id = _uuid(entry.name)
        if job_id is not None and (found := _found(entry, job_id, now)):
            yield found


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    with storage_errors():
        try:
            with os.scandir(directory) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []


def _found(entry: os.DirEntry[str], job_id: UUID, now: float, attempt: int = 0) -> Found | None:
    with storage_errors():
        try:
            stat = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
    return Found(Path(entry.path), job_id, stat.st_size, now - stat.st_mtime, attempt)


def _uuid(name: str) -> UUID | None:
    try:
        found = UUID(name)
    except ValueError:
        return None
    return found if str(found) == name else None  # only as we write them
