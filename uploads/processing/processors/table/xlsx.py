"""XLSX workbooks (ECMA-376) read by calamine, once _xlsxguard has found them harmless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import chain, islice
from typing import Any, cast

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum

from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors.shared.values import FIELDS, NAME, PREVIEW_COLUMNS, PREVIEW_ROWS, plain
from uploads.processing.processors.table import xlsx_bounds

SHEETS = 200
# More distinct values than this are not counted.
DISTINCT = 10_000
BATCH = 1_000
_KINDS: dict[type, str] = {
    bool: "boolean", int: "integer", str: "text", datetime: "datetime", date: "date", time: "time",
    timedelta: "duration",
}  # fmt: skip
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")


def summarise_xlsx(job: Context) -> dict[str, Json]:
    """The summary of a workbook's first sheet that is not empty: see table.process.

    Raises ProcessingError: corrupt_file, password_protected, too_complex.
    """
    with job.path.open("rb") as file:
        if file.read(8) == _OLE:
            raise ProcessingError("password_protected", "The workbook is locked with a password.")
    job.progress(5, "checking the workbook")
    xlsx_bounds.check(job.path)
    job.progress(40, "reading the workbook")
    try:
        return _summary(job)
    except PasswordError as error:
        raise ProcessingError("password_protected", "The workbook is locked with a password.") from error
    except CalamineError as error:
        raise _damaged(error) from error
    except BaseException as error:
        # A panic in the Rust library arrives as a BaseException that cannot be imported.
        if type(error).__name__ == "PanicException":
            raise _damaged(error) from error
        raise


def _damaged(error: BaseException) -> ProcessingError:
    return ProcessingError(
        "corrupt_file", "The workbook is damaged and cannot be read.", detail=str(error)[:2000]
    )


def _summary(job: Context) -> dict[str, Json]:
    with CalamineWorkbook.from_path(str(job.path)) as book:
        known = book.sheets_metadata
        shown, rows = "", 0
        columns: list[_Column] = []
        preview: list[list[Json]] = []
        header = False
        for index, one in enumerate(known):
            if one.typ != SheetTypeEnum.WorkSheet:
                continue
            sheet = book.get_sheet_by_index(index)
            if sheet.end is None:
                continue
            shown = one.name
            job.progress(60, "summing up the columns")
            rows, header, columns, preview = _read(sheet)
            break
    total = len(columns)
    return {
        "format": "xlsx",
        "rows": rows,
        "columns": total,
        "fields": [one.field(index) for index, one in enumerate(columns[:FIELDS])],
        "header": header,
        "sheets": [plain(one.name, NAME) for one in known[:SHEETS]],
        "sheet": plain(shown, NAME),
        "preview": preview,
        "findings": [] if shown else ["No sheet has a cell that is filled."],
    }


def _read(sheet: CalamineSheet) -> tuple[int, bool, list[_Column], list[list[Json]]]:
    """(rows without the header, whether there is one, columns, preview)."""
    rows = _filled(sheet)
    first = next(rows, [])
    header = bool(first) and all(isinstance(one, str) and one.strip() for one in first)
    columns = [_Column(str(one) if header else "") for one in first]
    preview: list[list[Json]] = []
    count = 0
    body = rows if header else chain([first] if first else [], rows)
    while batch := list(islice(body, BATCH)):
        count += len(batch)
        for row in batch[: PREVIEW_ROWS - len(preview)]:
            preview.append([_shown(cell) for cell in row[:PREVIEW_COLUMNS]])
        for column, cells in zip(columns[:FIELDS], zip(*batch, strict=True), strict=False):
            column.add(cells)
    return count, header, columns, preview


def _shown(cell: object) -> Json:
    """A cell of the preview: calamine gives "" for an empty one, and every number as a float."""
    if cell == "":
        return None
    return plain(int(cell) if isinstance(cell, float) and cell.is_integer() else cell)


def _filled(sheet: CalamineSheet) -> Iterator[list[object]]:
    """The rows from the first filled cell to the last, empty ones between them included."""
    start, end = sheet.start or (0, 0), sheet.end or (0, 0)
    skip = -1
    for row in sheet.iter_rows():
        if skip < 0:
            if all(one == "" for one in row):
                continue
            # Depending on its settings calamine gives columns from A, or from the first that is filled.
            skip = start[1] if len(row) > end[1] else 0
        yield list(row[skip:])


def _kind(cells: list[object], type_: type) -> str:
    """Our word for cells of one Python type."""
    if type_ is float:
        return "integer" if all(cast(float, one).is_integer() for one in cells) else "number"
    return _KINDS.get(type_, "text")


@dataclass(slots=True)
class _Column:
    """What is known of a column so far; `low` and `high` are by kind."""

    name: str
    nulls: int = 0
    low: dict[str, Any] = field(default_factory=dict)
    high: dict[str, Any] = field(default_factory=dict)
    seen: set[object] | None = field(default_factory=set)

    def add(self, cells: tuple[object, ...]) -> None:
        """Take the next cells of this column, from top to bottom."""
        filled = [one for one in cells if one != "" and one is not None]
        self.nulls += len(cells) - len(filled)
        for type_ in set(map(type, filled)):
            some = [one for one in filled if type(one) is type_]
            kind = _kind(some, type_)
            values = cast(list[Any], some)
            self.low[kind] = min([*values, self.low[kind]] if kind in self.low else values)
            self.high[kind] = max([*values, self.high[kind]] if kind in self.high else values)
        if self.seen is not None:
            self.seen.update(filled)
            if len(self.seen) > DISTINCT:
                self.seen = None

    def field(self, index: int) -> dict[str, Json]:
        kinds = set(self.low)
        kind = next(iter(kinds)) if len(kinds) == 1 else "mixed" if kinds else "empty"
        if kinds == {"integer", "number"}:
            kind = "number"
        elif kinds == {"date", "datetime"}:
            kind = "datetime"
        low, high = self.low.get(kind), self.high.get(kind)
        if kinds == {"integer", "number"}:
            low, high = min(self.low.values()), max(self.high.values())
        found: dict[str, Json] = {
            "name": plain(self.name, NAME) or f"column {index + 1}",
            "type": kind,
            "nulls": self.nulls,
            "min": _shown(low),
            "max": _shown(high),
        }
        if self.seen is not None:
            found["distinct"] = len(self.seen)
        return found
