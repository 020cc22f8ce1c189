"""The grammar of a Range header (RFC 9110, section 14)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.api.ranges import Range, Unsatisfiable, parse


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=2-4", 2, 3),
        ("bytes=2-", 2, 8),
        ("bytes=2-999", 2, 8),
        ("bytes=-3", 7, 3),
        ("bytes=-999", 0, 10),
        ("Bytes=9-9", 9, 1),
        (" bytes= 2-4 ", 2, 3),
    ],
)
def test_one_range_is_cut_to_the_file(header: str, start: int, length: int) -> None:
    assert parse(header, 10) == Range(start, length, 10)


@pytest.mark.parametrize(
    "header",
    [
        "", "bytes", "bytes=", "bytes=-", "bytes=4-2", "bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes=--1",
        "bytes=0x1-2", "bytes=٣-٤", "bytes=" + "9" * 20 + "-", "bytes 0-1",
    ],
)  # fmt: skip
def test_what_is_not_one_range_of_bytes_means_the_whole_file(header: str) -> None:
    assert parse(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=999999999-"])
def test_a_range_outside_the_file_cannot_be_had(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse(header, 10)


def test_an_empty_file_has_no_ranges() -> None:
    with pytest.raises(Unsatisfiable):
        parse("bytes=0-", 0)
    with pytest.raises(Unsatisfiable):
        parse("bytes=-1", 0)


@given(st.text(st.sampled_from("bytes=-0123456789, ")), st.integers(0, 10**12))
def test_a_range_always_lies_within_the_file(header: str, size: int) -> None:
    try:
        found = parse("bytes=" + header, size)
    except Unsatisfiable:
        return
    assert found is None or (found.length >= 1 and found.start >= 0 and found.start + found.length <= size)
