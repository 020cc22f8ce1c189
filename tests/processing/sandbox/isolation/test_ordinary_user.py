"""The sandbox of a worker that is not root: the same promises, fewer or other fences."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from uploads.processing.sandbox.isolation import jail

FENCES: dict[str, tuple[str, ...]] = {
    "every fence": (),
    "Landlock alone": ("root", "namespaces"),
    "limits alone": ("root", "namespaces", "landlock"),
}


def ask(user: str, *without: str) -> dict[str, Any]:
    """What tests/processing/sandbox/ordinary.py tells of its sandbox."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.processing.sandbox.ordinary", user, *without],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert {jail.FENCES[one] for one in without} <= set(result["missing"])
    return result


@pytest.fixture(scope="module", params=FENCES.values(), ids=FENCES.keys())
def told(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a sandbox of an ordinary user does."""
    return ask("ordinary", *request.param)


def test_an_ordinary_users_files_are_worked_on(told: dict[str, Any]) -> None:
    assert told["uid"] != 0
    assert told["previews"] == {"pages": 2}
    assert told["nothing"]["filename"] == "notes.txt"
    assert told["daemon"] == {"got": None}


def test_nothing_outlives_a_killed_zygote(told: dict[str, Any]) -> None:
    assert told["nothing left"] is True


def test_each_ending_has_its_code(told: dict[str, Any]) -> None:
    assert told["allocate"] == "out_of_memory"
    assert told["segfault"] == "processor_crashed"
    assert told["fork_bomb"] == "processor_crashed"
    assert told["write_many"] == "too_complex"


def test_nothing_is_inherited(told: dict[str, Any]) -> None:
    assert set(told["inventory"]["environ"]) <= {"TMPDIR", "LC_CTYPE"}
    assert told["inventory"]["uid"] == told["uid"]


def test_where_a_fence_is_up_secrets_are_out_of_reach(told: dict[str, Any]) -> None:
    if jail.FENCES["landlock"] in told["missing"] and jail.FENCES["root"] in told["missing"]:
        return  # which the worker's log warns of: nothing separates files of one user then
    assert set(told["look"].values()) <= {"PermissionError", "FileNotFoundError"}
    assert told["reach"]["tcp"] in {"PermissionError", "OSError"}
    assert told["reach"]["signal"] in {"PermissionError", "ProcessLookupError"}
    assert told["reach"]["mount"] == "PermissionError"


@pytest.mark.parametrize("without", [("namespaces",), ("namespaces", "landlock"), ("landlock",)], ids=str)
def test_root_lends_its_files_to_another_user_and_takes_them_back(without: tuple[str, ...]) -> None:
    told = ask("root", *without)

    assert told["previews"] == {"pages": 2}
    assert told["owners"] == [os.getuid(), os.getgid(), os.getuid(), os.getgid()]
    assert told["mode"] == 0o600
    assert told["nothing left"] is True
    if os.getuid() == 0:  # then even without any other fence the permissions on disk keep secrets
        assert told["inventory"]["uid"] >= jail.FIRST_UID
        secrets = [found for place, found in told["look"].items() if place != "/etc/passwd"]
        assert set(secrets) <= {"PermissionError", "FileNotFoundError"}
        assert told["fork_bomb"] == "processor_crashed"


def test_an_installation_that_is_closed_to_other_users_works(tmp_path: Path) -> None:
    """As under umask 077: root's child is another user, and must still import."""
    clone = tmp_path / "clone"
    for name in ("uploads", "tests"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for one in clone.rglob("*"):
        one.chmod(0o700 if one.is_dir() else 0o600)
    program = (
        "import json; from pathlib import Path; from tests.processing.conftest import *; "
        f"bench = Bench(Sandbox(hostile_config()), Path({str(tmp_path)!r})); "
        f"print(json.dumps(bench.run('look', {str(clone / 'uploads' / 'codes.py')!r}).result)); "
        "bench.sandbox.close()"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=clone, capture_output=True, check=False, text=True
    )

    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout).values()) & {"PermissionError", "FileNotFoundError"}
