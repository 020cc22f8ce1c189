"""PDF documents (ISO 32000), read with PDFium.

Takes one PDF; gives its version, pages and their sizes in points, metadata, the text of the first pages
(`text.txt` holds more of it), and the first page as an image, `page-1.webp`.
"""

from __future__ import annotations

import codecs
import ctypes
import io
import math
import os
import re
import time

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image, WebPImagePlugin

from uploads.processing.base import MIB, Context, Json, Limits, ProcessingError
from uploads.processing.sanitize import clean_text

TYPES = ("application/pdf", "application/x-pdf")
LIMITS = Limits(memory_bytes=512 * MIB, cpu_seconds=60, wall_seconds=90, output_bytes=8 * MIB)

TEXT_PAGES_IN_RESULT = 5
TEXT_CHARACTERS_IN_RESULT = 20_000
TEXT_PAGES = 50
TEXT_BYTES = MIB
SIZES_LISTED = 50
PREVIEW_SIDE = 1024
PREVIEW_SCALE = 2.0
# More than any book: a page tree that claims more is a trick or an accident. PDFium stops at 1,048,575.
MANY_PAGES = 20_000
# Where the end marker must be: Acrobat looks at the last 1,024 bytes, after padding we are kinder.
_TAIL_BYTES = 4096

_METADATA = ("Title", "Author", "Subject", "Keywords", "Creator", "Producer")
_DATES = {"created": "CreationDate", "modified": "ModDate"}
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([+-])(\d\d)'?(\d\d)?'?|(Z).*)?")

# Looked up now, since in the sandbox nothing can be imported any more.
codecs.lookup("utf-16-le")
_PREVIEW_FORMAT = WebPImagePlugin.WebPImageFile.format


def process(job: Context) -> dict[str, Json]:
    """Summarise one PDF; leave `page-1.webp` and, where there is text, `text.txt`.

    Raises ProcessingError: password_protected when it opens only with a password, corrupt_file when it is
    not a PDF, is cut short, or none of its first pages can be read.
    """
    _check_ending(job)
    document = _opened(job)
    try:
        return _summary(job, document)
    except pdfium.PdfiumError as error:
        message = "The PDF is damaged: its pages cannot be read."
        raise ProcessingError("corrupt_file", message, detail=str(error)) from error
    finally:
        document.close()


def _check_ending(job: Context) -> None:
    """Refuse a file without its end marker: PDFium would quietly repair it, with pages missing."""
    with job.path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 16 * _TAIL_BYTES))
        tail = file.read().rstrip(b"\x00\t\n\x0c\r ")[-_TAIL_BYTES:]
    if b"%%EOF" not in tail:
        message = f"The PDF is cut short: it ends at byte {length:,} without its end marker (%%EOF)."
        raise ProcessingError("corrupt_file", message)


def _opened(job: Context) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(job.path)
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium_c.FPDF_ERR_PASSWORD:
            message = "The PDF opens only with a password."
            raise ProcessingError("password_protected", message, detail=str(error)) from error
        if error.err_code == pdfium_c.FPDF_ERR_SECURITY:
            message = "The PDF is locked with a method that cannot be opened here."
            raise ProcessingError("password_protected", message, detail=str(error)) from error
        message = "The PDF is damaged: its structure (header, page tree or cross-references) cannot be read."
        raise ProcessingError("corrupt_file", message, detail=str(error)) from error


def _summary(job: Context, document: pdfium.PdfDocument) -> dict[str, Json]:
    pages = len(document)
    if pages < 1:
        raise ProcessingError("corrupt_file", "The PDF is damaged: it has no pages.")
    notes: list[Json] = []
    if pages > MANY_PAGES:
        notes.append(f"The file claims {pages:,} pages; only the first {TEXT_PAGES} were looked at.")
    version = document.get_version()
    result: dict[str, Json] = {
        "pages": pages,
        "version": f"{version // 10}.{version % 10}" if version else None,
        "encrypted": pdfium_c.FPDF_GetSecurityHandlerRevision(document) != -1,
        "metadata": _metadata(document),
        "page_sizes": _page_sizes(document, min(pages, SIZES_LISTED)),
    }
    job.progress(5, f"{pages:,} pages")
    texts, unreadable = _texts(job, document, min(pages, TEXT_PAGES), notes)
    if len(unreadable) == len(texts):
        raise ProcessingError("corrupt_file", "The PDF is damaged: none of its first pages can be read.")
    if unreadable:
        notes.append("Pages that cannot be read: " + ", ".join(map(str, unreadable[:10])) + ".")
    result["text"] = clean_text(
        "\n\n".join(texts[:TEXT_PAGES_IN_RESULT]), TEXT_CHARACTERS_IN_RESULT, lines=True
    )
    result["text_pages"] = len(texts)
    _leave_text(job, texts)
    job.progress(80, "drawing page 1")
    preview = _preview(document)
    if preview is None:
        notes.append("Page 1 has no area or cannot be drawn, so there is no picture of it.")
    else:
        job.add_artifact("page-1.webp", "image/webp", preview)
    if notes:
        result["notes"] = notes
    return result


def _metadata(document: pdfium.PdfDocument) -> dict[str, Json]:
    found: dict[str, Json] = {key.lower(): clean_text(_entry(document, key), 500) for key in _METADATA}
    for name, key in _DATES.items():
        found[name] = _date(_entry(document, key))
    return {name: value for name, value in found.items() if value}


def _entry(document: pdfium.PdfDocument, key: str) -> str:
    """Return an entry of the information dictionary as it is; "" when absent or over a mebibyte.

    Not `get_metadata_value`, which raises UnicodeDecodeError for a lone surrogate.
    """
    name = key.encode()
    size = pdfium_c.FPDF_GetMetaText(document, name, None, 0)
    if not 2 < size <= MIB:
        return ""
    buffer = ctypes.create_string_buffer(size)
    pdfium_c.FPDF_GetMetaText(document, name, buffer, size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace")


def _date(raw: str) -> str:
    """Return a PDF date (ISO 32000-1, 7.9.4) in ISO 8601, as exact as it was; else what it says, cleaned."""
    match = _DATE.fullmatch(raw.strip()[:40])
    if not match:
        return clean_text(raw, 40)
    year, month, day, hour, minute, second, sign, off_hours, off_minutes, zulu = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if not hour:
        return date
    offset = "Z" if zulu else f"{sign}{off_hours}:{off_minutes or '00'}" if sign else ""
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{offset}"


def _page_sizes(document: pdfium.PdfDocument, count: int) -> list[Json]:
    """Return [width, height] in points (1/72 inch) of the first pages; null for a page without a size."""
    sizes: list[Json] = []
    for index in range(count):
        try:
            width, height = document.get_page_size(index)
        except pdfium.PdfiumError:
            sizes.append(None)
            continue
        fit = math.isfinite(width) and math.isfinite(height)
        sizes.append([round(width, 2), round(height, 2)] if fit else None)
    return sizes


def _texts(
    job: Context, document: pdfium.PdfDocument, count: int, notes: list[Json]
) -> tuple[list[str], list[int]]:
    """Return the text of the first pages, one string a page, and the numbers of pages that do not open.

    Stops at the bound on bytes, and after a third of the time the job may take; a note says so.
    """
    deadline = time.monotonic() + job.limits.wall_seconds / 3
    texts: list[str] = []
    unreadable: list[int] = []
    room = TEXT_BYTES
    for index in range(count):
        try:
            text = _page_text(document, index, room)
        except pdfium.PdfiumError:
            unreadable.append(index + 1)
            text = ""
        texts.append(text)
        room -= len(text)
        job.progress(5 + 75 * (index + 1) / count, f"page {index + 1} of {count}")
        if index + 1 < count and (room <= 0 or time.monotonic() > deadline):
            notes.append(f"Only the text of the first {index + 1} pages was read.")
            break
    return texts, unreadable


def _page_text(document: pdfium.PdfDocument, index: int, limit: int) -> str:
    page = document.get_page(index)
    try:
        textpage = page.get_textpage()
        try:
            return clean_text(textpage.get_text_bounded(), limit, lines=True)
        finally:
            textpage.close()
    finally:
        page.close()


def _leave_text(job: Context, texts: list[str]) -> None:
    """Leave `text.txt`: pages divided by form feeds, UTF-8, at most 1 MiB."""
    if any(texts):
        data = "\f".join(texts).encode()[:TEXT_BYTES]
        job.add_artifact("text.txt", "text/plain; charset=utf-8", data.decode(errors="ignore").encode())


def _preview(document: pdfium.PdfDocument) -> bytes | None:
    """Return the first page as WebP within 1,024 pixels a side, or None if it cannot be drawn."""
    try:
        page = document.get_page(0)
    except pdfium.PdfiumError:
        return None
    try:
        width, height = page.get_size()
        if not (0 < width < math.inf and 0 < height < math.inf):
            return None
        scale = min(PREVIEW_SCALE, PREVIEW_SIDE / max(width, height))
        bitmap = page.render(scale=scale, may_draw_forms=False)
        try:
            target = io.BytesIO()
            picture = bitmap.to_pil().convert("RGB")
            picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BICUBIC)
            picture.save(target, _PREVIEW_FORMAT, quality=80, method=4)
            return target.getvalue()
        finally:
            bitmap.close()
    except pdfium.PdfiumError:
        return None
    finally:
        page.close()
