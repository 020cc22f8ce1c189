"""What a child is locked into: a user, namespaces, and a file system that holds little else than its file.

Built once by the zygote (`build`), entered by each child (`Jail.enter`). What the kernel refuses is left
out and named in `missing`.

As root the child becomes an unused user, inside a user namespace where only that user exists; the file and
the artifacts directory are shown to it through idmapped mounts, so that neither changes its owner. As an
ordinary user the zygote is itself inside a user namespace, and the child keeps its id but no capability.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from uploads.linux import syscalls
from uploads.processing.sandbox.isolation import landlock, rootfs
from uploads.processing.sandbox.isolation.mounts import Loan

# One user for each zygote, above what distributions and subuid ranges (up to about 600 million) hand out.
FIRST_UID = 1_900_000_000

# In a user namespace of the zygote's own user: its two processes, and the first one of the PID namespace.
_ZYGOTES = 3

# In the private root every child's two are in the same place.
_INSIDE = Path(rootfs.FILE), Path(rootfs.ARTIFACTS)

FENCES = {
    "user": "another user id",
    "namespaces": "user, PID, network and IPC namespaces",
    "root": "a private file system root",
    "landlock": "Landlock",
}


@dataclass(slots=True)
class Jail:
    """What a child of this zygote is locked into. Descriptors stay open for the zygote's life."""

    readable: tuple[str, ...]
    namespaces: bool = False
    uid: int | None = None
    root_ns: int | None = None
    user_ns: int | None = None
    landlock_abi: int = 0
    rules: int | None = None  # of Landlock for the private root: the same for every child
    missing: list[str] = field(default_factory=list)
    _idmaps: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def others(self) -> int | None:
        """How many processes count as the child's user's beside its own; None where they cannot be counted."""
        return 0 if self.uid is not None else _ZYGOTES if self.namespaces else None

    def rule(self, pid: int) -> None:
        """Make Landlock's rules for the private root, in which process `pid` is."""
        if self.landlock_abi:
            root = f"/proc/{pid}/root"  # all there is in it is for reading
            self.rules = landlock.ruleset(self.landlock_abi, [root], root + rootfs.OUT, f"{root}/dev/null")

    def lend(self, path: str, artifacts: str) -> Loan:
        """What lets the child, and only it, reach the file and the directory. Raises OSError."""
        loan = Loan(path, artifacts, self.uid)
        try:
            if self.root_ns is None:
                loan.by_descriptor()
            else:
                loan.by_mount(self.idmap if self.user_ns is not None else None)
        except OSError:
            loan.give_back()
            raise
        return loan

    def idmap(self, uid: int, gid: int) -> int:
        """A user namespace that shows what this owner has as the child's. Raises OSError."""
        if (uid, gid) not in self._idmaps:
            self._idmaps[uid, gid] = _user_namespace((uid, self.uid or 0), (gid, self.uid or 0))
        return self._idmaps[uid, gid]

    def enter(self, loan: Loan) -> tuple[Path, Path]:
        """Lock this process in for good; (file, artifacts directory) as seen from inside. Raises OSError."""
        path, artifacts, inside = rootfs.FILE, rootfs.ARTIFACTS, _INSIDE
        if self.root_ns is None:
            path, artifacts, inside = loan.path, loan.artifacts, (Path(loan.path), Path(loan.artifacts))
        if self.namespaces:
            syscalls.unshare(syscalls.CLONE_NEWIPC)
        if self.root_ns is not None:
            syscalls.setns(self.root_ns, syscalls.CLONE_NEWNS)
            syscalls.unshare(syscalls.CLONE_NEWNS)
            loan.attach(path, artifacts)
        os.chdir("/")
        syscalls.forbid_new_privileges()
        if self.landlock_abi:
            rules = self.rules or landlock.ruleset(self.landlock_abi, (*self.readable, path), artifacts)
            syscalls.landlock_restrict(rules)
        if self.user_ns is not None:
            syscalls.setns(self.user_ns, syscalls.CLONE_NEWUSER)
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        with contextlib.suppress(OSError):  # refused where a capability was never ours
            syscalls.drop_capabilities()
        # Without a private root its own /proc/self/fd is the child's way to the file; and a zygote without
        # root's rights may read what a child of its own user has written (/proc/PID/io) only from a dumpable.
        syscalls.set_dumpable(self.root_ns is None or self.uid is None)
        syscalls.die_with_parent(signal.SIGKILL)  # the change of user has cleared it
        return inside


def isolate(without: Collection[str]) -> bool:
    """Go on inside new PID, network, mount (and, as an ordinary user, user) namespaces; whether we do.

    Forks: the caller goes on as the first process of the new PID namespace, so that its end is the end of
    everything below it; the old process waits for it and never returns.
    """
    if "namespaces" in without or not _succeeds(_try_namespaces):
        return False
    _unshare()
    pid = os.fork()
    if pid:
        os.closerange(0, 1024)
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    syscalls.die_with_parent(signal.SIGKILL)
    _own_proc()
    return True


def build(without: Collection[str], readable: tuple[str, ...], *, isolated: bool, number: int) -> Jail:
    """The jail that this kernel and this user allow, less the fences in `without` (keys of FENCES).

    `number` is one that no other zygote of this machine has: its process id as the worker sees it.
    """
    jail = Jail(readable, namespaces=isolated)
    root = os.geteuid() == 0 and "user" not in without
    if root and isolated:
        jail.uid = FIRST_UID + number
        with contextlib.suppress(OSError):
            jail.user_ns = _user_namespace((jail.uid, jail.uid), (jail.uid, jail.uid), last=True)
    jail.landlock_abi = 0 if "landlock" in without else syscalls.landlock_abi()
    if isolated and "root" not in without:
        idmap = jail.idmap if jail.user_ns is not None else None
        jail.root_ns = _namespace_of(lambda: rootfs.build(readable, idmap), "mnt", jail.rule)
    if root and jail.root_ns is None:
        # What Python needs must then be open to the other user as it is; if not, better none than a child
        # that fails at its first late import.
        jail.uid = FIRST_UID + number if all(rootfs.open_to_all(one) for one in readable) else None
        jail.user_ns = jail.user_ns if jail.uid is not None else None
    present = {
        "user": jail.uid is not None or os.geteuid() != 0,
        "namespaces": isolated and (jail.user_ns is not None or os.geteuid() != 0),
        "root": jail.root_ns is not None,
        "landlock": jail.landlock_abi > 0,
    }
    jail.missing = [FENCES[name] for name, there in present.items() if not there]
    return jail


def _unshare() -> None:
    flags = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        syscalls.unshare(flags)
    else:
        syscalls.unshare(flags | syscalls.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)


def _own_proc() -> None:
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV)


def _try_namespaces() -> None:
    def inside() -> None:
        _own_proc()
        syscalls.unshare(syscalls.CLONE_NEWPID)
        syscalls.setns(os.open("/proc/self/ns/pid", os.O_RDONLY), syscalls.CLONE_NEWPID)

    _unshare()
    if not _succeeds(inside):
        raise OSError("namespaces cannot be nested, or no new /proc be mounted")


def _succeeds(attempt: Callable[[], None]) -> bool:
    """Whether `attempt` raises no OSError, tried in a process of its own."""
    pid = os.fork()
    if not pid:
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def _user_namespace(uids: tuple[int, int], gids: tuple[int, int], *, last: bool = False) -> int:
    """A descriptor of a new user namespace that knows one user and group, each (inside, outside).

    With `last` no user namespace can be made inside it.
    """

    def inside() -> None:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        if last:
            Path("/proc/sys/user/max_user_namespaces").write_text("0")

    def outside(pid: int) -> None:
        Path(f"/proc/{pid}/uid_map").write_text("{} {} 1".format(*uids))
        Path(f"/proc/{pid}/gid_map").write_text("{} {} 1".format(*gids))

    fd = _namespace_of(inside, "user", outside)
    if fd is None:
        raise OSError("a user namespace cannot be made")
    return fd


def _namespace_of(
    inside: Callable[[], None], kind: str, outside: Callable[[int], None] = lambda pid: None
) -> int | None:
    """A descriptor of the namespace that a short-lived process makes with `inside`; None if it may not."""
    ready, tell = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            inside()
            os.write(tell, b"y")
        except OSError:
            os._exit(1)
        signal.pause()
    os.close(tell)
    try:
        if os.read(ready, 1) != b"y":
            return None
        outside(pid)
        return os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
