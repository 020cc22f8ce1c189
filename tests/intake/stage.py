"""A small WSGI application on the web server as we run it, with watchdog and drain: a process to test.

`python -m tests.intake.stage PORT THREADS IDLE_TIMEOUT MIN_RATE`, seconds and bytes a second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from uploads.intake.server import idle_timeout
from uploads.intake.server.lingering_close import Draining
from uploads.management.commands.serve import web_server
from uploads.management.process import bind_forks

PORT, THREADS, IDLE_TIMEOUT, MIN_RATE = (float(value) for value in sys.argv[1:5])


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """/take reads all of the body, /refuse none, /half some; /big gives 32 MiB."""
    body = environ["wsgi.input"]
    match environ["PATH_INFO"]:
        case "/take":
            taken = 0
            while piece := body.read(1 << 16):
                taken += len(piece)
            return answer(start_response, "200 OK", str(taken))
        case "/refuse":
            return answer(start_response, "401 Unauthorized", "refused")
        case "/half":
            body.read(1000)
            return answer(start_response, "413 Content Too Large", "refused")
        case "/big":
            start_response("200 OK", [("Content-Length", str(512 << 16))])
            return (b"x" * (1 << 16) for _ in range(512))
    return answer(start_response, "200 OK", "here")


def answer(start_response: Any, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Length", str(len(text)))])
    return [text.encode()]


def load() -> Any:
    idle_timeout.start(IDLE_TIMEOUT, MIN_RATE, port=int(PORT))
    return Draining(application, max_bytes=8 << 20)


if __name__ == "__main__":
    bind_forks()
    web_server("127.0.0.1", int(PORT), workers=1, threads=int(THREADS), idle_timeout=IDLE_TIMEOUT).serve(
        target_loader=load, wrap_loader=False
    )
