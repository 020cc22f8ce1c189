"""Of what a child leaves, only what it declared and what is a plain file is taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from uploads.processing.base import ArtifactFile, Json
from uploads.processing.sandbox.client import artifacts

LIMIT = 1000


def declared(name: object = "a.txt", size: object = 1, content_type: object = "text/plain") -> list[Json]:
    return [{"name": name, "size": size, "content_type": content_type}]  # type: ignore[dict-item]


def test_a_declared_file_is_taken_and_all_else_removed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("undeclared")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "c").write_text("x")

    assert artifacts.gather(tmp_path, declared(), LIMIT) == (ArtifactFile("a.txt", "text/plain", 1),)
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    "listing",
    [
        None, {}, "a.txt", [1], [None], [{}], declared("../a.txt"), declared("/etc/passwd"), declared(""),
        declared("."), declared(".."), declared("A.txt"), declared("a\n"), declared("a\x00"), declared(7),
        declared("a" * 81), declared("missing"), declared(size=2), declared(size="1"), declared(size=-1),
        declared(content_type="text"), declared(content_type="text/plain\nX: y"), declared(content_type=None),
        declared(content_type="a/" + "b" * 500), declared() * 2, declared() * 2000, declared("directory"),
        declared("pipe", 0), declared("link"), declared("hard"),
    ],
)  # fmt: skip
def test_what_no_honest_child_declares_is_refused(tmp_path: Path, listing: Json) -> None:
    here = tmp_path / "artifacts"
    here.mkdir()
    (here / "a.txt").write_text("x")
    (here / "directory").mkdir()
    os.mkfifo(here / "pipe")
    (tmp_path / "secret").write_text("s")
    (tmp_path / "other").write_text("o")
    (here / "link").symlink_to(tmp_path / "other")
    (here / "hard").hardlink_to(tmp_path / "secret")

    with pytest.raises(artifacts.BadArtifact):
        artifacts.gather(here, listing, LIMIT)

    assert (tmp_path / "secret").read_text() == "s"


def test_artifacts_that_are_together_too_large_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x" * 600)

    with pytest.raises(artifacts.TooMuchOutput):
        artifacts.gather(tmp_path, declared("a", 600) + declared("b", 600), LIMIT)


def test_clearing_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    here = tmp_path / "artifacts"
    (here / "inner").mkdir(parents=True)
    (here / "link").symlink_to(outside)
    (here / "inner" / "link").symlink_to(outside)

    artifacts.clear(here)

    assert list(here.iterdir()) == []
    assert (outside / "kept").read_text() == "x"


def test_a_directory_that_has_gone_needs_no_clearing(tmp_path: Path) -> None:
    artifacts.discard(tmp_path / "gone")


def test_what_resists_is_logged_and_left_to_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.touch()

    artifacts.discard(file)

    assert str(file) in caplog.text
