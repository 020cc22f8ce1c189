"""JSON (RFC 8259) and newline-delimited JSON: is it valid, and if not, where does it break?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn

from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors.shared.encoding import Survey, chunks
from uploads.processing.processors.shared.values import NAME, plain

# Python's objects take up to twenty times the text: this much is read whole, and more by DuckDB if it can.
WHOLE = 16 << 20
CONTAINERS = 1_000_000
LINE = 8 << 20
KEYS = 50
MAX_DEPTH = 500
# A bracket, or a whole string (possessive: no backtracking, so no quadratic time on a quote never closed).
_TOKENS = re.compile(r'[\[\]{}]|"(?:[^"\\]++|\\.)*+"?', re.S)
_BREAK = re.compile(r"at byte (\d+) in record/value (\d+): ([^.\n]{1,200})")


def check_json(job: Context, found: Survey) -> dict[str, Json]:
    """`top` (object, array, string, …), `depth`, `keys` and `key_count`, or `items`.

    Over 16 MiB an array is checked item by item, in bounded memory and without depth; any other top gives
    `checked` false and a `note`. Raises ProcessingError: corrupt_file with line and column (in a large file
    item and byte), too_complex when nested over MAX_DEPTH.
    """
    if job.size <= WHOLE:
        text = "".join(chunks(job.path, found))
        return {"checked": True, "valid": True, **_parse(text, 1, deep=True)}
    start = next(chunks(job.path, found), "").lstrip()
    if not start.startswith("[") or not found.plain_utf8 or found.mark:
        return _unchecked("Only the beginning was looked at: it is too large to be parsed whole.")
    return _check_array(job)


def _unchecked(note: str) -> dict[str, Json]:
    return {"checked": False, "note": note}


def _check_array(job: Context) -> dict[str, Json]:
    """Validate a large array with DuckDB, which holds a few items at a time."""
    # Here and not above: texts are the work of the light zygote, which has no native library.
    import duckdb

    from uploads.processing.processors.shared.duckdb import OUR_FAULT, connection, literal

    path = str(job.path)
    query = (
        f"SELECT count(*) FROM read_json_objects({literal(path)}, format='array', "  # noqa: S608 - our own path
        f"maximum_object_size={LINE}, compression='none')"
    )
    try:
        with connection(path) as database:
            answer = database.execute(query).fetchone()
    except OUR_FAULT:
        raise
    except duckdb.Error as error:
        place = _BREAK.search(str(error))
        if place:
            message = f"The JSON breaks in item {place[2]} of its array, at byte {place[1]}: {place[3]}."
            raise ProcessingError("corrupt_file", message) from error
        return _unchecked(f"An item of the array is larger than {LINE >> 20} MiB, so it was not parsed.")
    return {"checked": True, "valid": True, "top": "array", "items": int(answer[0]) if answer else 0}


def check_lines(job: Context, found: Survey) -> dict[str, Json]:
    """`records` and `tops`, how many are of which type. Raises ProcessingError like check_json."""
    tops: dict[str, int] = {}
    records = 0
    for number, line in _lines(job, found):
        if line.strip():
            records += 1
            top = str(_parse(line, number)["top"])
            tops[top] = tops.get(top, 0) + 1
    return {"checked": True, "valid": True, "records": records, "tops": dict(tops)}


def _lines(job: Context, found: Survey) -> Iterator[tuple[int, str]]:
    """(number, line) of a text, lines bounded. A blank inside a record is no line end: only LF is."""
    rest, number = "", 0
    for text in chunks(job.path, found):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            number += 1
            yield number, line
        if len(rest) > LINE:
            raise ProcessingError("too_complex", f"Line {number + 1} is longer than {LINE >> 20} MiB.")
    if rest:
        yield number + 1, rest


def _parse(text: str, line: int, *, deep: bool = False) -> dict[str, Json]:
    """What one JSON text is; it starts on `line` of the file. `deep`: measure its depth too."""
    depth, containers = _measure(text) if deep else (0, 0)
    if depth > MAX_DEPTH:
        raise ProcessingError(
            "too_complex", f"The JSON is nested {depth:,} levels deep; {MAX_DEPTH} are the most."
        )
    if containers > CONTAINERS:
        raise ProcessingError("too_complex", f"The JSON holds {containers:,} lists and objects, too many.")
    try:
        value = json.loads(text, parse_constant=_constant, parse_int=_number, parse_float=_number)
    except json.JSONDecodeError as error:
        at = line + error.lineno - 1
        raise ProcessingError(
            "corrupt_file", f"The JSON breaks at line {at}, column {error.colno}: {error.msg}."
        ) from error
    except RecursionError as error:
        raise ProcessingError("too_complex", "The JSON is nested too deeply.") from error
    except _Constant as error:
        raise ProcessingError(
            "corrupt_file", f"The JSON on or after line {line} holds {error}, which is no JSON number."
        ) from error
    found: dict[str, Json] = {"top": _type(value)}
    if deep:
        found["depth"] = depth
    if isinstance(value, dict):
        found["keys"] = [plain(key, NAME) for key in list(value)[:KEYS]]
        found["key_count"] = len(value)
    elif isinstance(value, list):
        found["items"] = len(value)
    return found


class _Constant(ValueError):
    """NaN, Infinity or -Infinity: Python reads them, RFC 8259 does not know them."""


def _constant(name: str) -> NoReturn:
    raise _Constant(name)


def _number(digits: str) -> float:
    """Any number, without making an integer of a million digits."""
    return 0.0


def _measure(text: str) -> tuple[int, int]:
    """(how deep brackets nest, how many open) outside strings, told without recursion."""
    depth = deepest = opened = 0
    for found in _TOKENS.finditer(text):
        if found[0] in "[{":
            depth += 1
            opened += 1
            deepest = max(deepest, depth)
        elif found[0] in "]}":
            depth -= 1
    return deepest, opened


def _type(value: object) -> str:
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "null" if value is None else "number"
