"""Any file at all: what it is, its digest, and how it begins."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.processing.processors.table.samples import run
from uploads.processing.base import Context, Limits
from uploads.processing.processors import default


def test_a_file_nobody_knows_has_a_type_a_digest_and_a_beginning(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10
    assert run(default, data, "application/octet-stream", tmp_path) == {
        "content_type": "application/octet-stream",
        "sha256": hashlib.sha256(data).hexdigest(),
        "first_bytes": data[:64].hex(),
    }


def test_an_empty_file_is_empty_and_no_failure(tmp_path: Path) -> None:
    assert run(default, b"", "application/x-empty", tmp_path) == {"empty": True}


def test_a_file_of_several_blocks_is_digested_whole_and_reports_progress(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"wharf" * 1_000_000)
    told: list[float] = []
    job = Context(
        path, "large", "x/y", 5_000_000, Limits(), tmp_path, report=lambda percent, note: told.append(percent)
    )

    result = default.process(job)

    assert result["sha256"] == hashlib.sha256(b"wharf" * 1_000_000).hexdigest()
    assert (told[-1], told == sorted(told), len(told)) == (100, True, 5)
