"""CSV and TSV (RFC 4180, with other delimiters, quotes and encodings) summed up in bounded memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors.shared.duckdb import (
    OUR_FAULT,
    PER_PASS,
    Column,
    aggregate,
    connection,
    fields,
    literal,
    merge,
    word,
)
from uploads.processing.processors.shared.encoding import Survey, chunks, survey
from uploads.processing.processors.shared.values import FIELDS, PREVIEW_COLUMNS, PREVIEW_ROWS, plain
from uploads.processing.processors.table.dialect import CELL_LIMIT, Dialect, find_dialect
from uploads.processing.processors.table.readable import readable

SAMPLE = 1 << 20
MAX_COLUMNS = 4096
_TIMES = {"date": "DATE", "datetime": "TIMESTAMP"}


def summarise_csv(job: Context) -> dict[str, Json]:
    """The summary of a CSV or TSV: see table.process.

    Raises ProcessingError: too_complex for a line over 2 MiB or too many columns, corrupt_file for a quote
    that is never closed and for what cannot be split into records.
    """
    job.progress(1, "finding the encoding")
    found = survey(job.path, CELL_LIMIT, lambda done: job.progress(1 + 29 * done / max(1, job.size)))
    if found.long_line:
        raise ProcessingError(
            "too_complex",
            f"Line {found.long_line} is longer than {CELL_LIMIT >> 20} MiB, too long for a table.",
        )
    sample, cut = _sample(job, found)
    width = max(sample.partition("\n")[0].count(one) for one in ",;\t|") + 1
    if width > MAX_COLUMNS:
        raise _too_wide(width)
    promised = "\t" if job.content_type == "text/tab-separated-values" else ","
    dialect = find_dialect("" if sample.isspace() else sample, cut, promised, job.artifacts_dir)
    if dialect.width > MAX_COLUMNS:
        raise _too_wide(dialect.width)
    job.progress(30, "reading all rows")
    rows, summed, findings = _summary(job, found, dialect)
    if found.strays:
        findings.append(
            f"{found.strays} bytes are not UTF-8 (first on line {found.stray_line}); "
            "they were read as windows-1252."
        )
    if found.nuls:
        findings.append(f"{found.nuls} NUL bytes (first on line {found.nul_line}) were replaced.")
    body = dialect.records[1:] if dialect.header else dialect.records
    return {
        "format": "tsv" if dialect.delimiter == "\t" else "csv",
        "rows": rows,
        "columns": dialect.width,
        "fields": summed,
        "encoding": found.label,
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "header": dialect.header,
        "preview": [[plain(cell) for cell in one[:PREVIEW_COLUMNS]] for one in body[:PREVIEW_ROWS]],
        "findings": findings,
    }


def _too_wide(width: int) -> ProcessingError:
    return ProcessingError("too_complex", f"The table has {width:,} columns; {MAX_COLUMNS:,} are the most.")


def _sample(job: Context, found: Survey) -> tuple[str, bool]:
    """The first MiB or a bit more of text, up to the end of a line, and whether there is more."""
    pieces = chunks(job.path, found)
    text, last = "", ""
    for piece in pieces:
        last = piece
        text += piece
        if len(text) >= SAMPLE and "\n" in text:
            break
    cut = bool(last) and any(True for _ in pieces)
    if cut and "\n" in text:
        text = text[: text.rfind("\n") + 1]
    return text, cut


def _summary(job: Context, found: Survey, dialect: Dialect) -> tuple[int, list[dict[str, Json]], list[str]]:
    """(rows, fields, findings). Well-shaped files are read once; others again, counted record by record."""
    if not dialect.width:
        return 0, [], []
    try:
        return *_scan(job, found, dialect, "strict_mode=true"), []
    except OUR_FAULT:
        raise
    except duckdb.Error as error:
        _give_up_early(error)
    job.progress(60, "counting the cells of each row")
    shape = _count_cells(job, found, dialect)
    if shape.open_line:
        raise ProcessingError(
            "corrupt_file", f"A quote in the record that starts on line {shape.open_line} is never closed."
        )
    findings: list[str] = []
    if shape.ragged:
        findings.append(
            f"{shape.ragged} of {shape.rows} rows do not have {dialect.width} cells (first on line "
            f"{shape.first_ragged}); they are left out of the summary of the columns."
        )
    else:
        findings.append("Some quotes are not written as CSV writes them.")
    job.progress(75, "reading the well-shaped rows")
    try:
        _, summed = _scan(job, found, dialect, "strict_mode=false, ignore_errors=true")
    except OUR_FAULT:
        raise
    except duckdb.Error as error:
        _give_up_early(error)
        raise ProcessingError(
            "corrupt_file", "The rows of this table cannot be told apart.", detail=str(error)[:2000]
        ) from error
    return shape.rows, summed, findings


def _give_up_early(error: Exception) -> None:
    """Raise what no second reading would cure."""
    if isinstance(error, duckdb.OutOfMemoryException):
        raise ProcessingError(
            "too_complex", "The table needs more memory than is allowed.", detail=str(error)[:2000]
        ) from error


def _scan(job: Context, found: Survey, dialect: Dialect, options: str) -> tuple[int, list[dict[str, Json]]]:
    """(rows, fields), in as many passes as the columns need. Raises duckdb.Error."""
    columns, rows = _columns(dialect), 0
    found_fields: list[dict[str, Json]] = []
    for first in range(0, len(columns), PER_PASS):
        rows, some = _pass(job, found, dialect, options, columns[first : first + PER_PASS])
        found_fields += some
        job.progress(40 + 50 * first / len(columns), f"{first + len(some)} of {len(columns)} columns")
    return rows, found_fields


def _pass(
    job: Context, found: Survey, dialect: Dialect, options: str, columns: list[Column]
) -> tuple[int, list[dict[str, Json]]]:
    figures: list[Any] = []
    declared = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(dialect.width))
    for path, encoding in readable(job, found, dialect.quote):
        header = dialect.header and not figures
        table = (
            f"read_csv({literal(path)}, auto_detect=false, compression='none', columns={{{declared}}}, "
            f"delim={literal(dialect.delimiter)}, quote={literal(dialect.quote)}, "
            f"escape={literal(dialect.quote)}, header={'true' if header else 'false'}, "
            f"encoding={literal(encoding)}, max_line_size={CELL_LIMIT}, {options})"
        )
        with connection(path, threads=2 if dialect.width <= 200 else 1) as database:
            part = aggregate(database, columns, table)
        figures = merge(columns, figures, part) if figures else part
    return (int(figures[0]), fields(columns, figures)) if figures else (0, [])


def _columns(dialect: Dialect) -> list[Column]:
    columns = []
    for index in range(min(dialect.width, FIELDS)):
        source = f"c{index}"
        name = dialect.names[index].strip() if index < len(dialect.names) else ""
        name = name or f"column {index + 1}"
        type_name = dialect.types[index] if index < len(dialect.types) else "VARCHAR"
        columns.append(
            _column(name, source, word(type_name), type_name, index in dialect.comma_numbers, dialect)
        )
    return columns


def _column(name: str, source: str, kind: str, type_name: str, comma: bool, dialect: Dialect) -> Column:
    if comma:
        number = f"TRY_CAST(replace(replace({source}, '.', ''), ',', '.') AS DOUBLE)"
        return Column(name, source, "number", number, decimal_comma=True)
    pattern = dialect.date_format if kind == "date" else dialect.datetime_format if kind == "datetime" else ""
    if pattern and kind in _TIMES and type_name != "TIMESTAMP WITH TIME ZONE":
        cast = f"CAST(try_strptime({source}, {literal(pattern)}) AS {_TIMES[kind]})"
        return Column(name, source, kind, cast)
    if kind == "text" or kind not in {"integer", "number", "boolean", "date", "time", "datetime"}:
        return Column(name, source)
    if kind != "integer":
        return Column(name, source, kind, f"TRY_CAST({source} AS {type_name})")
    # A cast would round 1.5 to 2, so whatever looks like a fraction is none.
    whole = f"CASE WHEN contains({source}, '.') OR contains(lower({source}), 'e') THEN NULL ELSE {source} END"
    return Column(name, source, kind, f"TRY_CAST({whole} AS {type_name})", f"TRY_CAST({source} AS DOUBLE)")


@dataclass(slots=True)
class _Shape:
    rows: int = 0
    ragged: int = 0
    first_ragged: int = 0
    open_line: int = 0


def _count_cells(job: Context, found: Survey, dialect: Dialect) -> _Shape:
    """Count rows, and those of another width than the table's. Raises ProcessingError for a giant cell."""
    shape, ended, start = _Shape(), [False], 1
    reader = csv.reader(
        _lines(job, found, ended), delimiter=dialect.delimiter, quotechar=dialect.quote, strict=False
    )
    csv.field_size_limit(CELL_LIMIT)
    try:
        for record in reader:
            if record:
                shape.rows += 1
                if len(record) != dialect.width:
                    shape.ragged += 1
                    shape.first_ragged = shape.first_ragged or start
                if ended[0]:  # this record came only because there were no more lines
                    shape.open_line = start
            start = reader.line_num + 1
    except csv.Error as error:
        raise ProcessingError(
            "too_complex", f"A cell that starts on line {start} is over 2 MiB: is a quote never closed?"
        ) from error
    if dialect.header and shape.rows:
        shape.rows -= 1
    return shape


def _lines(job: Context, found: Survey, ended: list[bool]) -> Iterator[str]:
    """The lines of the file, ends kept; sets `ended` when there are no more."""
    pending = ""
    for text in chunks(job.path, found):
        first = True
        for line in io.StringIO(pending + text, newline=""):
            if not first:
                yield pending
            pending, first = line, False
    if pending:
        yield pending
    ended[0] = True
