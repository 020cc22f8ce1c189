"""Which of the built-in kinds a file may be, from what is said of it before anybody has opened it.

Good enough to pause a kind by; what the content is, content.py finds in the sandbox.
"""

from __future__ import annotations

from uploads.processing.detection.extensions import BY_NAME, extension, family

TABLES = {
    "text/csv", "text/tab-separated-values", "application/vnd.apache.parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip


def guess_kind(filename: str, declared_type: str) -> str:
    """The kind that the file's name promises, else its declared content type; "" where neither says."""
    declared = declared_type.partition(";")[0].strip().lower()
    content_type = BY_NAME.get(extension(filename)) or declared
    if content_type in TABLES:
        return "table"
    if content_type == "application/pdf":
        return "pdf"
    of = family(content_type)
    if content_type == "application/zip" or of == "archive":
        return "archive"
    return of if of in ("image", "text") else ""
