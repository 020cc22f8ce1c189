"""The worker's end of a zygote: start it, give it a file, listen to what it tells, end it."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uploads.processing.base import Json
from uploads.processing.sandbox import protocol
from uploads.processing.sandbox.client import outcome

# The zygote's program: its own sys.path, then its main function.
BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from uploads.processing.sandbox.zygote import fork; fork.hold_back(); "
    "from uploads.processing.sandbox.zygote.main import main; main(*map(int, sys.argv[1:]))"
)
START_SECONDS = 60.0
# What the zygote may be late with an answer that it owes, before it is taken for dead.
GRACE_SECONDS = 5.0
STOP_SECONDS = 0.7
# For a zygote to end by itself, and for the last of its children to be gone once it has.
CLOSE_SECONDS, GONE_SECONDS = 0.3, 1.0


class SandboxBroken(RuntimeError):
    """The zygote does not start: a processor cannot be imported, or a limit is no limit."""


class ZygoteGone(Exception):
    """The zygote has died or does not answer."""


class ZygoteProcess:
    """One zygote, started when it is first needed and again after its end. Not for use by several threads.

    `setup` makes the body of its SETUP frame; `hello` is what it answered.
    """

    def __init__(self, setup: Callable[[], dict[str, Json]]) -> None:
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._alive = -1
        self.hello: dict[str, Any] = {}

    @property
    def pid(self) -> int | None:
        """Its process id, None when there is none."""
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
        except (ZygoteGone, TimeoutError) as error:
            self.close()
            raise SandboxBroken(f"The sandbox does not start: {error}") from error

    def _greet(self, zygote: socket.socket) -> None:
        zygote.sendall(protocol.pack(protocol.SETUP, self._setup()))
        frames = protocol.Frames(protocol.HELLO + protocol.BROKEN)
        zygote.settimeout(START_SECONDS)
        while data := zygote.recv(1 << 16):
            for kind, body in frames.feed(data):
                told = json.loads(body)
                if kind == protocol.BROKEN:
                    raise ZygoteGone(told["detail"])
                self.hello = told
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

    def work(
        self, order: dict[str, Json], on_progress: Callable[[float, str], None], stop_fd: int | None
    ) -> outcome.Told:
        """What is told of a file. Raises ZygoteGone, SandboxBroken, and what `on_progress` raises: then it is ended."""
        zygote = self._ready()
        try:
            return self._work(zygote, protocol.pack(protocol.RUN, order), on_progress, stop_fd)
        except BaseException:
            self.close()
            raise

    def _work(
        self,
        zygote: socket.socket,
        order: bytes,
        on_progress: Callable[[float, str], None],
        stop_fd: int | None,
    ) -> outcome.Told:
        told = outcome.Told()
        frames = protocol.Frames(protocol.TOLD + protocol.END + protocol.BROKEN)
        patience = time.monotonic() + self.hello["wall_seconds"] + GRACE_SECONDS
        poller = select.poll()
        poller.register(zygote, select.POLLIN)
        if stop_fd is not None:
            poller.register(stop_fd, select.POLLIN)
        _send(zygote, order)
        while not told.ended:
            left = patience - time.monotonic()
            if left <= 0:
                if told.stopping:
                    self.close()
                    return told
                raise ZygoteGone("it does not answer.")
            for fd, _ in poller.poll(left * 1000):
                if fd == stop_fd:
                    poller.unregister(fd)
                    told.stopping = True
                    patience = time.monotonic() + STOP_SECONDS
                    _send(zygote, protocol.pack(protocol.STOP, {}))
                    continue
                data = _receive(zygote)
                for kind, body in frames.feed(data):
                    told.take(kind, body, on_progress)
        return told

    def _ready(self) -> socket.socket:
        if self._socket is None:
            self.start()
        if self._socket is None:
            raise SandboxBroken("The sandbox is closed.")
        return self._socket


def _send(zygote: socket.socket, data: bytes) -> None:
    try:
        zygote.sendall(data)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ZygoteGone("it has died.") from error


def _receive(zygote: socket.socket) -> bytes:
    try:
        data = zygote.recv(1 << 16)
    except ConnectionResetError as error:
        raise ZygoteGone("it has died.") from error
    if not data:
        raise ZygoteGone("it has died.")
    return data
