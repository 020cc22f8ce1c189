"""What the environment may say, and where we put what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(data_dir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Load the settings and the application in a process of its own, where warnings are errors."""
    inherited = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    env = inherited | {"DJANGO_SETTINGS_MODULE": "project.settings", "DATA_DIR": str(data_dir)} | variables
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "import project.wsgi"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_first_start_over_an_empty_directory_says_nothing(tmp_path: Path) -> None:
    done = start(tmp_path / "data")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_directory_for_collected_static_files_is_made_with_the_others(tmp_path: Path) -> None:
    start(tmp_path / "data")
    assert (tmp_path / "data" / "static").is_dir()


def test_a_static_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "static").write_text("in the way")
    done = start(tmp_path)
    assert done.returncode != 0
    assert f"{tmp_path / 'static'} cannot be made: File exists." in done.stderr
