"""Tables: CSV, TSV, Parquet and XLSX, summed up in bounded memory.

Takes one file; gives what it holds: columns with their types, empty cells and ranges, and a preview.
"""

from __future__ import annotations

from uploads.processing.base import MIB, Context, Json, Limits, ProcessingError
from uploads.processing.processors.table.csv import summarise_csv
from uploads.processing.processors.table.parquet import summarise_parquet
from uploads.processing.processors.table.xlsx import summarise_xlsx

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PARQUET = "application/vnd.apache.parquet"
ENCRYPTED = "application/encrypted"

TYPES: tuple[str, ...] = ("text/csv", "text/tab-separated-values", XLSX, PARQUET, ENCRYPTED)
LIMITS = Limits(memory_bytes=512 * MIB, cpu_seconds=120, wall_seconds=240)


def process(job: Context) -> dict[str, Json]:
    """Sum up a table.

    Gives `format`, `rows` (the header not counted), `columns` (all of them), `fields` (of the first 1,000:
    `name`, `type`, `nulls`, `min`, `max`, and about how many are `distinct`), `preview` (20 rows of at
    most 100 cells) and `findings` (sentences on what is odd); for text also `encoding`, `delimiter`,
    `quote` and `header`; for XLSX `sheets` and the `sheet` shown; for Parquet `row_groups`.
    Types: integer, number, date, time, datetime, duration, boolean, text, binary, nested, mixed, empty,
    other.
    Raises ProcessingError: corrupt_file, password_protected, too_complex.
    """
    if job.content_type == ENCRYPTED:
        raise ProcessingError("password_protected", "The document is locked with a password.")
    if job.content_type == XLSX:
        return summarise_xlsx(job)
    if job.content_type == PARQUET:
        return summarise_parquet(job)
    return summarise_csv(job)
