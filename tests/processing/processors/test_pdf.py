"""PDF: what is told of a good one, and how a bad one is named."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.processing.processors import samples
from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors import pdf


def work_on(folder: Path, data: bytes) -> tuple[Context, dict[str, Json]]:
    job = samples.context(folder, "log.pdf", "application/pdf", data, pdf.LIMITS)
    return job, pdf.process(job)


def refusal_of(folder: Path, data: bytes) -> ProcessingError:
    with pytest.raises(ProcessingError) as caught:
        work_on(folder, data)
    return caught.value


def test_a_document_is_described(tmp_path: Path) -> None:
    job, result = work_on(tmp_path, samples.pdf(pages=7))
    samples.same(result, pages=7, version="1.4", encrypted=False, text_pages=7)
    assert result["metadata"] == {
        "title": "The log of the wharf", "producer": "samples", "created": "2026-05-04T03:02:01+02:00",
    }  # fmt: skip
    assert result["page_sizes"] == [[612.0, 792.0]] * 7
    assert "Page 5 of the log" in str(result["text"]) and "Page 6" not in str(result["text"])
    assert samples.artifact(job, "text.txt").split(b"\f")[6] == b"Page 7 of the log"
    assert "notes" not in result


def test_the_first_page_becomes_a_picture(tmp_path: Path) -> None:
    job, _ = work_on(tmp_path, samples.pdf())
    picture = Image.open(io.BytesIO(samples.artifact(job, "page-1.webp")))
    assert max(picture.size) == 1024
    assert picture.convert("L").getextrema()[0] < 100, "there is ink on the page"


@pytest.mark.parametrize("size", [(1_036_800, 1_036_800), (1, 1_036_800), (1, 1)])
def test_a_page_of_any_size_gives_a_bounded_picture(tmp_path: Path, size: tuple[float, float]) -> None:
    job, result = work_on(tmp_path, samples.pdf(1, size=size))
    assert result["page_sizes"] == [[float(side) for side in size]]
    assert max(Image.open(io.BytesIO(samples.artifact(job, "page-1.webp"))).size) <= 1024


def test_a_page_without_area_is_taken_for_a_letter(tmp_path: Path) -> None:
    job, result = work_on(tmp_path, samples.pdf(1, size=(0, 0)))
    assert result["page_sizes"] == [[612.0, 792.0]]
    assert samples.artifact(job, "page-1.webp")


def test_hostile_metadata_is_cleaned_and_bounded(tmp_path: Path) -> None:
    title = "\ufeffA\u202eB\x07[31m\ud83d".encode("utf-16-be", "surrogatepass") + b"\0x" * 5000
    _, result = work_on(tmp_path, samples.pdf(1, title=title))
    metadata = result["metadata"]
    assert isinstance(metadata, dict)
    shown = str(metadata["title"])
    assert shown.startswith("AB") and len(shown) == 500 and shown.endswith("…")
    assert shown.encode() and not {"\u202e", "\ud83d", "\x07"} & set(shown)


def test_an_absurd_page_count_is_bounded_and_noted(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, samples.pdf(3, claimed_pages=900_000))
    notes = result["notes"]
    assert isinstance(notes, list)
    assert any("900,000 pages" in str(note) for note in notes)


def test_a_document_that_needs_a_password_says_so(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, samples.pdf(user_password=b"anchor"))
    assert (refusal.code, refusal.message) == ("password_protected", "The PDF opens only with a password.")


def test_an_owners_password_alone_keeps_nobody_out(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, samples.pdf(user_password=b""))
    samples.same(result, encrypted=True, pages=2)
    assert "Page 1 of the log" in str(result["text"])


@pytest.mark.parametrize("part", [0.2, 0.6, 0.9, 0.99])
def test_a_truncated_document_is_damaged(tmp_path: Path, part: float) -> None:
    whole = samples.pdf(20)
    cut = int(len(whole) * part)
    refusal = refusal_of(tmp_path, whole[:cut])
    assert refusal.code == "corrupt_file"
    assert f"it ends at byte {cut:,}" in refusal.message


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7\n", b"%PDF-1.7\ngarbage\n%%EOF\n", b"\x00" * 5000])
def test_garbage_is_damaged(tmp_path: Path, data: bytes) -> None:
    assert refusal_of(tmp_path, data).code == "corrupt_file"


def test_a_document_without_pages_is_damaged(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, samples.pdf(0)).code == "corrupt_file"


def test_padding_behind_the_end_is_no_harm(tmp_path: Path) -> None:
    _, result = work_on(tmp_path, samples.pdf() + b"\0" * 10_000)
    assert result["pages"] == 2
