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
from functools import partial
from pathlib import Path

from uploads.processing import harvest, verdict, wire
from uploads.processing.base import Json
from uploads.processing.loan import restore
from uploads.processing.verdict import Done, Failed, Stopped, Usage

__all__ = ["Done", "Failed", "Sandbox", "SandboxConfig", "Stopped", "Usage"]

# The zygote's program: its own sys.path, then its main function.
BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from uploads.processing import forking; forking.hold_back(); "
    "from uploads.processing.zygote import main; main(*map(int, sys.argv[1:]))"
)
START_SECONDS = 60.0
# What the zygote may be late with an answer that it owes, before it is taken for dead.
GRACE_SECONDS = 5.0
STOP_SECONDS = 0.7
# For a zygote to end by itself, and for the last of its children to be gone once it has.
CLOSE_SECONDS, GONE_SECONDS = 0.3, 1.0


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


class _NoDirectory(Exception):
    """The artifacts directory cannot be made."""


class Sandbox:
    """One zygote, and one file at a time in a child of it. Not for use by several threads.

    `without` leaves fences out (keys of jail.FENCES): to measure what each costs.
    """

    def __init__(self, config: SandboxConfig, *, without: Collection[str] = ()) -> None:
        self._config, self._without = config, without
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._alive = -1
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
        alive, self._alive = os.pipe()
        with theirs, open(alive, "rb"):  # noqa: PTH123 - to close it
            paths = [str(Path(path).absolute()) for path in sys.path]  # "" is the working directory
            command = [sys.executable, "-I", "-X", "utf8", "-c", BOOTSTRAP]
            self._socket = ours
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(alive), str(os.getpid()), json.dumps(paths)],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), alive],
                start_new_session=True,
            )
        try:
            self._greet(ours)
        except ConnectionError as error:
            self.close()
            raise SandboxBroken("The sandbox does not start: its process has ended.") from error
        except (_ZygoteGone, TimeoutError) as error:
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
        raise ConnectionError("end of file")

    def close(self) -> None:
        """End the zygote and whatever it has forked; when this returns, nothing of them runs any more."""
        if self._socket is not None:
            self._socket.close()  # which it takes as a request to end
            self._socket = None
        if self._process is not None:
            try:
                self._process.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._alive >= 0:
            gone = select.poll()
            gone.register(self._alive, 0)  # POLLERR comes with the end of the last reader
            gone.poll(GONE_SECONDS * 1000)
            os.close(self._alive)
            self._alive = -1

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
        order: dict[str, Json] = {
            "path": str(path.absolute()),
            "filename": filename,
            "artifacts": str(artifacts_dir.absolute()),
            "deadline": deadline_seconds,
        }
        outcome: Done | Failed | Stopped | None = None
        owned: dict[str, os.stat_result] = {}
        try:
            owned = _owners(path, artifacts_dir)
            told = self._work(self._ready(), order, on_progress, stop_fd)
            outcome = verdict.judge(told, partial(harvest.gather, artifacts_dir))
        except _ZygoteGone as error:
            self.close()
            for place, before in owned.items():
                restore(place, before)
            detail = f"The sandbox's own process is lost: {error}"
            outcome = verdict.lost("processor_crashed", detail, time.monotonic() - began)
        except SandboxBroken as error:
            outcome = verdict.lost("internal_error", str(error), time.monotonic() - began)
        except _NoDirectory as error:
            outcome = verdict.lost("storage_unavailable", str(error), time.monotonic() - began)
        finally:
            if outcome is None:  # what on_progress raised is passing
                self.close()
            if not isinstance(outcome, Done):
                harvest.discard(artifacts_dir)
        return outcome

    def _ready(self) -> socket.socket:
        if self._socket is None:
            self.start()
        if self._socket is None:
            raise SandboxBroken("The sandbox is closed.")
        return self._socket

    def _work(
        self,
        zygote: socket.socket,
        order: dict[str, Json],
        on_progress: Callable[[float, str], None],
        stop_fd: int | None,
    ) -> verdict.Told:
        told = verdict.Told()
        frames = wire.Frames(wire.KIND + wire.PROGRESS + wire.DONE + wire.FAILED + wire.END + wire.BROKEN)
        patience = time.monotonic() + self._wall + GRACE_SECONDS
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


def _owners(path: Path, directory: Path) -> dict[str, os.stat_result]:
    """Make the directory; who owns both before the run, as far as they are there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return {str(one): one.stat() for one in (path, directory) if one.exists()}
    except OSError as error:
        raise _NoDirectory(str(error)) from error


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
