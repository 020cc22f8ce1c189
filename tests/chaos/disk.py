"""A small file system of the harness's own, so that filling it harms nobody else."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from uploads.linux import syscalls

SIZE = "2g"
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x4000, 1 << 18, 2


def leave_mounts() -> bool:
    """Give this process mounts of its own, which go with it; whether it may. Before it has threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
    except OSError:
        return False
    return bool(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None) == 0)


@contextlib.contextmanager
def own_disk(place: Path, *, allowed: bool = True) -> Iterator[bool]:
    """A tmpfs at `place`, where that is allowed; whether it is there."""
    libc = ctypes.CDLL(None, use_errno=True)
    where = os.fsencode(place)
    mounted = (
        allowed and libc.mount(b"chaos", where, b"tmpfs", ctypes.c_ulong(0), f"size={SIZE}".encode()) == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            libc.umount2(where, _MNT_DETACH)
