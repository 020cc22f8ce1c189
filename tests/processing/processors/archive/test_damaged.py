"""Archives that are bombs, locked or damaged: how each is named, and what it may cost."""

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
from tests.processing.processors.archive import samples as made
from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors.archive import budget, processor


def work_on(
    folder: Path, data: bytes, name: str = "cargo.bin", content_type: str = "application/octet-stream"
) -> tuple[Context, dict[str, Json]]:
    job = samples.context(folder, name, content_type, data, processor.LIMITS)
    return job, processor.process(job)


def refusal_of(folder: Path, data: bytes) -> ProcessingError:
    with pytest.raises(ProcessingError) as caught:
        work_on(folder, data)
    return caught.value


def findings(result: dict[str, Json]) -> list[tuple[str, str]]:
    found = result["findings"]
    assert isinstance(found, list)
    return [(one["kind"], one["name"]) for one in found]


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


def test_entry_count_in_the_end_record_is_not_trusted(tmp_path: Path) -> None:
    data = bytearray(made.zip_of())
    data[-14:-10] = struct.pack("<HH", 60_000, 60_000)
    _, result = work_on(tmp_path, bytes(data))
    samples.same(result, entries=3)
