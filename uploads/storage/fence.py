"""The fence of a resumable upload: which request may write its bytes, told by a small file that is locked.

A request that is older may sit in a read that cannot be interrupted, in this process or another one. So
nobody waits for it: a newer request writes its own number into the fence, and whoever writes locks the
fence, compares the number, writes one chunk and unlocks. The lock is never held while a client is waited
for.

A fence that is over is kept for the next upload rather than removed: on ext4, making files costs ten times as
much in the minute after others were removed (`recently_deleted` in Linux's fs/ext4/ialloc.c).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings

from uploads.storage.fsync import make_directory

CLOSED = (1 << 63) - 1  # a generation that nobody reaches: nothing is written any more

# upload, generation, whether the bytes are tentative, and the boot under which this was written
_STATE = struct.Struct("=16sq?36s")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4)
MOST_SPARES = 64

_spares: deque[Path] = deque()  # this process's: names that no other one uses
os.register_at_fork(after_in_child=_spares.clear)


class Superseded(Exception):
    """A newer request has taken over, or the upload is closed."""


@dataclass(frozen=True, slots=True)
class FenceState:
    """What a fence says: the `generation` that may write, whether its bytes count only once they are verified,
    and whether that was written since this machine started. `foreign`: it is another upload's by now."""

    generation: int = -1
    tentative: bool = False
    this_boot: bool = False
    foreign: bool = False


def fences_directory() -> Path:
    return Path(settings.DATA_DIR) / "fences"


def spares_directory() -> Path:
    return Path(settings.DATA_DIR) / "spares"


def fence_path(job_id: UUID) -> Path:
    return fences_directory() / str(job_id)


class Fence:
    """An open fence. Raises OSError; FileNotFoundError from `open` where there is none and none is made.

    Whoever keeps one open past its upload's end reads the state of nobody: a generation that never writes.
    """

    def __init__(self, job_id: UUID, handle: int) -> None:
        self._job_id, self._handle = job_id, handle

    @classmethod
    def open(cls, job_id: UUID, *, create: bool = False) -> Fence:
        path = fence_path(job_id)
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        try:
            return cls(job_id, os.open(path, flags, 0o600))
        except FileNotFoundError:
            if not create:
                raise
            make_directory(path.parent)
            return cls(job_id, os.open(path, flags, 0o600))

    @classmethod
    def claim(cls, job_id: UUID, *, tentative: bool = False) -> Fence | None:
        """The fence of an upload that has none, with generation 0; None where it has one already."""
        make_directory(fences_directory())
        while _spares:
            try:
                spare = _spares.popleft()
                fence = cls(job_id, os.open(spare, os.O_RDWR | os.O_CLOEXEC))
            except (IndexError, FileNotFoundError):
                continue  # another thread, or the sweep, was quicker
            with fence.locked():
                fence.write(0, tentative=tentative)
            try:
                os.link(spare, fence_path(job_id))  # which a rename would replace
            except FileNotFoundError:
                fence.close()
                continue
            except FileExistsError:
                fence.close()
                _spares.append(spare)
                return None
            spare.unlink(missing_ok=True)
            return fence
        try:
            flags = os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL
            fence = cls(job_id, os.open(fence_path(job_id), flags, 0o600))
        except FileExistsError:
            return None
        with fence.locked() as state:
            if state.generation < 0:
                fence.write(0, tentative=tentative)
                return fence
        fence.close()
        return None  # somebody has taken over before we could say that it is ours

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
        os.pwrite(self._handle, _STATE.pack(self._job_id.bytes, generation, tentative, _boot_id()), 0)

    def _read(self) -> FenceState:
        data = os.pread(self._handle, _STATE.size, 0)
        if len(data) < _STATE.size:
            return FenceState()
        job_id, generation, tentative, boot = _STATE.unpack(data)
        if job_id != self._job_id.bytes:
            return FenceState(foreign=True)
        return FenceState(generation, tentative, boot == _boot_id())


def shut(job_id: UUID) -> None:
    """Let nobody write on, not even who has the files open. Raises OSError."""
    try:
        fence = Fence.open(job_id)
    except FileNotFoundError:
        return
    try:
        with fence.locked() as state:
            if not state.foreign:
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
    """Shut the fence and take it away. What is gone already is fine. Raises OSError."""
    shut(job_id)
    if len(_spares) >= MOST_SPARES:
        fence_path(job_id).unlink(missing_ok=True)
        return
    spare = spares_directory() / str(uuid4())
    try:
        fence_path(job_id).rename(spare)
    except FileNotFoundError:
        if not fence_path(job_id).exists():
            return
        make_directory(spare.parent)
        fence_path(job_id).rename(spare)
    _spares.append(spare)


@cache
def _boot_id() -> bytes:
    return _BOOT_ID.read_bytes().strip()[:36].ljust(36)
