"""What the environment may say, and where we put what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT


def start(
    data_dir: Path, program: str = "import project.settings", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `program` in a process of its own, where warnings are errors."""
    inherited = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    env = inherited | {"DJANGO_SETTINGS_MODULE": "project.settings", "DATA_DIR": str(data_dir)} | variables
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_first_start_over_an_empty_directory_says_nothing_and_makes_what_it_needs(tmp_path: Path) -> None:
    done = start(tmp_path / "data", "import project.wsgi")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "data" / "static").is_dir()


def test_a_static_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "static").write_text("in the way")
    done = start(tmp_path)
    assert done.returncode != 0
    assert f"{tmp_path / 'static'} cannot be made: File exists." in done.stderr


def test_hosts_that_share_their_data_count_in_directories_of_their_own(tmp_path: Path) -> None:
    done = start(tmp_path / "data", METRICS_DIR=str(tmp_path / "here" / "metrics"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "metrics").is_dir()
    assert not (tmp_path / "data" / "metrics").exists()


def test_a_metrics_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = start(tmp_path / "data", METRICS_DIR=str(tmp_path / "file"))
    assert done.returncode != 0
    assert f"METRICS_DIR {tmp_path / 'file'} cannot be made: File exists." in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", "sqlite://:memory:", "DATABASE_URL must name a file"),
        ("UPLOADS_LIMITS", '{"image": {"memory": 1}}', "there is no limit 'memory'"),
        ("UPLOADS_LIMITS", '{"klingon": {}}', "there is no such kind of file"),
        ("UPLOADS_PROCESSORS", "image=no.such.module", "image=no.such.module cannot be imported"),
        ("UPLOADS_ALLOWED_TYPES", "png", "UPLOADS_ALLOWED_TYPES must hold types such as image/png"),
        ("REDIS_URL", "nonsense", "REDIS_URL must look like redis://host"),
        ("UPLOADS_BUDGETS", '{"timed_out": {"budget": 0}}', "UPLOADS_BUDGETS: 'timed_out'"),
    ],
)
def test_a_value_that_would_fail_later_is_refused_at_the_start(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    done = start(tmp_path, "import django; django.setup()", **{name: value})
    assert done.returncode != 0 and sentence in done.stderr, done.stderr


def test_a_variable_set_to_nothing_is_not_set(tmp_path: Path) -> None:
    program = "from project.settings import *; print(HOST, DATABASES['default']['NAME'])"
    done = start(tmp_path, program, HOST="", DATABASE_URL="")
    assert done.stdout.split() == ["127.0.0.1", str(tmp_path / "wharfinger.sqlite3")]


def test_a_data_directory_may_have_any_name(tmp_path: Path) -> None:
    odd = tmp_path / "my files #1 %41?x=ü"
    done = start(odd, "from project.settings import *; print(DATABASES['default']['NAME'])", DATABASE_URL="")
    assert done.stdout.strip() == str(odd / "wharfinger.sqlite3"), done.stderr
