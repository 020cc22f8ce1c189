"""What a process counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

PROGRAM = """
import os, shutil, sys
from uploads.telemetry import metrics
if sys.argv[1] == "early":
    metrics.open_files()
shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
metrics.REFUSALS.labels("disk_full").inc()
metrics.REQUESTS.labels("PUT", "api/uploads", 507).observe(1)
"""


def test_a_web_worker_counts_on_when_its_disk_has_gone(tmp_path: Path) -> None:
    def run(when: str) -> int:
        directory = tmp_path / when
        directory.mkdir()
        environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
        command = [sys.executable, "-c", PROGRAM, when]
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False).returncode

    assert run("early") == 0
    assert run("late") != 0, "or opening them early is of no use"
