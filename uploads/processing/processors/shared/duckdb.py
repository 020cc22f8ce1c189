"""DuckDB on a leash: one path, bounded memory, no disk, no network, no extensions, no way to loosen it.

https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from uploads.processing.base import Json
from uploads.processing.processors.shared.values import CELL, NAME, plain

MEMORY = 192 << 20
# Columns summed up in one pass: each costs up to 300 KiB of vectors while it is cast and compared.
PER_PASS = 128

# DuckDB's type -> (the word of ours, whether it is ordered and cheap to compare)
_WORDS = {
    "BOOLEAN": "boolean",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "integer"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "integer"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "number"),
    "DATE": "date",
    **dict.fromkeys(("TIME", "TIME WITH TIME ZONE", "TIME_NS"), "time"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S"), "datetime"),
    **dict.fromkeys(("TIMESTAMP_MS", "TIMESTAMP_NS"), "datetime"),
    "VARCHAR": "text",
    "UUID": "text",
    "BLOB": "binary",
}


def word(type_name: str) -> str:
    """Our word for a type of DuckDB: integer, number, date, time, datetime, boolean, text, binary, nested."""
    if type_name.startswith("DECIMAL"):
        return "number"
    nested = type_name.endswith("]") or type_name.startswith(("STRUCT", "MAP", "UNION"))
    return "nested" if nested else _WORDS.get(type_name, "other")


def literal(value: str) -> str:
    """A string as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


# What DuckDB raises when we ask wrongly. All its other errors come from the file.
OUR_FAULT = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.PermissionException,
    duckdb.InterruptException,
)


@contextmanager
def connection(path: str, *, threads: int = 2) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that may read `path` and nothing else. Raises RuntimeError."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads,
        "async_threads": 1,
        "memory_limit": f"{MEMORY >> 20}MiB",
        "temp_directory": "",  # no spilling: a summary has nothing to spill
        "home_directory": "/nonexistent",
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "enable_external_file_cache": False,
        "preserve_insertion_order": False,
    }
    try:
        opened = duckdb.connect(":memory:", config=config)
        opened.execute(f"SET allowed_paths = [{literal(path)}]")
        opened.execute("SET enable_progress_bar = false")  # else it writes on stdout after two seconds
        opened.execute("SET TimeZone = 'UTC'")
        opened.execute("SET enable_external_access = false")
        opened.execute("SET lock_configuration = true")
    except duckdb.Error as error:  # never to be taken for a fault of the file
        raise RuntimeError(f"DuckDB cannot be locked down: {error}") from error
    try:
        yield opened
    finally:
        opened.close()


@dataclass(frozen=True, slots=True)
class Column:
    """One column to sum up: `source` is SQL for its value as it is read, `name` what the file calls it.

    `cast` is SQL for the value in the type that the sample suggests ("" for text or a typed source), `wider`
    in the type to fall back to.
    """

    name: str
    source: str
    kind: str = "text"
    cast: str = ""
    wider: str = ""
    decimal_comma: bool = False


def aggregate(database: duckdb.DuckDBPyConnection, columns: list[Column], table: str) -> list[Any]:
    """The raw figures of `table`, an SQL expression, in one pass. Raises duckdb.Error."""
    parts = ["count(*)", *(sql for column in columns for sql, _ in _aggregates(column))]
    answer = database.execute(f"SELECT {', '.join(parts)} FROM {table}").fetchone()  # noqa: S608
    return list(answer or [0] * len(parts))


def merge(columns: list[Column], one: list[Any], other: list[Any]) -> list[Any]:
    """The raw figures of two parts of a table together; how many values are distinct is then unknown."""
    ways = ["sum", *(way for column in columns for _, way in _aggregates(column))]
    return [_WAYS[way](left, right) for way, left, right in zip(ways, one, other, strict=True)]


def _either(choose: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: right if left is None else left if right is None else choose(left, right)


_WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": operator.add,
    "min": _either(min),
    "max": _either(max),
    "distinct": lambda left, right: None,
}


def fields(columns: list[Column], values: list[Any]) -> list[dict[str, Json]]:
    """What the raw figures say of each column: name, type, nulls, min, max, about how many are distinct.

    A column is of its kind only if every value is; else of the wider kind, else text.
    """
    found: list[dict[str, Json]] = []
    at = 1
    for column in columns:
        count = len(_aggregates(column))
        found.append(_field(column, int(values[0]), values[at : at + count]))
        at += count
    return found


def _aggregates(column: Column) -> list[tuple[str, str]]:
    """(SQL, how two such figures become one) of a column."""
    source = column.source
    parts = [(f"count({source})", "sum")]
    if column.kind in {"nested", "other", "binary"}:
        return parts
    parts.append((f"approx_count_distinct({source})", "distinct"))
    parts += _range(source, column.kind if not column.cast else "text")
    for cast, kind in ((column.cast, column.kind), (column.wider, "number")):
        if cast:
            parts += [(f"count({cast})", "sum"), *_range(cast, kind)]
    return parts


def _range(value: str, kind: str) -> list[tuple[str, str]]:
    """min and max; what Python would have to build an object for comes as text."""
    if kind in {"integer", "number", "boolean"}:
        return [(f"{which}({value})", which) for which in ("min", "max")]
    return [(f"left(CAST({which}({value}) AS VARCHAR), {CELL + 1})", which) for which in ("min", "max")]


def _field(column: Column, rows: int, values: list[Any]) -> dict[str, Json]:
    present = int(str(values[0]))
    field: dict[str, Json] = {
        "name": plain(column.name, NAME),
        "type": column.kind,
        "nulls": rows - present,
        "min": None,
        "max": None,
    }
    if len(values) == 1:
        return field
    if values[1] is not None:
        field["distinct"] = min(present, int(str(values[1])))
    chosen, kind = values[2:4], "text" if column.cast else column.kind
    candidates = [(column.kind, values[4:7]), ("number", values[7:10])] if column.cast else []
    for word_, found in candidates:
        if len(found) == 3 and present and found[0] == present:
            chosen, kind = found[1:], word_
            break
    field["type"] = kind if present else "empty"
    if kind == "datetime":  # DuckDB writes a space where ISO 8601 has a T
        chosen = [str(one).replace(" ", "T", 1) if one is not None else None for one in chosen]
    field["min"], field["max"] = plain(chosen[0]), plain(chosen[1])
    if column.decimal_comma and kind == "number":
        field["decimal_comma"] = True
    return field
