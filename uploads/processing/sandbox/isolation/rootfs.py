"""The file system a child sees: Python, its libraries, one file, one directory; all else is not there."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from uploads.linux import syscalls

# Each is mounted below a directory of the root, so that one rule for that directory holds for every job's.
FILE, OUT, ARTIFACTS = "/in/file", "/out", "/out/here"

# Shared libraries and what they read: loader cache, magic numbers, types, fonts, time zones.
SYSTEM = (
    "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib",
    "/usr/share/file", "/usr/share/misc", "/usr/share/mime", "/usr/share/fonts", "/usr/share/fontconfig",
    "/usr/share/zoneinfo", "/usr/local/share/fonts",
    "/etc/ld.so.cache", "/etc/magic", "/etc/magic.mime", "/etc/mime.types", "/etc/fonts", "/etc/localtime",
    "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
)  # fmt: skip


def readable_places(modules: Iterable[str]) -> tuple[str, ...]:
    """What a child may read beside its file: SYSTEM, Python with its libraries, our code and `modules`.

    `modules` are the names of imported modules whose top packages are wanted. Only what exists is named,
    and nothing twice.
    """
    places = [*SYSTEM]
    for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix):
        places += [f"{prefix}/{one}" for one in ("lib", "lib64", "share", "pyvenv.cfg")]
    places += [one for one in sys.path if one.rstrip("/").endswith(("site-packages", "dist-packages"))]
    for name in ("uploads", *modules):
        top = sys.modules.get(name.partition(".")[0])
        source = getattr(top, "__file__", None)
        if source is not None:
            places.append(str(Path(source).parent) if hasattr(top, "__path__") else source)
    return tuple(one for one in dict.fromkeys(map(os.path.abspath, places)) if Path(one).exists())


def build(readable: Iterable[str], idmap: Callable[[int, int], int] | None = None) -> None:
    """Make a new mount namespace whose root is a read-only tmpfs showing `readable`. Raises OSError.

    `idmap`, for a child of another user, maps an owner (user, group) to it: Python and our code may have been
    installed for nobody but their owner. System places are shown as they are.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    targets = {place: os.path.realpath(place) for place in readable}
    real: dict[str, int] = {}
    for target in sorted(targets.values()):
        if not _below(target, real):
            real[target] = _shown(target, idmap)
    # /proc is there on every machine, and all we need of it is already in hand.
    syscalls.mount("tmpfs", "/proc", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0755,size=1m")
    os.chdir("/proc")
    for target, fd in real.items():
        inside = Path("." + target)
        inside.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            inside.mkdir()
        else:
            inside.touch()
        syscalls.attach_mount(fd, str(inside))
        os.close(fd)
    for place, target in targets.items():
        if place != target and not _below(str(Path(place).parent), real) and not os.path.lexists("." + place):
            Path("." + place).parent.mkdir(parents=True, exist_ok=True)
            Path("." + place).symlink_to(target)
    Path("./in").mkdir()
    Path("." + FILE).touch()
    Path("." + ARTIFACTS).mkdir(parents=True)
    syscalls.make_read_only("/proc", syscalls.MOUNT_ATTR_NOSUID)
    syscalls.pivot_root(".", ".")
    syscalls.unmount(".")
    os.chdir("/")


def open_to_all(place: str) -> bool:
    """Whether any user may walk to `place` and read it."""
    real = Path(os.path.realpath(place))
    needed = 0o005 if real.is_dir() else 0o004
    return real.stat().st_mode & needed == needed and all(one.stat().st_mode & 0o001 for one in real.parents)


def _shown(place: str, idmap: Callable[[int, int], int] | None) -> int:
    fd = syscalls.detached_mount(place)
    if idmap is not None and not _below(place, map(os.path.realpath, SYSTEM)):
        owner = os.fstat(fd)
        with contextlib.suppress(OSError):  # a file system without idmapped mounts: as it is, then
            namespace = idmap(owner.st_uid, owner.st_gid)
            syscalls.set_mount_attributes(fd, syscalls.MOUNT_ATTR_IDMAP, user_namespace=namespace)
    return fd


def _below(path: str, tops: Iterable[str]) -> bool:
    return any(path == top or path.startswith(top.rstrip("/") + "/") for top in tops)
