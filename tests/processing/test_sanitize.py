"""Strings from strangers come out fit to store and to show."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.processing.sanitize import clean_text


@pytest.mark.parametrize(
    ("hostile", "clean"),
    [
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("a\x00b\x1b[31mc\x9b", "ab[31mc"),
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("  spaces  all   over ", "spaces all over"),
        ("می‌خواهم 👩‍👧", "می‌خواهم 👩‍👧"),
        (b"caf\xc3\xa9 \xff", "café \ufffd"),
        (None, ""),
        (42, "42"),
    ],
)
def test_what_deceives_goes_and_what_speaks_stays(hostile: object, clean: str) -> None:
    assert clean_text(hostile, 100) == clean


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert clean_text("x" * 101, 100) == "x" * 99 + "…"
    assert clean_text("x" * 100, 100) == "x" * 100
    assert clean_text("\x00" * 1_000_000 + "x", 100) == "…", "the work is bounded, not just the outcome"


def test_lines_are_kept_where_they_are_asked_for() -> None:
    assert clean_text("one\r\n  two\x0b\tthree\x07\n", 100, lines=True) == "one\n  two\n\tthree"


@given(st.one_of(st.text(), st.binary()), st.integers(0, 50), st.booleans())
def test_anything_becomes_json_within_its_limit(value: str | bytes, limit: int, lines: bool) -> None:
    text = clean_text(value, limit, lines=lines)
    assert len(text) <= limit
    assert json.dumps(text, ensure_ascii=False).encode()
    assert lines or text == " ".join(text.split())
