"""One job from the zygote's side: fork the child, watch it and the worker, end it, count what it took."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import time
from dataclasses import dataclass
from typing import NoReturn

from uploads.processing import census, child, kernel, wire
from uploads.processing.base import MIB, Json, Limits
from uploads.processing.child import Rules
from uploads.processing.jail import Jail
from uploads.processing.loan import Loan
from uploads.processing.registry import DEFAULT

STDERR_BYTES = 4096
TICK_SECONDS = 0.05
PROGRESS_SECONDS = 0.05
CHUNK = PIPE_BYTES = 1 << 16
# Between a result frame and the exit that must follow it.
FAREWELL_SECONDS = 1.0
# Above output_bytes: journals and half-filled blocks. Times output_bytes: rewriting, pipes, memory files.
DISK_SLACK_BYTES, REWRITE_FACTOR = 4 * MIB, 16
# All processes together; each alone is under RLIMIT_DATA.
MEMORY_SLACK_BYTES = 32 * MIB

# In a user namespace of the zygote's own user: its two processes, and the first one of the PID namespace.
_ZYGOTES = 3

STOPPED, WALL, MEMORY, OUTPUT, PROCESSES, FORGED, EXITED = (
    "stopped", "wall", "memory", "output", "processes", "forged", "exited",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """A job as the worker asked for it."""

    path: str
    filename: str
    artifacts: str
    deadline: float | None

    @classmethod
    def load(cls, body: bytes) -> Order:
        """From a RUN frame."""
        return cls(**json.loads(body))


class WorkerGone(Exception):
    """The worker closed its end."""


class Warden:
    """Watches one job at a time for one worker."""

    def __init__(self, worker: socket.socket, rules: Rules, jail: Jail) -> None:
        self._worker, self._rules, self._jail = worker, rules, jail
        self._requests = wire.Frames(wire.RUN + wire.STOP)
        self._home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC) if jail.namespaces else -1
        self._shared, _ = census.own_memory()

    def serve(self) -> None:
        """Do what the worker asks until it closes its end."""
        while True:
            data = self._worker.recv(CHUNK)
            if not data:
                return
            for kind, body in self._requests.feed(data):
                if kind == wire.RUN:  # a STOP that came too late stops nothing
                    self._run(Order.load(body))

    def _run(self, order: Order) -> None:
        began = time.monotonic()
        try:
            loan = self._jail.lend(order.path, order.artifacts)
        except OSError as error:
            body: dict[str, Json] = {"errno": error.errno, "detail": str(error)}
            self._worker.sendall(wire.pack(wire.BROKEN, body))
            return
        try:
            watch = _Watch(self, order, loan, began)
            end = watch.until_the_end()
        finally:
            loan.give_back()
        self._worker.sendall(wire.pack(wire.END, end))

    def fileno(self) -> int:
        """The socket to the worker."""
        return self._worker.fileno()

    def read_requests(self) -> bool:
        """Whether the worker has sent a STOP. Raises WorkerGone."""
        data = self._worker.recv(CHUNK)
        if not data:
            raise WorkerGone
        return any(kind == wire.STOP for kind, _ in self._requests.feed(data))

    def forward(self, kind: bytes, body: bytes) -> None:
        """Pass a frame on to the worker."""
        self._worker.sendall(wire.frame(kind, body))

    def fork(self, order: Order, loan: Loan) -> tuple[int, int, int, int]:
        """(child, first process of its PID namespace or 0, frames pipe, stderr pipe)."""
        init = self._fork_init() if self._jail.namespaces else 0
        frames, frames_in = os.pipe()
        errors, errors_in = os.pipe()
        pid = os.fork()
        if not pid:
            self._become_child(order, loan, frames_in, errors_in)
        if self._jail.namespaces:
            kernel.setns(self._home, kernel.CLONE_NEWPID)
        os.close(frames_in)
        os.close(errors_in)
        os.set_blocking(frames, False)
        os.set_blocking(errors, False)
        return pid, init, frames, errors

    def _fork_init(self) -> int:
        """The first process of a new PID namespace: reaps orphans, and takes all along when it is killed.

        The child itself is not the first, since a kernel withholds fatal signals from that one. It is our
        own child all the same, so that we read its end and its costs at first hand.
        """
        kernel.unshare(kernel.CLONE_NEWPID)
        pid = os.fork()
        if not pid:
            try:
                child.close_all_but(())
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
                kernel.die_with_parent(signal.SIGKILL)
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        return pid

    def _become_child(self, order: Order, loan: Loan, frames: int, errors: int) -> NoReturn:
        try:
            kernel.die_with_parent(signal.SIGKILL)
            os.setsid()
            os.umask(0o077)
            jail = self._jail
            keep = {frames, *loan.fds, *(fd for fd in (jail.root_ns, jail.user_ns) if fd is not None)}
            child.take_streams(errors, keep)
            path, artifacts = jail.enter(loan)
            child.close_all_but({frames, *loan.fds})
            others = 0 if jail.uid is not None else _ZYGOTES if jail.namespaces else None
            child.work(self._rules, path, order.filename, artifacts, frames, others=others)
        except BaseException as error:  # noqa: BLE001 - must not unwind into the zygote's loop
            os.write(frames, wire.frame(wire.FAILED, child.failure(error)))
            os._exit(0)

    @property
    def rules(self) -> Rules:
        """The configuration."""
        return self._rules

    @property
    def shared_bytes(self) -> int:
        """What a child has resident before it does anything."""
        return self._shared

    @property
    def isolated(self) -> bool:
        """Whether /proc shows nobody but us and the job."""
        return self._jail.namespaces


class _Watch:
    """One child from fork to burial."""

    def __init__(self, warden: Warden, order: Order, loan: Loan, began: float) -> None:
        self._warden, self._began = warden, began
        self._limits = warden.rules.limits(DEFAULT)
        self._deadline = began + order.deadline if order.deadline is not None else float("inf")
        self._cause = EXITED
        self._told: set[bytes] = set()
        self._stderr = b""
        self._own_bytes = self._data = self._memory = 0
        self._next_tick, self._next_progress, self._farewell = began + TICK_SECONDS, 0.0, float("inf")
        self._frames = wire.Frames(wire.KIND + wire.PROGRESS + wire.DONE + wire.FAILED)
        self._pid, self._init, self._frames_fd, self._errors_fd = warden.fork(order, loan)
        self._pidfd = os.pidfd_open(self._pid)

    def until_the_end(self) -> dict[str, Json]:
        """Watch until every process of the job is gone; the body of an END frame."""
        try:
            self._watch()
        finally:
            self._kill()
            self._drain()
            written = self._written_by_child()
            _, status, usage = os.wait4(self._pid, 0)
            self._bury()
            for fd in (self._frames_fd, self._errors_fd, self._pidfd):
                os.close(fd)
        return self._end(status, usage, written)

    def _watch(self) -> None:
        poller = select.poll()
        for fd in (self._warden.fileno(), self._frames_fd, self._errors_fd, self._pidfd):
            poller.register(fd, select.POLLIN)
        while self._cause == EXITED:
            now = time.monotonic()
            if now >= self._next_tick:
                self._tick(now)
                continue
            for fd, _ in poller.poll(max(0.0, self._next_tick - now) * 1000):
                if fd == self._pidfd:
                    return
                if fd == self._warden.fileno():
                    if self._warden.read_requests():
                        self._cause = STOPPED
                elif not self._read(fd):
                    poller.unregister(fd)

    def _tick(self, now: float) -> None:
        """Hold what the child uses against its limits."""
        self._next_tick = now + TICK_SECONDS
        if now > min(self._began + self._limits.wall_seconds, self._deadline):
            self._cause = WALL
        elif now > self._farewell:
            self._cause = FORGED
        else:
            self._cause = self._over_limit()

    def _over_limit(self) -> str:
        limits = self._limits
        if self._warden.isolated:
            pids = census.all_but((os.getpid(), self._init))
        else:
            pids = census.descendants(os.getpid())
        now = census.take(pids, self._warden.shared_bytes)
        self._data = max(self._data, now.data_bytes)
        self._memory = max(self._memory, now.memory_bytes)
        if now.memory_bytes > limits.memory_bytes + MEMORY_SLACK_BYTES:
            return MEMORY
        if now.disk_bytes > limits.output_bytes + DISK_SLACK_BYTES:
            return OUTPUT
        if now.written_bytes - self._own_bytes > REWRITE_FACTOR * limits.output_bytes:
            return OUTPUT
        return PROCESSES if now.processes > limits.processes else EXITED

    def _read(self, fd: int) -> bool:
        """Take what a pipe has; False at its end."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return True
        self._own_bytes += len(data)
        if fd == self._errors_fd:
            self._stderr = (self._stderr + data)[-STDERR_BYTES:]
        elif data:
            try:
                for kind, body in self._frames.feed(data):
                    self._take(kind, body)
            except wire.BadFrame:
                self._cause = FORGED
        return bool(data)

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == wire.PROGRESS:
            now = time.monotonic()
            if now < self._next_progress:
                return
            self._next_progress = now + PROGRESS_SECONDS
        elif kind in self._told or self._told & {wire.DONE, wire.FAILED}:
            raise wire.BadFrame("told twice")
        self._told.add(kind)
        if kind == wire.KIND:
            self._limits = self._limits_of(body)
        elif kind in {wire.DONE, wire.FAILED}:
            self._farewell = time.monotonic() + FAREWELL_SECONDS
        self._warden.forward(kind, body)

    def _limits_of(self, body: bytes) -> Limits:
        kind = wire.load(body).get("kind")
        if not isinstance(kind, str) or kind not in self._warden.rules.registry.kinds():
            raise wire.BadFrame("no such kind")
        return self._warden.rules.limits(kind)

    def _kill(self) -> None:
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if self._init:
            os.kill(self._init, signal.SIGKILL)
        os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)

    def _drain(self) -> None:
        """Read what was written before the end; nobody is left to write more."""
        for fd in (self._frames_fd, self._errors_fd):
            for _ in range(PIPE_BYTES // CHUNK):
                if not self._read(fd):
                    break

    def _written_by_child(self) -> int:
        return max(0, census.take([self._pid], 0).written_bytes - self._own_bytes)

    def _bury(self) -> None:
        if self._init:
            os.waitpid(self._init, 0)
        else:
            _kill_all()

    def _end(self, status: int, usage: resource.struct_rusage, written: int) -> dict[str, Json]:
        return {
            "cause": self._cause,
            "exit": os.waitstatus_to_exitcode(status),
            "stderr": wire.clean_text(self._stderr.decode("utf-8", "replace")),
            "peak_memory_bytes": usage.ru_maxrss * 1024,
            "data_bytes": max(0, self._data - self._warden.rules.memory_baseline),
            "memory_bytes": max(self._memory, usage.ru_maxrss * 1024 - self._warden.shared_bytes),
            "memory_limit": self._limits.memory_bytes,
            "cpu_limit": self._limits.cpu_seconds,
            "output_limit": self._limits.output_bytes,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "bytes_written": written,
            "wall_seconds": time.monotonic() - self._began,
        }


def _kill_all() -> None:
    """Kill and reap every descendant until none is left: a forking one may be a step ahead."""
    while pids := census.descendants(os.getpid()):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue
