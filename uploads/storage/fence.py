"""The fence of a resumable upload: which request may write its bytes, told by a small file that is locked.

A request that is older may sit in a read that cannot be interrupted, in this process or another one. So
nobody waits for it: a newer request writes its own number into the fence, and whoever writes locks the
fence, compares the number, writes one chunk and unlocks. The lock is never held while a client is waited
for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

from django.conf import settings

from uploads.storage.durable import make_directory

CLOSED = (1 << 63) - 1  # a generation that nobody reaches: nothing is written any more

# generation, whether the bytes are tentative, and the boot under which this was written
_STATE = struct.Struct("=q?36s")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4)


class Superseded(Exception):
    """A newer request has taken over, or the upload is closed."""


@dataclass(frozen=True, slots=True)
class FenceState:
    """What a fence says: the `generation` that may write, whether its bytes count only once they are verified,
    and whether that was written since this machine started."""

    generation: int = -1
    tentative: bool = False
    this_boot: bool = False


def fences_directory() -> Path:
    return Path(settings.DATA_DIR) / "fences"


def fence_path(job_id: UUID) -> Path:
    return fences_directory() / str(job_id)


class Fence:
    """An open fence. Raises OSError; FileNotFoundError from `open` where there is none and none is made."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def open(cls, job_id: UUID, *, create: bool = False) -> Fence:
        path = fence_path(job_id)
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        try:
            return cls(os.open(path, flags, 0o600))
        except FileNotFoundError:
            if not create:
                raise
            make_directory(path.parent)
            return cls(os.open(path, flags, 0o600))

    def close(self) -> None:
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            os.close(handle)

    @contextlib.contextmanager
    def locked(self) -> Iterator[FenceState]:
        """Hold the lock (flock(2): it also holds between threads) and say what the fence says."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield self._read()
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def write(self, generation: int, *, tentative: bool = False) -> None:
        """Set the generation; inside `locked` only."""
        os.pwrite(self._handle, _STATE.pack(generation, tentative, _boot_id()), 0)

    def _read(self) -> FenceState:
        data = os.pread(self._handle, _STATE.size, 0)
        if len(data) < _STATE.size:
            return FenceState()
        generation, tentative, boot = _STATE.unpack(data)
        return FenceState(generation, tentative, boot == _boot_id())


def shut(job_id: UUID) -> None:
    """Let nobody write on, not even who has the files open. Raises OSError."""
    try:
        fence = Fence.open(job_id)
    except FileNotFoundError:
        return
    try:
        with fence.locked():
            fence.write(CLOSED)
    finally:
        fence.close()


def is_shut(job_id: UUID) -> bool:
    """Whether nobody may write on. Raises OSError."""
    try:
        fence = Fence.open(job_id)
    except FileNotFoundError:
        return False
    try:
        with fence.locked() as state:
            return state.generation == CLOSED
    finally:
        fence.close()


def remove(job_id: UUID) -> None:
    """Shut the fence and remove it. What is gone already is fine. Raises OSError."""
    shut(job_id)
    fence_path(job_id).unlink(missing_ok=True)


@cache
def _boot_id() -> bytes:
    return _BOOT_ID.read_bytes().strip()[:36].ljust(36)
