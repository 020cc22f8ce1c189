"""Watching one child from its fork until every process of its job is gone: limits, frames, costs."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from uploads.processing.base import MIB, Json, Limits
from uploads.processing.registry import DEFAULT
from uploads.processing.sandbox import protocol
from uploads.processing.sandbox.zygote import usage
from uploads.processing.sandbox.zygote.rlimits import Rules

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

# What nothing but the child's end may follow.
_LAST = {protocol.DONE, protocol.FAILED, protocol.ELSEWHERE}

# Why we ended it, or that it ended by itself: what an END frame calls its cause.
EXITED, STOPPED, WALL, FORGED = "exited", "stopped", "wall", "forged"
MEMORY, OUTPUT, PROCESSES = "memory", "output", "processes"


class WorkerGone(Exception):
    """The worker closed its end."""


class Link:
    """The zygote's end of the socket to its worker."""

    def __init__(self, worker: socket.socket) -> None:
        self._worker, self._frames = worker, protocol.Frames(protocol.RUN + protocol.STOP)
        self._held = b""

    def fileno(self) -> int:
        """For poll."""
        return self._worker.fileno()

    def hold(self, kind: bytes, body: bytes) -> None:
        """Send one frame with the next one: it can wait, and each message wakes the worker."""
        self._held += protocol.frame(kind, body)

    def send(self, kind: bytes, body: bytes) -> None:
        """Send one frame, and first what is held."""
        held, self._held = self._held, b""
        self._worker.sendall(held + protocol.frame(kind, body))

    def receive(self) -> Iterator[protocol.Frame]:
        """The frames that are there, after waiting for some bytes. Raises WorkerGone."""
        data = self._worker.recv(CHUNK)
        if not data:
            raise WorkerGone
        return self._frames.feed(data)


@dataclass(frozen=True, slots=True)
class Forked:
    """A child, the first process of its PID namespace (0: it is in ours), and its two pipes."""

    pid: int
    init: int
    frames: int
    errors: int


class Watch:
    """One child from fork to burial. `began` and `deadline` are on the monotonic clock.

    `artifacts` is the directory it writes to, as the zygote sees it.
    """

    def __init__(
        self, link: Link, rules: Rules, forked: Forked, began: float, deadline: float, artifacts: str
    ) -> None:
        self._link, self._rules, self._child, self._began = link, rules, forked, began
        self._deadline, self._artifacts = deadline, artifacts
        self._limits = rules.every[DEFAULT]
        self._cause = EXITED
        self._told: set[bytes] = set()
        self._stderr = b""
        self._own_bytes = self._data = self._memory = 0
        self._next_tick, self._next_progress, self._farewell = began + TICK_SECONDS, 0.0, float("inf")
        self._frames = protocol.Frames(protocol.TOLD)
        self._pidfd = os.pidfd_open(forked.pid)

    def until_the_end(self) -> dict[str, Json]:
        """Watch until every process of the job is gone; the body of an END frame. Raises WorkerGone."""
        try:
            self._watch()
        finally:
            self._kill()
            self._drain()
            written = self._written()
            _, status, used = os.wait4(self._child.pid, 0)
            self._bury()
            for fd in (self._child.frames, self._child.errors, self._pidfd):
                os.close(fd)
        return self._end(status, used, written)

    def _watch(self) -> None:
        poller = select.poll()
        poller.register(self._link.fileno(), select.POLLIN)
        poller.register(self._pidfd, select.POLLIN)
        # Pipes are listened to from the first tick on: most children have ended by then, and all is read at once.
        pipes: set[int] = set()
        listening = False
        while self._cause == EXITED:
            now = time.monotonic()
            if now >= self._next_tick:
                if listening:
                    self._tick(now)
                else:
                    listening, pipes = True, self._listen(poller)
                continue
            for fd, _ in poller.poll(max(0.0, self._next_tick - now) * 1000):
                if fd == self._pidfd:
                    return
                if fd == self._link.fileno():
                    if any(kind == protocol.STOP for kind, _ in self._link.receive()):
                        self._cause = STOPPED
                elif fd in pipes:
                    ended = set() if self._read(fd) else {fd}
                    for one in pipes & (pipes if self._told & _LAST else ended):
                        poller.unregister(one)  # what still comes is read once the child has ended
                        pipes.remove(one)

    def _listen(self, poller: select.poll) -> set[int]:
        """Read what is there, and have the rest announced."""
        pipes = {self._child.frames, self._child.errors}
        for fd in pipes:
            self._read(fd)
            poller.register(fd, select.POLLIN)
        return pipes

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
        now = usage.take(self._others(), self._rules.resident_baseline)
        self._data = max(self._data, now.data_bytes)
        self._memory = max(self._memory, now.memory_bytes)
        if now.memory_bytes > limits.memory_bytes + MEMORY_SLACK_BYTES:
            return MEMORY
        on_disk, entries = usage.disk_usage(self._artifacts)
        if max(on_disk, now.disk_bytes) > limits.output_bytes + DISK_SLACK_BYTES:
            return OUTPUT
        if entries >= usage.MAX_ENTRIES:
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
        if fd == self._child.errors:
            self._stderr = (self._stderr + data)[-STDERR_BYTES:]
            return bool(data)
        try:
            for kind, body in self._frames.feed(data):
                self._take(kind, body)
        except protocol.BadFrame:
            self._cause = FORGED
            return False
        return bool(data)

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == protocol.PROGRESS:
            now = time.monotonic()
            if now >= self._next_progress:
                self._next_progress = now + PROGRESS_SECONDS
                self._link.send(kind, body)
            return
        if kind in self._told or self._told & _LAST:
            raise protocol.BadFrame("told twice")
        self._told.add(kind)
        if kind == protocol.KIND:
            self._limits = self._limits_of(body)
        elif kind in _LAST:
            self._farewell = time.monotonic() + FAREWELL_SECONDS
        self._link.hold(kind, body)

    def _limits_of(self, body: bytes) -> Limits:
        kind = protocol.load(body).get("kind")
        if not isinstance(kind, str) or kind not in self._rules.registry.kinds():
            raise protocol.BadFrame("no such kind")
        return self._rules.every[kind]

    def _kill(self) -> None:
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)

    def _drain(self) -> None:
        """Read what was written before the end: at most what a pipe holds."""
        for fd in (self._child.frames, self._child.errors):
            for _ in range(PIPE_BYTES // CHUNK):
                if self._cause == FORGED or not self._read(fd):
                    break

    def _written(self) -> int:
        """Bytes the child wrote, those of the helpers it waited for included; our own pipes are not."""
        return max(0, usage.written_bytes(self._child.pid) - self._own_bytes)

    def _bury(self) -> None:
        """Kill every other process of the job until none is left: one that forks may be a step ahead."""
        while pids := self._others():
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            reap_orphans()

    def _others(self) -> list[int]:
        """The processes of the job, as far as they are not buried."""
        me = os.getpid()
        return usage.all_but((me, self._child.init)) if self._child.init else usage.descendants(me)

    def _end(self, status: int, used: resource.struct_rusage, written: int) -> dict[str, Json]:
        peak = used.ru_maxrss * 1024
        return {
            "cause": self._cause,
            "exit": os.waitstatus_to_exitcode(status),
            "stderr": protocol.clean_text(self._stderr.decode("utf-8", "replace")),
            "peak_memory_bytes": peak,
            "data_bytes": max(0, self._data - self._rules.memory_baseline),
            "memory_bytes": max(self._memory, peak - self._rules.resident_baseline),
            "memory_limit": self._limits.memory_bytes,
            "cpu_limit": self._limits.cpu_seconds,
            "output_limit": self._limits.output_bytes,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "bytes_written": written,
            "wall_seconds": time.monotonic() - self._began,
        }


def reap_orphans() -> None:
    """Reap what has become our child and has ended; where there is a PID namespace, its first process does."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
