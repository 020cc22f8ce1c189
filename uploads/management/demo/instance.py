"""A fresh instance for the demo: its own data directory and port, gone at the end."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

READY_SECONDS = 60.0
STOP_SECONDS = 40.0


class DemoFailed(Exception):
    """The instance did not start, or did not answer as it must."""


class Instance:
    """A client of the public API, signed in with a token."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def call(self, method: str, path: str, data: bytes | None = None) -> Any:
        """Make a request; the decoded answer. Raises DemoFailed with the problem's words."""
        request = urllib.request.Request(  # noqa: S310 - our own address
            self.url + path, data=data, method=method, headers={"Authorization": f"Bearer {self.token}"}
        )
        if data is not None:
            request.add_header("Content-Type", "application/octet-stream")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as wrong:
            raise DemoFailed(
                f"{method} {path}: {wrong.code} {wrong.read().decode(errors='replace')}"
            ) from wrong
        except OSError as wrong:
            raise DemoFailed(f"{method} {path}: {wrong}") from wrong

    def send(self, filename: str, data: bytes) -> dict[str, Any]:
        job: dict[str, Any] = self.call("PUT", f"/api/uploads/{urllib.parse.quote(filename)}", data)
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = self.call("GET", f"/api/jobs/{job_id}")
        return job


@contextmanager
def fresh_instance() -> Iterator[Instance]:
    """Start `manage.py up` over an empty directory, hand out a signed-in client, stop it. Raises DemoFailed."""
    with tempfile.TemporaryDirectory(prefix="wharfinger-demo-") as folder:
        port = _free_port()
        env = {name: value for name, value in os.environ.items() if name not in _OWN}
        env |= {
            "DATA_DIR": folder, "HOST": "127.0.0.1", "PORT": str(port), "UPLOADS_MIN_FREE": "0",
            "ADMIN_USERNAME": "demo", "ADMIN_PASSWORD": secrets.token_urlsafe(16), "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        log = Path(folder) / "demo.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--with-parent"],
                cwd=settings.BASE_DIR, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url, log)
            token = subprocess.run(
                [sys.executable, "manage.py", "create_token", "demo"],
                cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=True,
            ).stdout.strip()  # fmt: skip
            yield Instance(url, token)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# What an operator has set for the instance in use must not reach the demo's.
_OWN = {"PROMETHEUS_MULTIPROC_DIR", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HTTPS", "ALLOWED_HOSTS"} | {
    name for name in os.environ if name.startswith("UPLOADS_")
}


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed(f"The instance did not start:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310
                return
        except OSError:
            time.sleep(0.1)  # a 503 until the cluster beats, or nobody listens yet
    raise DemoFailed(f"The instance was not ready in {READY_SECONDS:g} s:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
