"""Lets a client see why it was turned away although it is still sending (RFC 9112, section 9.6).

A connection that is closed while bytes of the client's lie unread is reset, and the reset can overtake the
answer. So an answer given before the body was read to its end goes out at once, with `Connection: close`, and
what the client has sent meanwhile is read and dropped afterwards, up to a bound; most clients stop when they
see the answer. Whoever sent `Expect: 100-continue` waits for leave to send: not a byte of it is read.

It wraps the WSGI application, not the views: only out here is it known what was read, and the answer can
leave before the draining begins.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

PIECE = 1 << 14  # a read waits for all of it, so that a larger one would outlast the bound on time


class CountedBody:
    """A request's body that knows whether it was touched, and whether it was read to its end.

    `length` is the declared one in bytes, None for a chunked body.
    """

    def __init__(self, stream: InputStream, length: int | None) -> None:
        self._stream = stream
        self._left = length
        self.touched = False
        self.ended = length == 0

    def read(self, size: int = -1, /) -> bytes:
        return self._count(self._stream.read(size), size)

    def readline(self, size: int = -1, /) -> bytes:
        line = self._stream.readline(size)
        return self._count(line, len(line) or 1)  # a line is short without being the end

    def readlines(self, hint: int = -1, /) -> list[bytes]:
        lines = self._stream.readlines(hint)
        self._count(b"".join(lines), -1)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _count(self, data: bytes, asked: int) -> bytes:
        self.touched = True
        if self._left is not None:
            self._left -= len(data)
        # Granian gives fewer bytes than asked for only at the end, or when the client has gone.
        if asked < 0 or len(data) < asked or (self._left is not None and self._left <= 0):
            self.ended = True
        return data


class Draining:
    """A WSGI application whose early answers reach clients that are still sending.

    At most `max_bytes` and about `seconds` are spent on a client, a stalled one being cut off by the
    watchdog; and at most `at_once` threads of a process drain, so that refused uploads cannot take them
    all. A client beyond these bounds may see a reset instead of the answer.
    """

    def __init__(
        self, application: WSGIApplication, *, max_bytes: int, seconds: float = 3, at_once: int = 16
    ) -> None:
        self._application = application
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._threads = threading.BoundedSemaphore(at_once)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = _declared_length(environ)
        if length == 0:
            return self._application(environ, start_response)
        body = CountedBody(environ["wsgi.input"], length)
        environ["wsgi.input"] = body

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            if not body.ended:
                headers = [(name, value) for name, value in headers if name.lower() != "connection"]
                headers.append(("Connection", "close"))
            return start_response(status, headers, *rest)

        answer = self._application(environ, start)
        waits_for_leave = environ.get("HTTP_EXPECT", "").lower() == "100-continue" and not body.touched
        if body.ended or waits_for_leave:
            return answer
        return self._answer_then_drain(answer, body)

    def _answer_then_drain(self, answer: Iterable[bytes], body: CountedBody) -> Iterator[bytes]:
        try:
            yield from answer
        finally:
            # First of all, since it gives the database connection back.
            if close := getattr(answer, "close", None):
                close()
        if self._threads.acquire(blocking=False):
            try:
                self._drain(body)
            finally:
                self._threads.release()

    def _drain(self, body: CountedBody) -> None:
        until = time.monotonic() + self._seconds
        left = self._max_bytes
        while left > 0 and not body.ended and time.monotonic() < until:
            left -= len(body.read(min(PIECE, left)))


def _declared_length(environ: WSGIEnvironment) -> int | None:
    """The length of the request's body: 0 where it has none, None where only its end will tell."""
    declared = environ.get("CONTENT_LENGTH") or ""
    if declared.isascii() and declared.isdigit():
        return int(declared)
    return None if environ.get("HTTP_TRANSFER_ENCODING") else 0
