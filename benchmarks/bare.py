"""The peer of the upload doors: a bare WSGI app that streams a body to disk, hashes it and fsyncs it. No more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

FOLDER = os.environ.get("BARE_FOLDER", ".")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] == "GET":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        return [b"ok\n"]
    stream, digest = environ["wsgi.input"], hashlib.sha256()
    path = f"{FOLDER}/{uuid4()}"
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    while piece := stream.read(1 << 18):
        digest.update(piece)
        os.write(handle, piece)
    os.fsync(handle)
    os.close(handle)
    body = digest.hexdigest().encode()
    start_response("202 Accepted", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
