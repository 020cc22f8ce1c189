"""The stage, started and stopped: a web server as we run it, in processes of its own."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from tests.paths import ROOT


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Served:
    """One worker with so many `threads`; `idle_timeout` in seconds, `min_rate` in bytes a second."""

    def __init__(self, *, threads: int = 4, idle_timeout: float = 1.0, min_rate: float = 0) -> None:
        self.port = free_port()
        self._arguments = [str(value) for value in (self.port, threads, idle_timeout, min_rate)]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.intake.stage", *self._arguments],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"},
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                assert self.get("/") == (200, b"here")
                return self
            except OSError:
                assert time.monotonic() < deadline, "the stage did not come up"
                assert self.process.poll() is None, "the stage ended"
                time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> float:
        """SIGTERM, and how many seconds it took to end."""
        began = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(15)
        finally:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - began

    def get(self, path: str, timeout: float = 10) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def connect(self, first: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
        """A connection over which `first` was sent; the caller closes it."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", self.port))
        sock.sendall(first)
        return sock

    def stalled_upload(self) -> socket.socket:
        """A PUT of which ten of a thousand bytes come."""
        return self.connect(put("/take", 1000) + b"x" * 10)


def put(path: str, length: int, *more: str) -> bytes:
    """The head of a PUT request."""
    lines = [f"PUT {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


def all_of(sock: socket.socket) -> bytes:
    """What the other side sends until it ends the connection."""
    pieces = []
    while piece := sock.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def cut_after(sock: socket.socket) -> float:
    """Seconds until the other side ends the connection, whatever it says before."""
    began = time.monotonic()
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass  # also an end
    return time.monotonic() - began
