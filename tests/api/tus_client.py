"""A client of tus 1.0.0 for tests: one function a request, over Django's test client."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from django.test import Client

ROOT = "/api/tus/"
DATA = bytes(range(100))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    """An Upload-Checksum."""
    return f"sha256 {b64(hashlib.sha256(data).digest())}"


def ask(client: Client, method: str, path: str, data: bytes = b"", **headers: str | None) -> Any:
    """A request with `Tus-Resumable`; underscores stand for hyphens, and None leaves a header out."""
    sent: dict[str, str | None] = {"Tus-Resumable": "1.0.0"}
    if data or method == "PATCH":
        sent["Content-Type"] = "application/offset+octet-stream"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    told = {name: value for name, value in sent.items() if value is not None}
    return client.generic(method, path, data, content_type="", headers=told)


def create(client: Client, length: int | None = len(DATA), data: bytes = b"", **headers: str | None) -> Any:
    told = {} if length is None else {"Upload_Length": str(length)}
    return ask(client, "POST", ROOT, data, **(told | headers))


def patch(client: Client, path: str, offset: int, data: bytes, **headers: str | None) -> Any:
    return ask(client, "PATCH", path, data, **({"Upload_Offset": str(offset)} | headers))


def head(client: Client, path: str) -> Any:
    return ask(client, "HEAD", path)
