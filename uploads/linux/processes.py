"""Processes of ours: children that never outlive their parent, sessions ended whole, stop signals, who lives.

Linux only: PR_SET_PDEATHSIG (prctl(2)) and /proc (proc(5)). Knows nothing of Django.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from uploads.linux import syscalls

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
UNKILLABLE_SECONDS = 5.0


def die_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send us `by` when `parent`, a pid, ends; end at once where it already has.

    The signal follows the thread that started us, so a parent starts children from a thread that stays.
    Raises OSError where prctl refuses.
    """
    syscalls.die_with_parent(int(by))
    # 0: the parent is in another PID namespace, where its end cannot be missed by us anyway.
    if os.getppid() not in (parent, 0):
        os.kill(os.getpid(), by)


_forking_pid = 0
_forks_bound = False


def bind_forks() -> None:
    """Tie every later fork of this process, and its forks in turn, to its own parent. Idempotent.

    A program started with `subprocess` runs no fork hooks and has to arm itself.
    """
    global _forks_bound
    if _forks_bound:
        return
    os.register_at_fork(before=_remember_pid, after_in_child=_die_with_forker)
    _forks_bound = True


def _remember_pid() -> None:
    global _forking_pid
    _forking_pid = os.getpid()


def _die_with_forker() -> None:
    die_with(_forking_pid)


class StopSignals:
    """While entered, SIGINT, SIGTERM and SIGHUP are remembered, and they and SIGCHLD end a `wait`.

    A signal that was ignored before (nohup) stays ignored. Use in the main thread. With `last` the process
    ends right afterwards, and stop signals that come meanwhile are ignored: its exit status is settled.
    """

    # A process manager may signal the group and its leader may pass the signal on: that is one stop, not two.
    _SAME_STOP_SECONDS = 1.0

    def __init__(self, *, last: bool = False) -> None:
        self._last = last
        self.requested_at: float | None = None
        self.hurry = False
        self._before: dict[int, signal.Handlers | object] = {}

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            settled = self._last and number in STOPS
            # What getsignal gave is taken back.
            signal.signal(number, signal.SIG_IGN if settled else handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._fd_before)
        self._reader.close()
        self._writer.close()

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self.requested_at is not None

    def wait(self, seconds: float, *descriptors: int) -> None:
        """Sleep until a signal comes or one of the descriptors is readable, at most `seconds`."""
        own = self._reader.fileno()
        if own in select.select([own, *descriptors], [], [], max(0.0, seconds))[0]:
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(4096)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.requested_at is None:
            self.requested_at = now
        elif now - self.requested_at > self._SAME_STOP_SECONDS:
            self.hurry = True


@dataclass(frozen=True, slots=True)
class Entry:
    """A living process: `started` in clock ticks since boot, which tells a reused pid."""

    pid: int
    parent: int
    session: int
    started: int


def look_up(pid: int) -> Entry | None:
    """The process of this pid, or None where it is gone or a zombie, which works on nothing any more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): "pid (name) state ppid pgrp session …", 22nd: start; the name may hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return Entry(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def alive(pid: int, started: int) -> bool:
    """Whether the process of this pid and start is still there."""
    found = look_up(pid)
    return found is not None and found.started == started


def living() -> Iterator[Entry]:
    """Every living process we can see."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := look_up(int(entry.name))) is not None:
            yield found


def session_members(leader: int) -> list[int]:
    """Pids of the session that `leader` leads or led."""
    return [entry.pid for entry in living() if entry.session == leader]


def kill_session(leader: int) -> None:
    """SIGKILL every process of the session that `leader` leads or led, until none is left.

    One that a dead disk holds in the kernel cannot be killed: after UNKILLABLE_SECONDS it is left to it.
    """
    _kill_until_none(lambda: session_members(leader))


def kill_children(spared: set[int]) -> int:
    """SIGKILL our own children but the spared ones, and the orphans we adopt by it; how many were hit."""
    me = os.getpid()
    return _kill_until_none(
        lambda: [entry.pid for entry in living() if entry.parent == me and entry.pid not in spared]
    )


def _kill_until_none(find: Callable[[], list[int]]) -> int:
    hit: set[int] = set()
    deadline = time.monotonic() + UNKILLABLE_SECONDS
    while (members := find()) and time.monotonic() < deadline:
        for pid in members:
            hit.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # The kernel needs a moment, and no event tells of processes that are not our children.
        time.sleep(0.005)
    return len(hit)


def reap() -> dict[int, int]:
    """Collect all children that have ended: pid to exit status, negative for the signal that ended it."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


@cache
def boot_id() -> str:
    """Which start of which kernel this is; where the kernel does not tell, a name nobody else has."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(uuid.uuid4())


def pid_namespace() -> str:
    """In which PID namespace our pids count, e.g. "pid:[4026531836]"."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "unknown"


def reap_pid(pid: int) -> None:
    """Collect one child that has been killed; it may have been collected already, or hang in the kernel."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
