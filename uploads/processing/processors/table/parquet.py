"""Parquet (https://parquet.apache.org/docs/file-format/) summed up by DuckDB's own reader."""

from __future__ import annotations

import duckdb

from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors.shared.duckdb import (
    OUR_FAULT,
    Column,
    aggregate,
    connection,
    fields,
    identifier,
    literal,
    word,
)
from uploads.processing.processors.shared.values import FIELDS, PREVIEW_COLUMNS, PREVIEW_ROWS, plain

MAX_COLUMNS = 4096
# A run-length encoded column of a few bytes can claim any number of rows.
MAX_CELLS = 2_000_000_000


def summarise_parquet(job: Context) -> dict[str, Json]:
    """The summary of a Parquet file: see table.process.

    Raises ProcessingError: corrupt_file, password_protected for an encrypted footer, too_complex.
    """
    with job.path.open("rb") as file:
        file.seek(max(0, job.size - 4))
        ending = file.read(4)
    if ending == b"PARE":
        raise ProcessingError("password_protected", "The Parquet file is encrypted.")
    if ending != b"PAR1" or job.size < 12:
        raise ProcessingError("corrupt_file", "The Parquet file is cut off: its footer is missing.")
    try:
        return _summary(job)
    except OUR_FAULT:
        raise
    except duckdb.OutOfMemoryException as error:
        raise ProcessingError(
            "too_complex", "The table needs more memory than is allowed.", detail=str(error)[:2000]
        ) from error
    except duckdb.Error as error:
        raise ProcessingError(
            "corrupt_file", "The Parquet file is damaged and cannot be read.", detail=str(error)[:2000]
        ) from error


def _summary(job: Context) -> dict[str, Json]:
    path = literal(str(job.path))
    table = f"read_parquet({path}, hive_partitioning=false)"
    with connection(str(job.path)) as database:
        facts = database.execute(
            f"SELECT num_rows, num_row_groups FROM parquet_file_metadata({path})"  # noqa: S608 - our own path
        ).fetchone()
        rows, groups = (int(facts[0]), int(facts[1])) if facts else (0, 0)
        described = database.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()  # noqa: S608
        names = [(str(one[0]), str(one[1])) for one in described]
        if rows < 0:
            raise ProcessingError("corrupt_file", f"The Parquet file claims {rows} rows.")
        if len(names) > MAX_COLUMNS or rows * max(1, len(names)) > MAX_CELLS:
            raise ProcessingError(
                "too_complex", f"The table claims {rows:,} rows of {len(names):,} columns, too many to read."
            )
        job.progress(10, "reading all rows")
        columns = [Column(name, identifier(name), word(kind)) for name, kind in names[:FIELDS]]
        figures = aggregate(database, columns, table)
        job.progress(90, "preview")
        shown = ", ".join(_shown(name, kind) for name, kind in names[:PREVIEW_COLUMNS])
        query = f"SELECT {shown} FROM {table} LIMIT {PREVIEW_ROWS}"  # noqa: S608 - quoted identifiers
        preview = database.execute(query).fetchall()
    return {
        "format": "parquet",
        "rows": figures[0],
        "columns": len(names),
        "row_groups": groups,
        "fields": fields(columns, figures),
        "preview": [[plain(cell) for cell in one] for one in preview],
        "findings": []
        if figures[0] == rows
        else [f"The footer says {rows} rows, but there are {figures[0]}."],
    }


def _shown(name: str, kind: str) -> str:
    """SQL for a cell of the preview: simple values as they are, the rest as bounded text."""
    value = identifier(name)
    return value if word(kind) in {"integer", "number", "boolean"} else f"left(CAST({value} AS VARCHAR), 200)"
