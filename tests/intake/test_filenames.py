"""File names that were made to hurt."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.intake.filenames import UNNAMED, safe_filename


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("файл 名前.txt", "файл 名前.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/shadow", "shadow"),
        ("C:\\Users\\x\\a.doc", "a.doc"),
        ("a\x00b.txt", "ab.txt"),
        ("line\r\nbreak.txt", "linebreak.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("zero\u200bwidth.txt", "zerowidth.txt"),
        ('quote".txt', "quote_.txt"),
        ("<script>.txt", "_script_.txt"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("LPT9.tar.gz", "_LPT9.tar.gz"),
        ("console.txt", "console.txt"),
        ("trailing. . ", "trailing"),
        (".bashrc", ".bashrc"),
        ("", UNNAMED),
        (".", UNNAMED),
        ("..", UNNAMED),
        ("   ", UNNAMED),
        ("a/", UNNAMED),
        ("\u202e\u200f", UNNAMED),
        ("\ud800.txt", ".txt"),
    ],
)
def test_a_name_is_made_safe_to_show_and_to_download(sent: str, shown: str) -> None:
    assert safe_filename(sent) == shown


def test_a_long_name_keeps_its_extension() -> None:
    name = safe_filename("x" * 300 + ".parquet")
    assert len(name.encode()) <= 255
    assert name.endswith("….parquet")


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=400))
def test_no_name_leaves_as_a_path_or_a_trick(sent: str) -> None:
    name = safe_filename(sent)
    assert 0 < len(name.encode()) <= 255
    assert name not in {".", ".."}
    assert not set(name) & set('/\\<>:"|?*\x00')
    assert all(unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"} for c in name)
    assert not any(unicodedata.bidirectional(c) in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI"} for c in name)
    assert safe_filename(name) == name, "what is safe stays as it is"
