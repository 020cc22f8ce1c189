"""The README's commands, run as they are written against a running instance."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.conftest import ROOT, Wharf

pytestmark = pytest.mark.journey

BLOCKS = re.findall(
    r"^```sh runnable\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A directory that looks like the reader's clone, where the commands may leave files."""
    for entry in ROOT.iterdir():
        if entry.name != ".venv":
            (tmp_path / entry.name).symlink_to(entry)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return tmp_path


def test_a_newcomer_copies_the_commands_one_after_the_other(wharf: Wharf, clone: Path) -> None:
    assert len(BLOCKS) >= 3
    # One shell for all of them: the later ones use what the first has set.
    script = "\n".join(f"{block}\necho '-- end of block --'" for block in BLOCKS)
    assert "http://127.0.0.1:8000" in script
    script = script.replace("http://127.0.0.1:8000", wharf.url)
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=clone, env=wharf.env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.split("-- end of block --")
    assert "'format': 'PNG'" in said[0]
    assert (clone / "thumbnail.webp").read_bytes()[8:12] == b"WEBP"
    assert said[1].count('"state": "queued"') == 2
    assert "corrupt_file" in said[2]
