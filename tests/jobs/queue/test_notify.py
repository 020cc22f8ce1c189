"""Bells: who listens is woken, and nobody who rings is ever held up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.factories import make_job
from tests.paths import ROOT
from uploads.jobs.queue import notify, producer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


class TestBells:
    def test_what_a_killed_pusher_leaves_behind_is_removed(self) -> None:
        if connection.vendor != "sqlite":
            pytest.skip("sockets are SQLite's")
        child = subprocess.Popen(
            [
                sys.executable, "-c",
                "import django, time; django.setup()\n"
                "from uploads.jobs.queue import notify\n"
                "ear = notify.SocketEar(); print('listening', flush=True); time.sleep(60)",
            ],
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"listening\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        left = list(notify._folder().glob(f"{child.pid}.*"))
        assert left
        producer.wake(make_job().pk)
        assert not any(path.exists() for path in left)

    def test_a_deep_data_directory_is_no_hindrance(self, settings: Any, tmp_path: Path) -> None:
        settings.DATA_DIR = tmp_path / ("d" * 100) / ("e" * 100)
        settings.DATA_DIR.mkdir(parents=True)
        ear = notify.SocketEar()
        notify._ring_sockets()
        assert ear.wait(1)
        assert not ear.wait(0)
        ear.close()
        assert list(notify._folder().iterdir()) == []

    def test_a_flood_of_bells_blocks_nobody(self, settings: Any, tmp_path: Path) -> None:
        settings.DATA_DIR = tmp_path
        ear = notify.SocketEar()
        for _ in range(1000):
            notify._ring_sockets()
        assert ear.wait(0)
        ear.close()
