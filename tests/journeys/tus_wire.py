"""Resumable uploads over real connections: whole requests, halves of them, and a network that cuts."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from tests.journeys.conftest import Wharf

OCTETS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


class Tus:
    """A client of one upload; `url` is the server that it speaks to."""

    def __init__(self, wharf: Wharf, length: int | None, *, url: str = "", **headers: str) -> None:
        self.wharf, self.url = wharf, url or wharf.url
        told = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
        sent = {"Tus-Resumable": "1.0.0"} | told | {k.replace("_", "-"): v for k, v in headers.items()}
        answer = self.ask("POST", "/api/tus/", headers=sent)
        assert answer.status_code == 201, answer.text
        self.path = answer.headers["Location"]
        self.id = self.path.rpartition("/")[2]

    def ask(self, method: str, path: str = "", url: str = "", **more: object) -> httpx.Response:
        with self.wharf.client as client:
            return client.request(method, (url or self.url) + (path or self.path), **more)  # type: ignore[arg-type]

    def head(self, url: str = "") -> httpx.Response:
        return self.ask("HEAD", url=url, headers={"Tus-Resumable": "1.0.0"})

    def offset(self, url: str = "") -> int:
        answer = self.head(url)
        assert answer.status_code == 200, answer.status_code
        return int(answer.headers["Upload-Offset"])

    def patch(self, offset: int, data: bytes, url: str = "", **headers: str) -> httpx.Response:
        sent = OCTETS | {"Upload-Offset": str(offset)} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.ask("PATCH", url=url, headers=sent, content=data)

    def begin_patch(self, offset: int, length: int | None, first: bytes, *more: str) -> socket.socket:
        """Send the head of a PATCH and some of its bytes; the rest is the caller's. None: chunked."""
        address = urlsplit(self.url)
        line = socket.create_connection((address.hostname, address.port), timeout=30)
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [
            f"PATCH {self.path} HTTP/1.1", f"Host: {address.netloc}", size, f"Upload-Offset: {offset}",
            f"Authorization: Bearer {self.wharf.token}", *(f"{k}: {v}" for k, v in OCTETS.items()), *more, "", "",
        ]  # fmt: skip
        line.sendall("\r\n".join(lines).encode() + (first if length is not None else chunk(first)))
        return line


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def answer_on(line: socket.socket) -> int:
    """The status that comes over a connection; 0 where it ends without one."""
    came = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in came and (piece := line.recv(4096)):
            came += piece
    return int(came.split()[1]) if came else 0


class CuttingNetwork:
    """A way to a server that ends connections: one each time so many bytes have gone through, `cuts` times."""

    def __init__(self, to: str, between: tuple[int, int], cuts: int, seed: int = 1) -> None:
        self.to = urlsplit(to)
        self.cuts = 0
        self._random = random.Random(seed)
        self._between, self._most = between, cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._left = self._random.randint(*between)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                near, _address = self._listener.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with near, socket.create_connection((self.to.hostname, self.to.port)) as far:
            back = threading.Thread(target=self._carry, args=(far, near, False), daemon=True)
            back.start()
            self._carry(near, far, True)
            back.join()
            # Closed with bytes unread, which resets: a client in mid-body hears of the cut at once.

    def _carry(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):  # the other direction has ended it
            for piece in _pieces(source):
                target.sendall(piece)
                if counted and self._is_cut(len(piece)):
                    source.shutdown(socket.SHUT_RDWR)
                    break
            target.shutdown(socket.SHUT_RDWR if not counted else socket.SHUT_WR)

    def _is_cut(self, came: int) -> bool:
        with self._lock:
            self._left -= came
            if self._left > 0 or self.cuts >= self._most:
                return False
            self.cuts += 1
            self._left = self._random.randint(*self._between)
            return True


def _pieces(source: socket.socket) -> Iterator[bytes]:
    while piece := source.recv(1 << 16):
        yield piece
