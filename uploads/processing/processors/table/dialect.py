"""How a CSV is written: delimiter, quote, header and the likely type of each column, from its first records.

The grammar is RFC 4180 with other delimiters. Cells are split by the standard library's csv module; types and
the header are then DuckDB's verdict (sniff_csv) on the well-shaped records of the sample.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from uploads.processing.processors.shared.duckdb import connection, literal, word
from uploads.processing.processors.shared.values import FIELDS

DELIMITERS = ("\t", ";", "|", ",")
RECORDS = 500
CELL_LIMIT = 2 << 20
# Bytes of sample for the types: sniffing costs memory by the cell.
TYPED_CELLS = 20_000

_COMMA_NUMBER = re.compile(r"-?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?")
_SINGLE = re.compile(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n])", re.M)
_COMMA = re.compile(r",\d+$")


@dataclass(slots=True)
class Dialect:
    """`types` are DuckDB's words, one for each of the first FIELDS columns; `width` is all columns."""

    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    width: int = 0
    names: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    comma_numbers: set[int] = field(default_factory=set)
    date_format: str = ""
    datetime_format: str = ""
    records: list[list[str]] = field(default_factory=list)


def records(lines: Iterator[str], delimiter: str, quote: str) -> Iterator[list[str]]:
    """The records of a CSV, blank lines left out. Raises csv.Error for a cell over CELL_LIMIT."""
    csv.field_size_limit(CELL_LIMIT)
    return (one for one in csv.reader(lines, delimiter=delimiter, quotechar=quote) if one)


def first_records(sample: str, cut: bool, delimiter: str, quote: str) -> list[list[str]]:
    """Up to RECORDS records of the sample; the last is left out where the sample was cut."""
    found: list[list[str]] = []
    try:
        for one in records(iter(io.StringIO(sample, newline="")), delimiter, quote):
            found.append(one)
            if len(found) > RECORDS:
                break
    except csv.Error:
        cut = False
    if cut and 1 < len(found) <= RECORDS:
        found.pop()
    return found[:RECORDS]


def find_dialect(sample: str, cut: bool, promised: str, folder: Path) -> Dialect:
    """The dialect of a CSV that starts with `sample` (`cut`: and goes on).

    The best delimiter is the one that splits most records into as many cells as the header has; `promised`
    is that of a table of one column.
    `folder` is for a small file that is gone afterwards. Raises OSError, RuntimeError.
    """
    single = '"' not in sample and len(_SINGLE.findall(sample)) > 2
    quote = "'" if single else '"'
    best, best_score = Dialect(quote=quote, delimiter=promised), -1.0
    for delimiter in DELIMITERS:
        rows = first_records(sample, cut, delimiter, quote)
        if not rows:
            continue
        widths = Counter(map(len, rows))
        width, count = max(widths.items(), key=lambda one: (one[1], one[0]))
        if len(rows) <= 2 or widths[len(rows[0])] * 2 >= len(rows):
            width, count = len(rows[0]), widths[len(rows[0])]
        fit = round(count / len(rows), 2) if width > 1 else 0.0
        if fit > best_score or (fit == best_score and width == 1 and delimiter == promised):
            best, best_score = Dialect(delimiter, quote, width=width, records=rows), fit
    _find_types(best, folder)
    return best


def _find_types(dialect: Dialect, folder: Path) -> None:
    """Fill header, names and types of `dialect` from its well-shaped records."""
    shown = min(dialect.width, FIELDS)
    rows = [one[:shown] for one in dialect.records if len(one) == dialect.width]
    rows = rows[: max(3, TYPED_CELLS // max(1, shown))]
    if not rows:
        return
    dialect.header, dialect.types = False, ["VARCHAR"] * shown
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_MINIMAL)
    writer.writerows([cell[:200].replace("\0", "") for cell in one] for one in rows)
    try:
        _sniff(dialect, text.getvalue().encode("utf-8", "replace"), folder)
    except duckdb.InvalidInputException:
        # No verdict: all text, and a header where the first record has a text in each cell.
        dialect.header = len(rows) > 1 and all(rows[0]) and not any(one[:1].isdigit() for one in rows[0])
    dialect.names = dialect.records[0][:shown] if dialect.header else []
    body = rows[1:] if dialect.header else rows
    for index, kind in enumerate(dialect.types):
        cells = [one[index].strip() for one in body if one[index].strip()]
        commas = kind == "VARCHAR" and any(_COMMA.search(one) for one in cells)
        if commas and all(_COMMA_NUMBER.fullmatch(one) for one in cells):
            dialect.comma_numbers.add(index)


def _sniff(dialect: Dialect, sample: bytes, folder: Path) -> None:
    path = folder / ".sample.csv"
    try:
        path.write_bytes(sample)
        with connection(str(path), threads=1) as database:
            answer = database.execute(
                "SELECT HasHeader, Columns, DateFormat, TimestampFormat FROM sniff_csv("  # noqa: S608
                f"{literal(str(path))}, delim=',', quote='\"', escape='\"', skip=0, strict_mode=false, comment='')"
            ).fetchone()
    finally:
        path.unlink(missing_ok=True)
    if not answer or len(answer[1]) != len(dialect.types):
        return
    dialect.header = bool(answer[0])
    dialect.types = [
        str(one["type"]) if word(str(one["type"])) != "other" else "VARCHAR" for one in answer[1]
    ]
    dialect.date_format, dialect.datetime_format = str(answer[2] or ""), str(answer[3] or "")
