"""A client of tus that costs little: one kept connection, bytes from memory, nothing read beyond the answers."""

from __future__ import annotations

import os
import socket
import sys
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from benchmarks.stage import MIB, Server

_PIECE = memoryview(os.urandom(MIB))


class Line:
    """A connection to a server of tus 1.0.0 whose uploads are made at `path`. Exits where one is refused."""

    def __init__(self, server: Server, path: str) -> None:
        self._path = path
        self._common = f"Host: 127.0.0.1\r\n{server.headers}Tus-Resumable: 1.0.0\r\n"
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def upload(self, size: int) -> float:
        """Create an upload (POST) and send its bytes (one PATCH); seconds until the last answer."""
        began = time.perf_counter()
        made = self._ask("POST", self._path, f"Upload-Length: {size}\r\n", 0, b"201")
        place = urlsplit(made["location"]).path
        self._ask("PATCH", place, f"Upload-Offset: 0\r\n{_OCTETS}", size, b"204")
        return time.perf_counter() - began

    def upload_at_once(self, size: int) -> float:
        """Create an upload with its bytes in one request; seconds until its answer."""
        began = time.perf_counter()
        self._ask("POST", self._path, f"Upload-Length: {size}\r\n{_OCTETS}", size, b"201")
        return time.perf_counter() - began

    def _ask(self, method: str, path: str, headers: str, size: int, wanted: bytes) -> dict[str, str]:
        head = f"{method} {path} HTTP/1.1\r\n{self._common}{headers}Content-Length: {size}\r\n\r\n".encode()
        if size <= MIB:
            self._socket.sendall(head + _PIECE[:size])
        else:
            self._socket.sendall(head)
            for start in range(0, size, MIB):
                self._socket.sendall(_PIECE[: min(MIB, size - start)])
        status, answer = self._answer()
        if status != wanted:
            sys.exit(f"{method} {path} was answered {status!r}: {answer}")
        return answer

    def _answer(self) -> tuple[bytes, dict[str, str]]:
        got = self._more(b"")
        while b"\r\n\r\n" not in got:
            got = self._more(got)
        head, _, rest = got.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {
            name.decode().lower(): value.decode().strip()
            for name, _, value in (one.partition(b":") for one in lines)
        }
        if headers.get("transfer-encoding") == "chunked":
            while not rest.endswith(b"0\r\n\r\n"):
                rest = self._more(rest)
        else:
            while len(rest) < int(headers.get("content-length", 0)):
                rest = self._more(rest)
        return first.split()[1], headers

    def _more(self, got: bytes) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            sys.exit(f"the server closed the connection after {got[:500]!r}")
        return got + data


_OCTETS = "Content-Type: application/offset+octet-stream\r\n"
