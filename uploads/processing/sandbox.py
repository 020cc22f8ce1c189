"""The worker's side of the sandbox: hand a file to the zygote, listen, and say how it ended.

No Django, no settings. Whatever the child sends is checked here again.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from uploads.processing import harvest, verdict, wire
from uploads.processing.base import ArtifactFile, Json
from uploads.processing.verdict import Done, Failed, Stopped, Usage
from uploads.processing.zygote import BOOTSTRAP

__all__ = ["Done", "Failed", "Sandbox", "SandboxConfig", "Stopped", "Usage"]

START_SECONDS = 60.0
# What the zygote may be late with an answer that it owes, before it is taken for dead.
GRACE_SECONDS = 5.0
STOP_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """`processors`: kind -> dotted path of extra ones. `limits`: kind, or "*" for all -> fields of Limits.

    `allowed_types`: patterns such as "image/*"; empty allows all.
    """

    processors: dict[str, str]
    limits: dict[str, dict[str, float]]
    allowed_types: tuple[str, ...] = ()


class SandboxBroken(RuntimeError):
    """The zygote does not start: a processor cannot be imported, or a limit is no limit."""


class _ZygoteGone(Exception):
    """The zygote has died or does not answer."""


class Sandbox:
    """One zygote, and one file at a time in a child of it. Not for use by several threads.

    `without` leaves fences out (keys of jail.FENCES): to measure what each costs.
    """

    def __init__(self, config: SandboxConfig, *, without: Collection[str] = ()) -> None:
        self._config, self._without = config, without
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._missing: tuple[str, ...] = ()
        self._wall = 0.0

    @property
    def missing_fences(self) -> tuple[str, ...]:
        """What this kernel or this user does not allow, in plain words; known after `start`."""
        return self._missing

    @property
    def pid(self) -> int | None:
        """The zygote's process id, None when there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the zygote and wait until it is ready. Raises SandboxBroken with one sentence.

        Only from the main thread: the zygote dies with the thread that started it.
        """
        if threading.current_thread() is not threading.main_thread():
            raise SandboxBroken("The sandbox must be started from the main thread of its worker.")
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            paths = [path for path in sys.path if path.startswith("/")]
            command = [sys.executable, "-I", "-X", "utf8", "-c", BOOTSTRAP]
            self._socket = ours
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(os.getpid()), json.dumps(paths)],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            self._greet(ours)
        except (_ZygoteGone, OSError) as error:
            self.close()
            raise SandboxBroken(f"The sandbox does not start: {error}") from error

    def _greet(self, zygote: socket.socket) -> None:
        setup: dict[str, Json] = {
            "processors": dict(self._config.processors),
            "limits": {kind: dict(one) for kind, one in self._config.limits.items()},
            "allowed_types": list(self._config.allowed_types),
            "without": list(self._without),
        }
        zygote.sendall(wire.pack(wire.SETUP, setup))
        frames = wire.Frames(wire.HELLO + wire.BROKEN)
        zygote.settimeout(START_SECONDS)
        while data := zygote.recv(1 << 16):
            for kind, body in frames.feed(data):
                told = json.loads(body)
                if kind == wire.BROKEN:
                    raise _ZygoteGone(told["detail"])
                self._missing, self._wall = tuple(told["missing"]), told["wall_seconds"]
                zygote.settimeout(None)
                return
        raise _ZygoteGone("it ended while starting.")

    def close(self) -> None:
        """End the zygote and whatever it has forked."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(
        self,
        path: Path,
        filename: str,
        artifacts_dir: Path,
        *,
        on_progress: Callable[[float, str], None],
        stop_fd: int | None = None,
        deadline_seconds: float | None = None,
    ) -> Done | Failed | Stopped:
        """Work on the file at `path`; its artifacts are in `artifacts_dir`, ours and durable, when Done.

        `stop_fd` readable ends the work (Stopped). What `on_progress` raises ends it too, and passes.
        """
        began = time.monotonic()
        artifacts_dir.mkdir(parents=True, exist_ok=True)
        order: dict[str, Json] = {
            "path": str(path.absolute()),
            "filename": filename,
            "artifacts": str(artifacts_dir.absolute()),
            "deadline": deadline_seconds,
        }
        outcome: Done | Failed | Stopped | None = None
        try:
            told = self._work(order, on_progress, stop_fd, deadline_seconds)
            outcome = verdict.judge(
                told, lambda declared, limit: self._gather(artifacts_dir, declared, limit)
            )
        except _ZygoteGone as error:
            self.close()
            outcome = verdict.zygote_gone(str(error), time.monotonic() - began)
        except BaseException:
            self.close()
            raise
        finally:
            if not isinstance(outcome, Done):
                harvest.clear(artifacts_dir)
        return outcome

    def _gather(self, directory: Path, declared: Json, limit: int) -> tuple[ArtifactFile, ...]:
        return harvest.gather(directory, declared, limit)

    def _work(
        self,
        order: dict[str, Json],
        on_progress: Callable[[float, str], None],
        stop_fd: int | None,
        deadline: float | None,
    ) -> verdict.Told:
        if self._socket is None:
            self.start()
        assert self._socket is not None
        zygote = self._socket
        told = verdict.Told()
        frames = wire.Frames(wire.KIND + wire.PROGRESS + wire.DONE + wire.FAILED + wire.END + wire.BROKEN)
        wall = self._wall if deadline is None else min(deadline, self._wall)
        patience = time.monotonic() + wall + GRACE_SECONDS
        poller = select.poll()
        poller.register(zygote, select.POLLIN)
        if stop_fd is not None:
            poller.register(stop_fd, select.POLLIN)
        _send(zygote, wire.pack(wire.RUN, order))
        while not told.ended:
            left = patience - time.monotonic()
            if left <= 0:
                if told.stopping:
                    self.close()
                    return told
                raise _ZygoteGone("it does not answer.")
            for fd, _ in poller.poll(left * 1000):
                if fd == stop_fd:
                    poller.unregister(fd)
                    told.stopping = True
                    patience = time.monotonic() + STOP_SECONDS
                    _send(zygote, wire.pack(wire.STOP, {}))
                    continue
                data = _receive(zygote)
                for kind, body in frames.feed(data):
                    told.take(kind, body, on_progress)
        return told


def _send(zygote: socket.socket, data: bytes) -> None:
    try:
        zygote.sendall(data)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise _ZygoteGone("it has died.") from error


def _receive(zygote: socket.socket) -> bytes:
    try:
        data = zygote.recv(1 << 16)
    except ConnectionResetError as error:
        raise _ZygoteGone("it has died.") from error
    if not data:
        raise _ZygoteGone("it has died.")
    return data
