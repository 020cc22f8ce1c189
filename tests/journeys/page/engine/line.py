"""A line between a browser and a server that a test can cut, hold up and measure: a small TCP proxy."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

PIECE = 1 << 16


class Line:
    """Passes bytes on to `url`. `url` of the line is what a browser opens; `sent` counts bytes from it.

    `rate` is bytes a second for each connection's way up (0: as fast as it goes).
    """

    def __init__(self, url: str) -> None:
        self.sent = 0
        self.rate = 0.0
        self._target = ("127.0.0.1", urlsplit(url).port or 80)
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        self._moved = threading.Condition()
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._welcome, daemon=True).start()

    def cut(self) -> None:
        """End all connections and take no new ones."""
        self._cut = True
        with self._lock:
            ended, self._open = self._open, set()
        for one in ended:
            _end(one)

    def mend(self) -> None:
        self._cut = False

    def wait_for(self, sent: int, seconds: float = 30) -> None:
        """Wait until so many bytes have come from the browser."""
        with self._moved:
            assert self._moved.wait_for(lambda: self.sent >= sent, seconds), f"{self.sent} of {sent} bytes"

    def close(self) -> None:
        self.cut()
        _end(self._door)

    def _welcome(self) -> None:
        while True:
            try:
                caller, _address = self._door.accept()
            except OSError:
                return  # closed
            if self._cut:
                _end(caller)
                continue
            try:
                server = socket.create_connection(self._target, timeout=30)
            except OSError:
                _end(caller)  # as a server that is down
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {caller, server}
            for source, sink, up in ((caller, server, True), (server, caller, False)):
                threading.Thread(target=self._pass_on, args=(source, sink, up), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):  # cut on either side: both are ended below
            while piece := source.recv(PIECE):
                if up and self.rate:
                    time.sleep(len(piece) / self.rate)
                sink.sendall(piece)
                if up:
                    with self._moved:
                        self.sent += len(piece)
                        self._moved.notify_all()
        for one in (source, sink):
            _end(one)
        with self._lock:
            self._open -= {source, sink}


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()


@contextlib.contextmanager
def line_to(url: str) -> Iterator[Line]:
    """A line for the length of a `with`."""
    line = Line(url)
    try:
        yield line
    finally:
        line.close()
