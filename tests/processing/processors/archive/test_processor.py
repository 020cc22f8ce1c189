"""Archives: what is told of good and of odd ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.processing.processors import samples
from tests.processing.processors.archive import samples as made
from uploads.processing.base import Context, Json
from uploads.processing.processors.archive import processor


def work_on(
    folder: Path, data: bytes, name: str = "cargo.bin", content_type: str = "application/octet-stream"
) -> tuple[Context, dict[str, Json]]:
    job = samples.context(folder, name, content_type, data, processor.LIMITS)
    return job, processor.process(job)


def findings(result: dict[str, Json]) -> list[tuple[str, str]]:
    found = result["findings"]
    assert isinstance(found, list)
    return [(one["kind"], one["name"]) for one in found]


def names(result: dict[str, Json]) -> list[str]:
    listing = result["listing"]
    assert isinstance(listing, list)
    return [one["name"] for one in listing]


# --- good ones ---


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_is_listed_and_checked_whole(tmp_path: Path, method: int) -> None:
    job, result = work_on(tmp_path, made.zip_of(method=method))
    total = sum(map(len, made.FILES.values()))
    samples.same(result, format="zip", entries=3, files=3, directories=0, total_size=total, findings=[])
    samples.same(result["checked"], contents="whole", bytes=total, note="")
    assert names(result) == list(made.FILES)
    assert b"1000\t2026-05-04T03:02:00\tfile\treadme.txt\n" in samples.artifact(job, "listing.txt")


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_a_tar_is_listed_in_every_compression(tmp_path: Path, compression: str) -> None:
    _, result = work_on(tmp_path, made.tar_of(compression=compression))
    samples.same(result, format=f"tar.{compression}".rstrip("."), entries=3, files=3, findings=[])
    samples.same(result["checked"], contents="whole")
    assert names(result) == list(made.FILES)


@pytest.mark.parametrize(
    ("format", "data"),
    [("gzip", gzip.compress(b"Ahoy" * 99)), ("bzip2", bz2.compress(b"Ahoy" * 99)),
     ("xz", lzma.compress(b"Ahoy" * 99))],
    ids=["gzip", "bzip2", "xz"],
)  # fmt: skip
def test_a_single_compressed_file_is_named_after_the_upload(tmp_path: Path, format: str, data: bytes) -> None:
    _, result = work_on(tmp_path, data, "notes.txt.gz")
    samples.same(result, format=format, entries=1, total_size=396)
    samples.same(result["checked"], contents="whole", bytes=396)
    assert names(result) == ["notes.txt"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_streams_that_follow_each_other_are_one_file(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    _, result = work_on(tmp_path, pack(b"one") + pack(b"two") + bytes(512))
    samples.same(result, total_size=6, findings=[])


def test_an_empty_zip_and_an_empty_tar_are_archives_of_nothing(tmp_path: Path) -> None:
    for data, name in ((made.zip_of({}), "a.zip"), (made.tar_of({}, "gz"), "a.tar.gz")):
        _, result = work_on(tmp_path, data, name)
        samples.same(result, entries=0, total_size=0)
    _, result = work_on(tmp_path, made.tar_of({}), "a.tar", "application/x-tar")
    samples.same(result, format="tar", entries=0)


def test_a_compressed_file_of_zeros_is_no_tar(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, gzip.compress(bytes(5000)), "zeros.gz")
    samples.same(result, format="gzip", entries=1, total_size=5000)


def test_a_zip_behind_another_file_is_still_a_zip(tmp_path: Path) -> None:
    data = b"#!/bin/sh\nexit 0\n" + made.zip_of()
    _, result = work_on(tmp_path, data, content_type="application/zip")
    samples.same(result, format="zip", entries=3)
    samples.same(result["checked"], contents="whole")


def test_long_listings_are_cut_in_the_result_and_whole_in_the_artifact(tmp_path: Path) -> None:
    job, result = work_on(tmp_path, made.zip_of({f"{index:04}.txt": b"" for index in range(1000)}))
    samples.same(result, entries=1000, listing_complete=False)
    assert len(names(result)) == 200
    assert samples.artifact(job, "listing.txt").count(b"\n") == 1001


def test_names_are_made_safe_to_show(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, made.zip_of({"inv\u202egpj.exe\x07": b"", "x" * 5000: b""}))
    first, second = names(result)
    assert first == "invgpj.exe"
    assert len(second) == 300
    assert [kind for kind, _ in findings(result)] == ["odd_name", "odd_name"]


# --- odd ones: reported, since nothing is extracted ---


def test_paths_that_lead_out_are_reported(tmp_path: Path) -> None:
    files = {"../../etc/passwd": b"x", "/etc/shadow": b"x", "a\\..\\..\\b": b"x", "C:\\boot.ini": b"x"}
    for data in (made.zip_of(files), made.tar_of(files), made.tar_of(files, "gz")):
        _, result = work_on(tmp_path, data)
        assert findings(result) == [
            ("parent_path", "../../etc/passwd"),
            ("absolute_path", "/etc/shadow"),
            ("parent_path", "a\\..\\..\\b"),
            ("absolute_path", "C:\\boot.ini"),
        ]


def test_links_that_point_outside_are_reported_and_others_just_listed(tmp_path: Path) -> None:
    members = [
        made.tar_member("a/out", tarfile.SYMTYPE, "../../etc"),
        made.tar_member("a/in", tarfile.SYMTYPE, "../readme.txt"),
        made.tar_member("hard", tarfile.LNKTYPE, "/etc/passwd"),
        made.tar_member("a/hard-in", tarfile.LNKTYPE, "readme.txt"),
    ]
    _, result = work_on(tmp_path, made.tar_of(members=members))
    samples.same(result, links=4)
    assert findings(result) == [("outside_link", "a/out"), ("outside_link", "hard")]


def test_a_link_in_a_zip_is_followed_on_paper(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, made.zip_with_link("logs", "/var/log"))
    samples.same(result, links=1)
    assert findings(result) == [("outside_link", "logs")]


def test_devices_are_reported(tmp_path: Path) -> None:
    members = [made.tar_member("sda", tarfile.BLKTYPE), made.tar_member("pipe", tarfile.FIFOTYPE)]
    _, result = work_on(tmp_path, made.tar_of({}, members=members))
    samples.same(result, others=2)
    assert findings(result) == [("device", "sda"), ("device", "pipe")]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_would_overwrite_each_other_are_reported(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, made.zip_of([("a", b"1"), ("a", b"2"), ("A", b"3"), ("b", b"4")]))
    assert findings(result) == [("duplicate_name", "a"), ("case_collision", "A")]


def test_an_archive_inside_is_reported_and_not_unpacked_for_its_listing(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, made.zip_of({"inner.zip": made.zip_of()}))
    samples.same(result, entries=1)
    assert findings(result) == [("nested_archive", "inner.zip")]


def test_a_name_that_differs_in_front_of_the_data_is_reported(tmp_path: Path) -> None:
    data = made.zip_of({"good.txt": b"x"}).replace(b"good.txt", b"evil.exe", 1)
    _, result = work_on(tmp_path, data)
    assert findings(result) == [("name_mismatch", "good.txt")]


def test_something_behind_a_compressed_stream_is_reported(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, gzip.compress(b"x") + b"MZ and a program")
    assert findings(result) == [("trailing_data", "")]


def test_a_thousand_findings_of_a_kind_are_counted_and_the_first_told(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, made.zip_of({f"/{index}": b"" for index in range(1000)}))
    assert result["finding_counts"] == {"absolute_path": 1000}
    assert len(findings(result)) == 20


def test_an_office_document_is_not_claimed() -> None:
    assert not [one for one in processor.TYPES if "office" in one or "java" in one]
