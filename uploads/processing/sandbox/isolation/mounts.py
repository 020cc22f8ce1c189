"""Lending a file and a directory of ours to another user for the time of one job."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from uploads.linux import syscalls

_FILE_FLAGS = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
_FILE_FLAGS |= syscalls.MOUNT_ATTR_NOEXEC
_DIRECTORY_FLAGS = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC


class Loan:
    """One file to read, one directory to write, for user `uid` (None: the user we are).

    Best are idmapped mounts, which change nothing on disk. Where the file system has none (network file
    systems), or there is no private root to mount in, the file gets the child's group and the directory
    its user until `give_back`. Should the zygote die between, the worker restores both; should the worker
    die with it, they are left with an id that nobody else has, and root reads and removes them all the same.
    """

    def __init__(self, path: str, artifacts: str, uid: int | None) -> None:
        self.path, self.artifacts, self._uid = path, artifacts, uid
        self._fds: list[int] = []
        self._undo: list[Callable[[], None]] = []

    def by_mount(self, idmap: Callable[[int, int], int] | None) -> None:
        """Make two mounts for `attach`; `idmap` maps an owner (user, group) to the child."""
        for place, flags in ((self.path, _FILE_FLAGS), (self.artifacts, _DIRECTORY_FLAGS)):
            fd = syscalls.detached_mount(place)
            self._fds.append(fd)
            syscalls.set_mount_attributes(fd, flags)
            if self._uid is None:
                continue
            owner = os.fstat(fd)
            try:
                if idmap is None:
                    raise OSError("no user namespaces")
                namespace = idmap(owner.st_uid, owner.st_gid)
                syscalls.set_mount_attributes(fd, syscalls.MOUNT_ATTR_IDMAP, user_namespace=namespace)
            except OSError:
                self._hand_over(place)

    def by_descriptor(self) -> None:
        """Open both, and name them by /proc/self/fd: another user cannot walk to them."""
        if self._uid is None:
            return
        for name, flags in (("path", os.O_RDONLY), ("artifacts", os.O_RDONLY | os.O_DIRECTORY)):
            place = getattr(self, name)
            self._hand_over(place)
            fd = os.open(place, flags | os.O_CLOEXEC)
            self._fds.append(fd)
            setattr(self, name, f"/proc/self/fd/{fd}")

    def attach(self, path: str, artifacts: str) -> None:
        """Show both at these places of the calling process's mount namespace."""
        for fd, target in zip(self._fds, (path, artifacts), strict=True):
            syscalls.attach_mount(fd, target)
            os.close(fd)
        self._fds.clear()

    @property
    def fds(self) -> tuple[int, ...]:
        """What the child must keep open."""
        return tuple(self._fds)

    def give_back(self) -> None:
        """End the loan."""
        while self._fds:
            os.close(self._fds.pop())
        while self._undo:
            self._undo.pop()()

    def _hand_over(self, place: str) -> None:
        uid, before = self._uid or 0, Path(place).stat()
        if stat.S_ISDIR(before.st_mode):
            os.chown(place, uid, uid)
        elif not before.st_mode & stat.S_IROTH:
            os.chown(place, -1, uid)
            Path(place).chmod(stat.S_IMODE(before.st_mode) | stat.S_IRGRP)
        else:
            return
        self._undo.append(lambda: restore(place, before))


def restore(place: str, before: os.stat_result) -> None:
    """Give `place` the owners and the mode it had `before`. Raises OSError, but not when it has gone."""
    try:
        now = Path(place).stat()
        if (now.st_uid, now.st_gid, now.st_mode) == (before.st_uid, before.st_gid, before.st_mode):
            return
        os.chown(place, before.st_uid, before.st_gid)
        Path(place).chmod(stat.S_IMODE(before.st_mode))
    except FileNotFoundError:
        return  # deleted meanwhile, as an uploader may
