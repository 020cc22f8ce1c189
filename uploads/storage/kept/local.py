"""Local disk: `spool/<job>` coming in, `files/<xx>/<job>` once whole, `artifacts/<xx>/<job>/<attempt>/`.

All three lie under DATA_DIR on one file system, so that keeping a file is a rename and each byte is
written once. Every function takes a job's id; none takes a name from outside but an artifact's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from uploads.storage import fence
from uploads.storage.fsync import make_directory, storage_errors, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

FLUSH_BYTES = 8 << 20
_flushes = ThreadPoolExecutor(8, "flush")

_ARTIFACT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}\Z")


def spool_directory() -> Path:
    return Path(settings.DATA_DIR) / "spool"


def files_directory() -> Path:
    return Path(settings.DATA_DIR) / "files"


def artifacts_directory() -> Path:
    return Path(settings.DATA_DIR) / "artifacts"


def spool_path(job_id: UUID) -> Path:
    return spool_directory() / str(job_id)


def file_path(job_id: UUID) -> Path:
    """Where a kept file lives; two hex digits fan out, so that no directory grows past a 256th."""
    return Path(f"{settings.DATA_DIR}/files/{job_id.hex[:2]}/{job_id}")


def attempt_directory(job_id: UUID, attempt: int) -> Path:
    return Path(f"{settings.DATA_DIR}/artifacts/{job_id.hex[:2]}/{job_id}/{attempt}")


def artifact_path(job_id: UUID, attempt: int, name: str) -> Path:
    """Where an artifact lives. Raises ValueError for a name no processor may give."""
    if not _ARTIFACT_NAME.match(name):
        raise ValueError(f"{name!r} is not an artifact name")
    return attempt_directory(job_id, attempt) / name


class Incoming:
    """A file on its way in: written once into the spool, hashed meanwhile, then kept or discarded.

    Raises StorageUnavailable where the disk does not do as asked, FileNotFoundError from `keep` where
    somebody (a cancel, a delete) removed the spooled bytes meanwhile.
    """

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        self.size = 0
        self._flushed = 0  # up to where the disk was asked to be
        self._flush: Future[None] | None = None
        self._hash = hashlib.sha256()
        self._path = spool_path(job_id)
        with storage_errors():
            try:
                self._handle = self._create()
            except FileNotFoundError:
                make_directory(self._path.parent)
                self._handle = self._create()

    def _create(self) -> int:
        return os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes | bytearray) -> None:
        self._hash.update(data)
        view = memoryview(data)
        with storage_errors():
            while view:
                written = os.write(self._handle, view)
                self.size += written
                view = view[written:]
            if self.size - self._flushed >= FLUSH_BYTES:
                self._flush_meanwhile()

    def _flush_meanwhile(self) -> None:
        """Have what is written sent to the disk while more comes, so that the last sync has little left to do."""
        if self._flush is None or self._flush.done():
            self._settle()
            self._flushed = self.size
            self._flush = _flushes.submit(os.fdatasync, self._handle)

    def _settle(self) -> None:
        """Wait for the flush under way; what it raised, which no later one would, is raised here. Raises OSError."""
        if self._flush is not None:
            flush, self._flush = self._flush, None
            flush.result()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def keep(self) -> None:
        """Make the bytes durable under their final name; only then may anybody be told so.

        The rename comes first: a journal that commits the file's fsync has the name already, and the
        directory's own fsync finds nothing left to do. A crash between leaves a file without a row,
        which the sweep knows.
        """
        final = file_path(self.job_id)
        with storage_errors():
            try:
                make_directory(final.parent)
                self._path.rename(final)
                self._settle()
                os.fsync(self._handle)
            finally:
                self._close()
            sync_directory(final.parent)

    def discard(self) -> None:
        """Forget the bytes, wherever they are by now. Safe to call twice."""
        self._close()
        with storage_errors():
            self._path.unlink(missing_ok=True)
            file_path(self.job_id).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._handle >= 0:
            if self._flush is not None:
                wait([self._flush])
            handle, self._handle = self._handle, -1
            os.close(handle)


def _remove_tree(path: Path) -> None:
    """Remove a directory; a worker and a delete may be at it together. What is gone already is fine."""
    while path.exists():
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            continue  # the other one was faster here; see what is left


def remove_job(job_id: UUID) -> None:
    """Remove all bytes of a job: spooled, kept and derived. What is gone already is fine."""
    derived = artifacts_directory() / job_id.hex[:2] / str(job_id)
    with storage_errors():
        fence.remove(job_id)
        spool_path(job_id).unlink(missing_ok=True)
        file_path(job_id).unlink(missing_ok=True)
        _remove_tree(derived)


def open_attempt(job_id: UUID, attempt: int) -> Path:
    """An empty directory for the artifacts of one attempt."""
    path = attempt_directory(job_id, attempt)
    with storage_errors():
        path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.mkdir(path.parent, 0o700)  # noqa: PTH102 - twice as quick, and every job passes here
        except FileExistsError:  # artifacts of an earlier attempt, or of this one before a crash
            _remove_tree(path)
        os.mkdir(path, 0o700)  # noqa: PTH102
    return path


def close_attempt(job_id: UUID, attempt: int, *, keep: bool) -> None:
    """After an attempt: keep its artifacts' directory durably, or remove it with its empty parent."""
    path = attempt_directory(job_id, attempt)
    with storage_errors():
        if keep:
            sync_directory(path.parent)
            sync_directory(path.parent.parent)
            return
        try:
            os.rmdir(path)  # noqa: PTH106 - most attempts leave nothing
        except OSError:
            _remove_tree(path)
        with contextlib.suppress(OSError):  # another attempt's artifacts are there, or it has gone
            os.rmdir(path.parent)  # noqa: PTH106


def older_attempts(job_id: UUID, winner: int) -> Iterator[int]:
    """Numbers of attempts other than the winner that still have a directory."""
    parent = attempt_directory(job_id, winner).parent
    if parent.is_dir():
        for entry in os.scandir(parent):
            if entry.name.isdigit() and int(entry.name) != winner:
                yield int(entry.name)


def free_bytes() -> int:
    """Bytes of disk that we may still use."""
    with storage_errors():
        stat = os.statvfs(settings.DATA_DIR)
    return stat.f_bavail * stat.f_frsize


def spooled_bytes(job_id: UUID) -> int:
    """Bytes of an incoming file that are on disk already."""
    try:
        return spool_path(job_id).stat().st_size
    except FileNotFoundError:
        return 0


def writable() -> bool:
    """Whether storage takes a file now; for /readyz. Raises StorageUnavailable where it does not."""
    probe = Path(settings.DATA_DIR) / f".probe-{os.getpid()}"
    with storage_errors():
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
    return True
