"""A zip that is made while it is sent."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from uploads.storage.zip_stream import PIECE, Entry, stream

NOW = datetime(2026, 11, 24, 22, 20, 10, tzinfo=UTC)


def test_a_zip_holds_the_files_with_their_names_and_times(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(data := os.urandom(2 * PIECE + 1))
    (tmp_path / "two").write_bytes(b"")
    entries = [Entry("größe.bin", tmp_path / "one", NOW), Entry("leer", tmp_path / "two", NOW)]
    with zipfile.ZipFile(io.BytesIO(b"".join(stream(entries)))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["größe.bin", "leer"]
        assert archive.read("größe.bin") == data
        assert archive.infolist()[0].date_time == (2026, 11, 24, 22, 20, 10)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["A.txt", "a.txt"], ["A.txt", "a (2).txt"]),
        (["a.txt", "a.txt", "A.TXT"], ["a.txt", "a (2).txt", "A (3).TXT"]),
        (["../../x", "a/b", "a\\b"], ["_.._x", "a_b", "a_b (2)"]),
        (["...", ""], ["file", "file (2)"]),
        ([".hidden", "not-included.txt"], ["hidden", "not-included (2).txt"]),
    ],
)
def test_names_are_names_in_one_folder_and_each_occurs_once(
    tmp_path: Path, names: list[str], expected: list[str]
) -> None:
    (tmp_path / "x").write_bytes(b"x")
    made = b"".join(stream(Entry(name, tmp_path / "x", NOW) for name in names))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.namelist() == expected


def test_a_file_that_is_gone_is_named_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    entries = [
        Entry("gone", tmp_path / "gone", NOW),
        Entry("never", None, NOW),
        Entry("x", tmp_path / "x", NOW),
    ]
    with zipfile.ZipFile(io.BytesIO(b"".join(stream(entries)))) as archive:
        assert archive.namelist() == ["x", "not-included.txt"]
        assert archive.read("not-included.txt") == b"gone\nnever\n"


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        sent = sum(len(piece) for piece in stream([Entry("large", tmp_path / "large", NOW)]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent > 64 << 20
    assert peak < 4 << 20
