"""Processes of ours: children in sessions of their own that never outlive their parent, and stop signals.

Linux only: PR_SET_PDEATHSIG (prctl(2)) and /proc (proc(5)).

As a program, `python -m uploads.management.process COMMAND …` is `manage.py COMMAND …` tied to the
process that started it: when that one dies, by whatever signal, so do this one and all its forks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
_PARENT = "WHARFINGER_PARENT_PID"
_ROOT = Path(__file__).resolve().parent.parent.parent
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send us `by` when `parent`, a pid, ends; end at once where it already has.

    The signal follows the thread that started us, so a parent starts children from a thread that stays.
    Raises OSError where prctl refuses.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
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

    A signal that was ignored before (nohup) stays ignored. Use in the main thread.
    """

    # A process manager may signal the group and its leader may pass the signal on: that is one stop, not two.
    _SAME_STOP_SECONDS = 1.0

    def __init__(self) -> None:
        self.requested_at: float | None = None
        self.hurry = False
        self._before: dict[int, signal.Handlers | object] = {}

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what getsignal gave is taken back
        signal.set_wakeup_fd(self._fd_before)
        self._reader.close()
        self._writer.close()

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self.requested_at is not None

    def wait(self, seconds: float) -> None:
        """Sleep until a signal comes, at most `seconds`."""
        if select.select([self._reader], [], [], max(0.0, seconds))[0]:
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(4096)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.requested_at is None:
            self.requested_at = now
        elif now - self.requested_at > self._SAME_STOP_SECONDS:
            self.hurry = True


class Child:
    """A management command in a session of its own, restarted with back-off when it ends unasked.

    `name` is for messages; `arguments` are manage.py's; `grace` is how many seconds it may take to stop.
    """

    FIRST_DELAY = 0.5
    DELAY_CAP = 30.0
    STEADY_SECONDS = 60.0  # alive for so long, its next end is a first one again

    def __init__(self, name: str, arguments: list[str], grace: float) -> None:
        self.name = name
        self.ends = 0
        self.due: float | None = None
        self._arguments = arguments
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def pid(self) -> int | None:
        """The pid of its main process, which leads its session; None before the first start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, from the main thread. Its standard input is empty, its output is ours."""
        environ = {name: value for name, value in os.environ.items() if name != "ADMIN_PASSWORD"}
        environ[_PARENT] = str(os.getpid())
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environ.get("PYTHONPATH")]))
        # -P: the folder one happens to stand in is no place to import from.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "uploads.management.process", *self._arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._started = time.monotonic()
        self.due = None

    def tend(self) -> str | None:
        """Look after it: a sentence where it has just ended unasked; start it again when that is due."""
        now = time.monotonic()
        if self.due is not None:
            if now >= self.due:
                self.start()
            return None
        if self._process is None or self._process.poll() is None:
            return None
        _kill_session(self._process.pid)
        self.ends = 1 if now - self._started > self.STEADY_SECONDS else self.ends + 1
        delay = min(self.FIRST_DELAY * 2 ** (self.ends - 1), self.DELAY_CAP)
        self.due = now + delay
        return f"The {self.name} {_ending(self._process.returncode)}; it starts again in {delay:g} s."

    def stop(self, signals: StopSignals) -> None:
        """Send SIGTERM to its main process only, wait for its grace, then kill what is left of its session.

        A second stop signal, a second or more after the first, ends the waiting.
        """
        self.due = None
        if self._process is None:
            return
        deadline = time.monotonic() + self._grace
        self._process.terminate()
        while self._process.poll() is None and not signals.hurry:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            signals.wait(min(left, 0.2))
        _kill_session(self._process.pid)
        self._process.wait()


def _ending(status: int) -> str:
    """A process's return code in words; a negative one is the signal that ended it."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _kill_session(leader: int) -> None:
    """SIGKILL every process of the session that `leader` leads or led, until none is left."""
    while members := list(_session_members(leader)):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # The kernel needs a moment, and no event tells of processes that are not our children.
        time.sleep(0.005)


def _session_members(leader: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has gone meanwhile
        # proc(5): "pid (name) state ppid pgrp session …"; the name may hold spaces and brackets.
        state, _parent, _group, session = stat.rpartition(")")[2].split()[:4]
        if int(session) == leader and state not in "ZX":
            yield int(entry.name)


def main(arguments: list[str]) -> None:
    """Run `manage.py` with `arguments`, tied to the process that started us."""
    die_with(int(os.environ.pop(_PARENT)))
    bind_forks()
    sys.path.insert(0, str(_ROOT))
    import manage

    sys.argv = ["manage.py", *arguments]
    manage.main()


if __name__ == "__main__":
    main(sys.argv[1:])
