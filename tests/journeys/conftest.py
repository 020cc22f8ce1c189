"""A whole Wharfinger of its own: `manage.py up` with real Granian and real qcluster on a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.paths import ROOT

READY_SECONDS = 60.0
PASSWORD = "correct-horse-battery"


@dataclass
class Wharf:
    """A running instance. `client` is signed in with a bearer token of `username`, an administrator."""

    url: str
    username: str
    password: str
    data_dir: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path
    token: str = ""

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)

    def manage(self, *args: str) -> str:
        """Run a management command beside it; its standard output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *args], cwd=ROOT, env=self.env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def put(self, name: str, data: bytes) -> dict[str, Any]:
        with self.client as client:
            answer = client.put(f"/api/uploads/{name}", content=data)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        with self.client as client:
            job: dict[str, Any] = client.get(f"/api/jobs/{job_id}").json()
        return job

    def finished(self, job_id: str, seconds: float = 60) -> dict[str, Any]:
        """The job once it is terminal; fails the test when it takes too long."""
        return wait_for(
            lambda: (job := self.job(job_id))["state"] in ("succeeded", "failed", "cancelled") and job,
            seconds, f"job {job_id} to finish",
        )  # fmt: skip

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def wait_for(look: Callable[[], Any], seconds: float, what: str) -> Any:
    """Ask again and again until the answer is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.TransportError):
            if found := look():
                return found
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)


def descendants(pid: int) -> set[int]:
    """The process ids below `pid`, from /proc; those that end meanwhile are left out."""
    found: set[int] = set()
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, listed.read_text().split()):
                found |= {child} | descendants(child)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_wharf(data_dir: Path, **settings: str) -> Wharf:
    """Start an instance over `data_dir` with these environment variables, and wait until it is ready."""
    port = free_port()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR", "DATABASE_URL", "REDIS_URL"}
    }
    env = inherited | {
        "DATA_DIR": str(data_dir), "PORT": str(port), "ADMIN_PASSWORD": PASSWORD, "UPLOADS_MIN_FREE": "0",
        "LOG_LEVEL": "INFO", "SECRET_KEY": "journeys-" + "k" * 50,
        "PYTHONPATH": str(ROOT),
    } | settings  # fmt: skip
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "up.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=ROOT, env=env, stdout=out, stderr=out,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    wharf = Wharf(f"http://127.0.0.1:{port}", "admin", PASSWORD, data_dir, env, process, log)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return httpx.get(f"{wharf.url}/readyz", timeout=5).status_code == 200

    try:
        wait_for(ready, READY_SECONDS, "the instance to be ready")
        wharf.token = wharf.manage("create_token", "admin")
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(log.read_text()[-5000:])
        raise
    return wharf


@pytest.fixture(scope="session")
def wharf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wharf]:
    """One instance for all journeys that need no settings of their own."""
    running = start_wharf(tmp_path_factory.mktemp("wharf"))
    yield running
    code = running.stop()
    assert code == 0, running.log.read_text()[-5000:]


@pytest.fixture
def own_wharf(tmp_path: Path) -> Iterator[Callable[..., Wharf]]:
    """Starts instances with settings of the test's own; all are stopped at its end."""
    started: list[Wharf] = []

    def start(**settings: str) -> Wharf:
        started.append(start_wharf(tmp_path / f"wharf-{len(started)}", **settings))
        return started[-1]

    yield start
    for one in started:
        one.stop()
