"""A real `manage.py qcluster` over the test's own database and storage, and its processes by their roles."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection

from tests.paths import ROOT
from uploads.jobs.lifecycle import execution
from uploads.linux import processes
from uploads.models import Node, UploadJob
from uploads.storage.kept.local import Incoming

PATIENT = "tests.journeys.patient"
GONE_WITHIN = 2.0


class RunningCluster:
    """A supervisor as the leader of a session of its own. `log` is what it and its descendants say."""

    def __init__(self, log: Path, *options: str, **environment: str) -> None:
        self.log = log
        inherited = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
        env = inherited | {
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATA_DIR": str(settings.DATA_DIR),
            "DATABASE_URL": _database_url(),
            "SECRET_KEY": settings.SECRET_KEY,
            "PYTHONPATH": str(ROOT),
            "LOG_LEVEL": "INFO",
            "WORKERS": "2",
            "UPLOADS_STALL_SECONDS": "2",
            "UPLOADS_PROCESSORS": ",".join(f"{kind}={PATIENT}" for kind in _KINDS),
        }  # fmt: skip
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster", *options], cwd=ROOT, env=env | environment,
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self.pid = self.process.pid

    def wait_until_up(self) -> None:
        self.wait_for(lambda: Node.objects.filter(pid=self.pid).exists() and self.whole(), "start")

    def whole(self) -> bool:
        """Whether two workers, the monitor and the pusher are there."""
        return len(self.workers()) == 2 and len(self.helpers()) == 2

    def wait_for(self, look: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        """Ask again and again until the answer is true; fails, with the log, after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds:g} s for {what}\n{self.log.read_text()[-6000:]}")
            time.sleep(0.02)
        return found

    # ------------------------------------------------------------ who is who

    def family(self) -> list[int]:
        """Pids of the supervisor and all its descendants."""
        entries = list(processes.living())
        found = [self.pid]
        for pid in found:
            found += [entry.pid for entry in entries if entry.parent == pid and entry.pid not in found]
        return found

    def main(self) -> int:
        return next((pid for pid in _children(self.pid) if _children(pid)), 0)

    def keeper(self) -> int:
        return next((pid for pid in _children(self.pid) if not _children(pid)), 0)

    def sentinel(self) -> int:
        return next(iter(_children(self.main())), 0) if self.main() else 0

    def workers(self) -> list[int]:
        """Workers have a child each: their sandbox."""
        return [pid for pid in _children(self.sentinel()) if _children(pid)]

    def helpers(self) -> list[int]:
        """Monitor and pusher, in the order in which they were started."""
        found = [pid for pid in _children(self.sentinel()) if not _children(pid)]
        return sorted(found, key=lambda pid: entry.started if (entry := processes.look_up(pid)) else 0)

    # ------------------------------------------------------------ what happens to it

    def signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.pid, number)

    def end(self, seconds: float = 30) -> int:
        """Wait for its end; the exit status. Nothing may be left of it."""
        family = self.family()
        status = self.process.wait(seconds)
        self.wait_for(lambda: not _living(family), f"{family} to be gone", GONE_WITHIN)
        return status

    def kill(self) -> None:
        """For the end of a test, however it went."""
        family = self.family()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
        self.wait_for(lambda: not _living(family), f"{family} to be gone", GONE_WITHIN)


_KINDS = ("text", "table", "archive", "image", "pdf", "default")


def send(user: User, text: str) -> UploadJob:
    """An accepted job whose file says `text`."""
    incoming = Incoming(uuid4())
    incoming.write(text.encode())
    incoming.keep()
    landed = execution.Landed(incoming.job_id, "note.txt", "text/plain", incoming.size, incoming.sha256)
    return execution.accept(user.pk, [landed])[0]


def _database_url() -> str:
    """Where the test's own database is."""
    conf = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{conf['NAME']}"
    return f"postgres://{conf['USER']}:{conf['PASSWORD']}@{conf['HOST']}:{conf['PORT']}/{conf['NAME']}"


def _children(pid: int) -> list[int]:
    return sorted(entry.pid for entry in processes.living() if entry.parent == pid)


def _living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if processes.look_up(pid)]
