"""Archives: what is told of good and of odd ones, and how bad ones are named."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from tests.processing.processors import samples
from tests.processing.processors import samples_archive as made
from uploads.processing.archives import budget
from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors import archive


def work_on(
    folder: Path, data: bytes, name: str = "cargo.bin", content_type: str = "application/octet-stream"
) -> tuple[Context, dict[str, Json]]:
    job = samples.context(folder, name, content_type, data, archive.LIMITS)
    return job, archive.process(job)


def refusal_of(folder: Path, data: bytes) -> ProcessingError:
    with pytest.raises(ProcessingError) as caught:
        work_on(folder, data)
    return caught.value


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


# --- bombs ---


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    bomb = made.zip_bomb()
    began = time.perf_counter()
    refusal = refusal_of(tmp_path, bomb)
    assert time.perf_counter() - began < 0.2
    assert refusal.code == "too_complex" and "unpack to at least 115.3 MB" in refusal.message


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_stream_that_explodes_is_stopped(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    bomb = pack(bytes(1 << 20)) * 150
    tracemalloc.start()
    refusal = refusal_of(tmp_path, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.code == "too_complex" and "bomb" in refusal.message
    assert peak < 30 << 20


def test_a_tar_bomb_is_stopped(tmp_path: Path) -> None:
    data = gzip.compress(made.tar_of({"zeros": bytes(150 << 20)}), 1)
    assert refusal_of(tmp_path, data).code == "too_complex"


def test_entries_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, made.overlapped_zip())
    assert refusal.code == "too_complex"
    assert 'lies over "00000"' in refusal.message


def test_an_entry_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, made.lying_zip())
    assert (refusal.code, refusal.message) == (
        "too_complex",
        'The zip lies: "a.bin" unpacks to more than the 10 bytes it is said to have.',
    )


def test_a_bomb_in_layers_is_found_by_what_its_heart_declares(tmp_path: Path) -> None:
    bomb = made.nested_zip(2, made.zip_bomb(), width=4)
    assert len(bomb) < 3_000_000
    assert refusal_of(tmp_path, bomb).code == "too_complex"


def test_a_compressed_bomb_inside_a_zip_is_found_although_the_zip_is_modest(tmp_path: Path) -> None:
    inner = gzip.compress(bytes(110 << 20), 1)
    refusal = refusal_of(tmp_path, made.zip_of({"a.gz": inner}))
    assert refusal.code == "too_complex" and "bomb" in refusal.message


def test_damage_inside_an_inner_archive_is_not_the_outer_ones_fault(tmp_path: Path) -> None:
    _, result = work_on(
        tmp_path, made.zip_of({"a.zip": made.zip_of()[:300], "b.gz": gzip.compress(b"x")[:-3]})
    )
    samples.same(result, entries=2)
    samples.same(result["checked"], contents="whole")


def test_archives_without_end_are_refused(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, made.nested_zip(8, made.zip_of()))
    assert refusal.code == "too_complex" and "more than 4 deep" in refusal.message
    onion = b"heart"
    for _ in range(8):
        onion = gzip.compress(onion)
    refusal = refusal_of(tmp_path, onion)
    assert refusal.code == "too_complex" and "over and over" in refusal.message


def test_a_million_entries_are_refused_before_they_are_read(tmp_path: Path) -> None:
    data = made.million_entry_zip(1_000_000)
    tracemalloc.start()
    refusal = refusal_of(tmp_path, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.code == "too_complex"
    assert peak < 1 << 20


def test_a_stream_may_not_ask_for_a_gigabyte_of_memory(tmp_path: Path) -> None:
    for data in (made.xz_with_large_dictionary(), made.zip_lzma_with_large_dictionary()):
        refusal = refusal_of(tmp_path, data)
        assert refusal.code == "too_complex" and "201.3 MB of memory" in refusal.message


def test_a_tar_may_not_have_a_name_of_megabytes(tmp_path: Path) -> None:
    data = gzip.compress(made.tar_of({"x" * (2 << 20): b""}))
    assert refusal_of(tmp_path, data).code == "too_complex"


# --- locked ones ---


def test_a_zip_locked_throughout_needs_its_password(tmp_path: Path) -> None:
    locked = made.encrypted_zip()
    with zipfile.ZipFile(io.BytesIO(locked)) as check:
        assert check.read("readme.txt", pwd=b"anchor") == made.FILES["readme.txt"], "the sample is a real one"
    assert refusal_of(tmp_path, locked).code == "password_protected"


def test_a_zip_locked_in_part_is_listed(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, made.encrypted_zip(plain=1))
    samples.same(result, entries=3, encrypted_entries=2)
    samples.same(result["checked"], contents="part", bytes=1000)
    listing = result["listing"]
    assert isinstance(listing, list)
    assert [one["encrypted"] for one in listing] == [False, True, True]


# --- damaged ones ---


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_zip_is_damaged(tmp_path: Path, part: float) -> None:
    whole = made.zip_of()
    cut = int(len(whole) * part)
    refusal = refusal_of(tmp_path, whole[:cut])
    assert refusal.code == "corrupt_file" and f"ends at byte {cut:,}" in refusal.message


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_truncated_stream_says_where_it_ends(tmp_path: Path, part: float, pack: object) -> None:
    assert callable(pack)
    for content in (random.Random(1).randbytes(50_000), made.tar_of()):
        whole = pack(content)
        cut = int(len(whole) * part)
        refusal = refusal_of(tmp_path, whole[:cut])
        assert refusal.code == "corrupt_file"
        assert f"is cut short at byte {cut:,}" in refusal.message


@pytest.mark.parametrize("part", [0.3, 0.5])
def test_a_truncated_tar_is_damaged(tmp_path: Path, part: float) -> None:
    whole = made.tar_of({"a": bytes(100_000), "b": bytes(100_000)})
    refusal = refusal_of(tmp_path, whole[: int(len(whole) * part)])
    assert refusal.code == "corrupt_file" and "cut short" in refusal.message


def test_a_tar_without_its_end_marker_is_reported(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, made.tar_of({"a": b"x" * 512})[:1024])
    assert findings(result) == [("no_end_marker", "")]


def test_a_damaged_header_inside_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    data = bytearray(made.tar_of({"a": b"", "b": b"", "c": b""}))
    data[512 + 10] ^= 0xFF
    refusal = refusal_of(tmp_path, bytes(data))
    assert refusal.code == "corrupt_file" and "after 1 entries, near byte 512" in refusal.message


def test_a_wrong_check_sum_is_found(tmp_path: Path) -> None:
    stored = made.zip_of(method=zipfile.ZIP_STORED).replace(b"Ahoy", b"Ahay", 1)
    refusal = refusal_of(tmp_path, stored)
    assert refusal.message == 'The zip is damaged: "readme.txt" fails its check sum.'
    packed = bytearray(gzip.compress(b"x" * 1000))
    packed[-6] ^= 1
    assert refusal_of(tmp_path, bytes(packed)).code == "corrupt_file"


def test_a_tar_entry_of_negative_or_endless_size_is_damaged(tmp_path: Path) -> None:
    for size in (-512, 1 << 80, (1 << 62)):
        header = made.tar_member("x", tarfile.REGTYPE)
        header.size = size
        block = header.tobuf(tarfile.GNU_FORMAT)
        refusal = refusal_of(tmp_path, block + bytes(2048))
        assert refusal.code == "corrupt_file"
        assert refusal_of(tmp_path, gzip.compress(block + bytes(2048))).code in {
            "corrupt_file",
            "too_complex",
        }


def test_an_extended_header_of_negative_size_does_not_read_the_rest_of_the_file(tmp_path: Path) -> None:
    header = made.tar_member("x", tarfile.XHDTYPE)
    header.size = -512
    for pack in (bytes, gzip.compress):
        refusal = refusal_of(tmp_path, pack(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048)))
        assert refusal.code == "corrupt_file" and "negative size" in refusal.detail


def test_a_file_that_is_only_called_gzip_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(ProcessingError, match="does not begin as") as caught:
        work_on(tmp_path, b"not at all", "a.gz", "application/gzip")
    assert caught.value.code == "corrupt_file"


def test_garbage_is_damaged(tmp_path: Path) -> None:
    for data in (b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", bytes(5000), b"garbage" * 99):
        assert refusal_of(tmp_path, data).code == "corrupt_file"


# --- bounds ---


def test_when_the_budget_is_spent_the_result_says_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget.Budget.__init__, "__defaults__", (50_000,))
    noise = random.Random(1).randbytes(40_000)
    many = {str(index): noise for index in range(4)}
    for data in (made.zip_of(many), made.tar_of(many, "gz"), gzip.compress(noise * 4)):
        _, result = work_on(tmp_path, data)
        samples.same(result["checked"], contents="part")
        assert result["files"]


def test_when_time_runs_out_the_result_says_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "CHECKED_SHARE", 0.0)
    for data in (made.zip_of(), made.tar_of(), made.tar_of(compression="gz")):
        _, result = work_on(tmp_path, data)
        samples.same(result["checked"], contents="part")


def test_an_office_document_is_not_claimed() -> None:
    assert not [one for one in archive.TYPES if "office" in one or "java" in one]


def test_entry_count_in_the_end_record_is_not_trusted(tmp_path: Path) -> None:
    data = bytearray(made.zip_of())
    data[-14:-10] = struct.pack("<HH", 60_000, 60_000)
    _, result = work_on(tmp_path, bytes(data))
    samples.same(result, entries=3)
