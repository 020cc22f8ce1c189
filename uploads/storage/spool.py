"""Appending to a spooled file, by one request at a time, each with a number greater than those before it.

Bytes are written in order, and a new writer cuts off what its predecessor left behind its own place. So the
file holds the bytes from 0 to its size, of which the job's row knows those that are fsynced.
"""

from __future__ import annotations

import contextlib
import os
from uuid import UUID

from uploads.storage.fence import CLOSED, Fence, Superseded, remove, shut
from uploads.storage.fsync import make_directory, storage_errors, sync_directory
from uploads.storage.kept.local import file_path, spool_directory, spool_path


class Appender:
    """The right to append to a job's spooled file from `offset` on, as number `generation`.

    With `tentative`, the bytes count only after `confirm`. Raises StorageUnavailable; FileNotFoundError
    where the file is gone, or shorter than `offset` bytes; Superseded from any method once a newer writer
    has come.
    """

    def __init__(self, job_id: UUID, generation: int, offset: int, *, tentative: bool = False) -> None:
        self._begin(job_id, generation, offset)
        with storage_errors():
            self._fence = Fence.open(job_id, create=True)
            try:
                with self._fence.locked() as state:
                    # What was closed before the machine last stopped, and not renamed, is begun anew.
                    stale = state.generation == CLOSED and not state.this_boot
                    if state.foreign or (state.generation >= generation and not stale):
                        raise Superseded
                    # Under the lock: a closed upload's spooled file is not made anew beside the kept one.
                    self._handle = self._open(offset)
                    if os.fstat(self._handle).st_size < offset:
                        raise FileNotFoundError(f"{job_id}: shorter than its {offset} bytes")
                    self._fence.write(generation, tentative=tentative)
                    os.ftruncate(self._handle, offset)
            except BaseException:
                self.close()
                raise

    @classmethod
    def first(cls, job_id: UUID, *, tentative: bool = False) -> Appender | None:
        """The right to write an upload from its start, as number 0; None where anybody has written before.

        It is this request's alone, without a row being asked: so look at the row afterwards, since the upload may
        have ended, with its fence, before. Raises StorageUnavailable.
        """
        with storage_errors():
            fence = Fence.claim(job_id, tentative=tentative)
            if fence is None:
                return None
            made = cls.__new__(cls)
            made._begin(job_id, 0, 0)
            made._fence = fence
            try:
                with fence.locked() as state:
                    if state.generation == 0:
                        made._handle = made._open(0)
                        os.ftruncate(made._handle, 0)
                        return made
            except BaseException:
                made.close()
                raise
        made.close()
        return None  # somebody has taken over this very moment

    def _begin(self, job_id: UUID, generation: int, offset: int) -> None:
        self.job_id, self.generation, self.position = job_id, generation, offset
        self._named = offset > 0  # a file of whose bytes some are durable has a durable name
        self._handle = -1

    def withdraw(self) -> None:
        """Undo `first` for an upload that turns out to have ended: its file and its fence go."""
        self.close()
        with storage_errors():
            spool_path(self.job_id).unlink(missing_ok=True)
            remove(self.job_id)

    def _open(self, offset: int) -> int:
        path = spool_path(self.job_id)
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            if offset:
                raise
            make_directory(spool_directory())
            return os.open(path, flags | os.O_CREAT, 0o600)

    def write(self, data: bytes) -> None:
        """Append one chunk."""
        with storage_errors(), self._fence.locked() as state:
            self._compare(state.generation)
            view = memoryview(data)
            while view:
                written = os.pwrite(self._handle, view, self.position)
                self.position += written
                view = view[written:]

    def sync(self) -> None:
        """Make what was written durable."""
        with storage_errors():
            os.fsync(self._handle)
            if not self._named:
                sync_directory(spool_directory())
                self._named = True

    def forget(self, position: int) -> None:
        """Cut off what was written after `position`."""
        with storage_errors(), self._fence.locked() as state:
            self._compare(state.generation)
            os.ftruncate(self._handle, position)
        self.position = position

    def confirm(self) -> None:
        """Tentative bytes are verified: they count from now on."""
        with storage_errors(), self._fence.locked() as state:
            self._compare(state.generation)
            self._fence.write(self.generation)

    def keep(self) -> None:
        """All bytes are here: let nobody write on, and put them durably under the final name.

        FileNotFoundError where somebody (a cancel, a delete) has removed them.
        """
        final = file_path(self.job_id)
        with storage_errors():
            with self._fence.locked() as state:
                self._compare(state.generation)
                self._fence.write(CLOSED)
            make_directory(final.parent)
            spool_path(self.job_id).rename(final)
            os.fsync(self._handle)
            sync_directory(final.parent)

    def close(self) -> None:
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            os.close(handle)
        self._fence.close()

    def _compare(self, generation: int) -> None:
        if generation != self.generation:
            raise Superseded


def create(job_id: UUID) -> None:
    """Make the spooled file of an upload that has no bytes. Raises StorageUnavailable."""
    with storage_errors():
        make_directory(spool_directory())
        os.close(os.open(spool_path(job_id), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def arrived(job_id: UUID) -> tuple[int, int] | None:
    """What the present writer, who may be stuck, has written: its generation, and the size of the file.

    All of these bytes are durable when this returns. None where nothing beyond the row counts: there is no
    file, its bytes are not yet verified, or they were written before the machine last started, when what
    was not fsynced may be anything. Raises StorageUnavailable.
    """
    with storage_errors(), contextlib.ExitStack() as opened:
        try:
            fence = Fence.open(job_id)
            opened.callback(fence.close)
            handle = os.open(spool_path(job_id), os.O_RDWR | os.O_CLOEXEC)
            opened.callback(os.close, handle)
        except FileNotFoundError:
            return None
        with fence.locked() as state:
            size = os.fstat(handle).st_size
        if state.foreign or state.tentative or not state.this_boot:
            return None
        os.fsync(handle)
        sync_directory(spool_directory())
        return state.generation, size


def kept(job_id: UUID) -> int | None:
    """The size of a file under its final name, durable when this returns; None where there is none."""
    with storage_errors():
        try:
            handle = os.open(file_path(job_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            os.fsync(handle)
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
        sync_directory(file_path(job_id).parent)
    return size


def keep(job_id: UUID) -> int | None:
    """Put a whole spooled file under its final name, durably; its size in bytes, None where it is nowhere.

    Nobody can write on afterwards. Safe to repeat, and at once. Raises StorageUnavailable.
    """
    final = file_path(job_id)
    with storage_errors():
        shut(job_id)
        make_directory(final.parent)
        with contextlib.suppress(FileNotFoundError):  # another one was first, or it has gone: see below
            spool_path(job_id).rename(final)
    return kept(job_id)
