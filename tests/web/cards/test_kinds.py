"""Result cards: what each kind says, and that no shape of result breaks one."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from uploads.models import UploadJob
from uploads.web.cards import kinds
from uploads.web.cards.card import Card
from uploads.web.wording import formatting

KINDS = ["image", "pdf", "table", "archive", "text", "of-a-stranger"]


def card(kind: str, result: Any, **fields: Any) -> Card:
    return kinds.card(UploadJob(kind=kind, result=result, **fields))


def told(made: Card) -> list[str]:
    return [note.text for note in made.notes]


def test_an_image_is_told_by_its_size_and_camera() -> None:
    made = card("image", {
        "format": "JPEG", "width": 4000, "height": 3000, "mode": "RGB", "frames": 1,
        "exif": {"make": "Acme", "model": "One", "exposure_seconds": 0.004, "f_number": 2.8, "iso": 1600},
    })  # fmt: skip
    assert made.gist == "4,000 × 3,000 pixels · JPEG"
    assert ("Camera", "Acme One") in made.facts
    assert ("Exposure", "1/250 s, f/2.8, ISO 1600") in made.facts
    assert "Frames" not in dict(made.facts)


def test_a_pdf_is_told_by_its_pages_and_the_beginning_of_its_text() -> None:
    made = card("pdf", {
        "pages": 2, "page_sizes": [[595.28, 841.89]], "text": "x" * 5000,
        "metadata": {"title": "Bill of lading", "author": ""}, "notes": ["Pages that cannot be read: 2."],
    })  # fmt: skip
    assert made.gist == "2 pages · Bill of lading"
    assert ("Page size", "210 × 297 mm") in made.facts
    assert "Author" not in dict(made.facts)
    assert len(made.text) == kinds.TEXT_CHARACTERS
    assert told(made) == ["Pages that cannot be read: 2."]


def test_a_table_shows_its_first_rows_and_says_what_is_left_out() -> None:
    names = [{"name": f"c{number}", "type": "integer"} for number in range(20)]
    made = card("table", {
        "rows": 1000, "columns": 20, "fields": names, "preview": [[1, None] * 10 for _ in range(20)],
        "delimiter": "\t", "encoding": "utf-8",
    })  # fmt: skip
    assert made.table is not None
    assert made.gist == "1,000 rows · 20 columns"
    assert made.table.head[0] == "c0 · integer"
    assert len(made.table.rows) == kinds.TABLE_ROWS
    assert made.table.rows[0] == ["1", ""] * (kinds.TABLE_COLUMNS // 2)
    assert made.table.more == "8 more columns, 990 more rows"
    assert ("Delimiter", "tab") in made.facts


def test_an_archive_shows_its_listing_and_what_is_odd_about_it() -> None:
    made = card("archive", {
        "format": "zip", "entries": 60, "files": 1, "directories": 1, "total_size": 2048, "ratio": 1.5,
        "listing": [{"name": "a", "kind": "dir", "size": 0}] + [{"name": "a/b", "kind": "file", "size": 2048}] * 59,
        "findings": [{"kind": "parent_path", "name": "../x", "message": "It may leave the folder."}],
    })  # fmt: skip
    assert made.table is not None
    assert made.gist == "1 file · 2.0\xa0KB unpacked"
    assert made.table.rows[:2] == [["a/", "", ""], ["a/b", "2.0\xa0KB", ""]]
    assert made.table.more == "10 more entries"
    assert told(made) == ["../x: It may leave the folder."]


def test_of_a_strangers_kind_the_simple_values_are_listed() -> None:
    made = card("of-a-stranger", {"frame_rate": 25.0, "has_sound": True, "tracks": [1, 2], "codec": "vp9"})
    assert made.facts == [("Frame rate", "25"), ("Has sound", "yes"), ("Codec", "vp9")]


def test_a_file_that_nobody_knows_is_not_told_by_a_type_that_says_so() -> None:
    assert card("default", {"content_type": "font/woff2"}).gist == "font/woff2"
    assert card("default", {"content_type": "application/octet-stream"}).gist == ""


def test_a_name_that_contradicts_its_content_is_the_first_remark() -> None:
    made = card("text", {"lines": 3, "notes": ["More."]}, contradiction="Named like a PNG, but it is HTML.")
    assert told(made) == ["Named like a PNG, but it is HTML.", "More."]
    assert made.gist == "3 lines"


def test_a_json_text_tells_what_is_in_it() -> None:
    made = card("text", {
        "lines": 1, "words": 4, "characters": 31, "newline": "none", "preview": '{"port": "Bremen"}',
        "json": {"checked": True, "valid": True, "top": "object", "keys": ["port"], "key_count": 1, "depth": 1},
    })  # fmt: skip
    assert made.gist == "1 line"
    assert {("JSON", "valid"), ("Keys", "1"), ("Names of keys", "port"), ("Words", "4")} <= set(made.facts)
    assert "Line ends" not in dict(made.facts)
    assert made.text == '{"port": "Bremen"}'


def test_times_are_written_as_the_reader_does() -> None:
    assert formatting.moment("2026-11-24T22:20:11Z") == "11/24/2026 10:20 p.m. UTC"
    assert formatting.moment("2026-11-24") == "11/24/2026"
    assert formatting.moment("last spring") == "last spring"
    with translation.override("de"):
        assert formatting.moment("2026-11-24T22:20:11") == "24.11.2026 22:20"


# Names our processors use, so that each card meets values of the wrong shape where it looks for one.
_names = st.sampled_from((
    "width", "height", "format", "exif", "dpi", "frames", "pages", "metadata", "page_sizes", "text", "rows",
    "columns", "fields", "preview", "sheets", "entries", "files", "listing", "total_size", "ratio", "findings",
    "notes", "checked", "lines", "delimiter", "encrypted", "json", "newline", "modified", "created",
))  # fmt: skip
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_names | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)  # a busy machine is slow, not wrong
@given(result=st.dictionaries(_names, _json, max_size=8) | _json)
def test_no_result_of_any_shape_breaks_a_card(kind: str, result: Any) -> None:
    made = card(kind, result)
    assert all(isinstance(value, str) for pair in made.facts for value in pair)
    assert all(isinstance(note, str) for note in told(made))
