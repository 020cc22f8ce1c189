"""The few Linux calls the sandbox needs that Python's `os` does not have, as thin typed functions.

Each raises OSError with the kernel's errno. Numbers and structures are from the kernel's uapi headers
(mount.h, landlock.h, prctl.h, sched.h, capability.h); system call numbers above 423 are the same on
every architecture.
"""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS, CLONE_NEWIPC = 0x00020000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE = 0x2, 0x4, 0x1000, 0x4000, 0x80000
MNT_DETACH = 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_IDMAP = 0x00100000

_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD, _SYS_LANDLOCK_RESTRICT = 444, 445, 446

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES_OF_ME, _NONE = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)

_libc = ctypes.CDLL(None, use_errno=True)
_long = ctypes.c_long
_libc.syscall.restype = _long
# Declared and looked up here, once for all children.
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_libc.unshare.argtypes, _libc.setns.argtypes = (ctypes.c_int,), (ctypes.c_int, ctypes.c_int)
_libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
_libc.signal.restype = ctypes.c_void_p
_libc.capset.argtypes = (ctypes.c_char_p, ctypes.c_char_p)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _syscall(what: str, number: int, *values: int | bytes | None) -> int:
    words = [_long(value) if type(value) is int else value for value in values]
    return _checked(_libc.syscall(_long(number), *words), what)


def _prctl(what: str, option: int, value: int) -> None:
    _checked(_libc.prctl(option, value, 0, 0, 0), what)


def unshare(flags: int) -> None:
    """Leave the namespaces in `flags` for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, flag: int) -> None:
    """Enter the namespace that `fd` (of /proc/PID/ns/…) stands for."""
    _checked(_libc.setns(fd, flag), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    done = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _checked(done, f"mount {target}")


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"unmount {target}")


def pivot_root(new_root: str, old_root: str) -> None:
    """pivot_root(2): both may be "." to stack the old root under the new one."""
    _checked(_libc.pivot_root(os.fsencode(new_root), os.fsencode(old_root)), "pivot_root")


def detached_mount(path: str) -> int:
    """A file descriptor of a new mount, attached nowhere yet, that shows `path` (a file or a directory)."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    return _syscall("open_tree", _SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)


def attach_mount(fd: int, target: str) -> None:
    """Attach a detached mount at `target`."""
    _syscall("move_mount", _SYS_MOVE_MOUNT, fd, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)


def set_mount_attributes(fd: int, set_: int, *, user_namespace: int = 0) -> None:
    """Add MOUNT_ATTR_… to a detached mount; `user_namespace` is the map of MOUNT_ATTR_IDMAP."""
    attributes = struct.pack("=QQQQ", set_, 0, 0, user_namespace)
    _syscall("mount_setattr", _SYS_MOUNT_SETATTR, fd, b"", _AT_EMPTY_PATH, attributes, len(attributes))


def make_read_only(path: str, extra: int = 0) -> None:
    """Make the mount at `path`, and all below it, read-only."""
    attributes = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY | extra, 0, 0, 0)
    _syscall(
        "mount_setattr",
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(path),
        _AT_RECURSIVE,
        attributes,
        len(attributes),
    )


def landlock_abi() -> int:
    """The version of Landlock this kernel speaks, 0 for none."""
    try:
        return _syscall("landlock", _SYS_LANDLOCK_CREATE, None, 0, 1)
    except OSError:
        return 0


def landlock_ruleset(files: int, network: int, scopes: int, size: int) -> int:
    """A new ruleset that handles these accesses; `size` is that of the structure in the ABI spoken."""
    attributes = struct.pack("=QQQ", files, network, scopes)[:size]
    return _syscall("landlock_create_ruleset", _SYS_LANDLOCK_CREATE, attributes, size, 0)


def landlock_allow(ruleset: int, access: int, fd: int) -> None:
    """Allow `access` on what the O_PATH descriptor `fd` shows and all below it."""
    _syscall("landlock_add_rule", _SYS_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", access, fd), 0)


def landlock_restrict(ruleset: int) -> None:
    """Put this thread, and what it forks, under the ruleset for good."""
    _syscall("landlock_restrict_self", _SYS_LANDLOCK_RESTRICT, ruleset, 0)


def die_with_parent(signal: int) -> None:
    """Get `signal` when the thread that forked us ends. setresuid and the like clear this."""
    _prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, signal)


def default_signals() -> None:
    """Let what the zygote ignores (SIGHUP, SIGINT, SIGTERM) end this process again.

    Python's own function makes enumerations of it all: a tenth of what a child costs.
    """
    for number in (1, 2, 15):
        _libc.signal(number, None)


def set_dumpable(on: bool) -> None:
    """Whether /proc/self belongs to our user (and a debugger of that user may attach)."""
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, int(on))


def become_subreaper() -> None:
    """Orphans among our descendants become our children."""
    _prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)


def forbid_new_privileges() -> None:
    """No set-uid program or file capability works from now on."""
    _prctl("PR_SET_NO_NEW_PRIVS", _PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up every capability; for uid 0 also those it would get back by exec."""
    if os.geteuid() == 0:
        for capability in range(64):
            try:
                _prctl("PR_CAPBSET_DROP", _PR_CAPBSET_DROP, capability)
            except OSError:
                break  # past the last one this kernel has, or none may be dropped
    _checked(_libc.capset(_CAPABILITIES_OF_ME, _NONE), "capset")
