"""Which kind of text a file is, from its first bytes and its name: a table, JSON, markup or plain."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter

from uploads.processing.detection.extensions import BY_NAME, extension, family

CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
NDJSON = "application/x-ndjson"
PLAIN = "text/plain"

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Bytes that no text holds: controls except \b, \t, \n, \v, \f, \r and escape.
_CONTROLS = bytes(set(range(32)) - {8, 9, 10, 11, 12, 13, 27}) + b"\x7f"
_HTML = re.compile(
    r"<(!doctype\s+html|html|head|script|iframe|h1|div|font|table|style|title|body|br|p|a|b)[\s>/]", re.I
)
_ROOT = re.compile(r"<([A-Za-z_][\w.:-]*)")
_OBJECT = re.compile(r'\s*\[?\s*\{\s*("(?:[^"\\\x00-\x1f]|\\.){0,500}"\s*:|\}\s*\]?\s*\Z)')
_ARRAY = re.compile(r'\s*\[\s*(\[|\]|"|-?\d|true\b|false\b|null\b)')


def bom(head: bytes) -> tuple[bytes, str]:
    """The byte order mark at the start and the Python codec it stands for; (b"", "") where there is none."""
    return next(((mark, codec) for mark, codec in _BOMS if head.startswith(mark)), (b"", ""))


def wide(head: bytes) -> str:
    """The codec of UTF-16 without a mark, told by the zero halves of ASCII characters; "" if it is none."""
    even, odd = head[0::2], head[1::2]
    if len(head) < 4:
        return ""
    for codec, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros.count(0) >= len(zeros) * 0.7 and others.count(0) <= len(others) * 0.05:
            return codec
    return ""


def clean_utf8(head: bytes) -> bool:
    """Whether these bytes are UTF-8 (perhaps cut in the last character) without control characters."""
    if head.translate(None, _CONTROLS) != head:
        return False
    try:
        codecs.utf_8_decode(head, "strict", False)  # not final: the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def is_text(head: bytes, filename: str) -> bool:
    """Whether a person would call these bytes text. Damage (NULs in a CSV) of up to 2 % is forgiven,
    of up to 20 % where the name says that it is a text."""
    if bom(head)[1] or wide(head):
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    forgiven = 0.2 if family(BY_NAME.get(extension(filename), "")) == "text" else 0.02
    return controls == 0 or (controls <= len(head) * forgiven and b"\n" in head and _readable(head))


def _readable(head: bytes) -> bool:
    """Whether most bytes are ASCII: damaged text is, a compressed stream with few zeros is not."""
    return sum(head.translate(None, _CONTROLS).count(one) for one in range(32, 127)) > len(head) * 0.6


def text_kind(head: bytes, whole: bool, filename: str) -> str:
    """The content type of a text; `whole` says that `head` is all of the file. Raises nothing."""
    mark, codec = bom(head)
    text = head[len(mark) :].decode(codec or wide(head) or "utf-8", errors="replace")
    promised = BY_NAME.get(extension(filename), "")
    start = text.lstrip()
    markup = _markup(start) if start.startswith("<") else ""
    if markup:
        return markup
    if promised in {CSV, TSV}:
        return promised
    found = _json_kind(text, whole, promised)
    if found:
        return found
    return PLAIN if promised else _table_kind(text, whole)


def _markup(start: str) -> str:
    """The kind of a text that starts with "<"; nothing is parsed, least of all entities."""
    if _HTML.match(start):
        return "text/html"
    xml = start.startswith("<?xml")
    at = 0
    while start.startswith(("<?", "<!"), at):
        if start.startswith("<!--", at):
            end = start.find("-->", at + 4)
        elif start.startswith("<!DOCTYPE", at):
            xml = True
            close, subset = start.find(">", at), start.find("[", at)
            end = start.find("]", subset) if 0 <= subset < close else at
            end = start.find(">", end) if end >= 0 else -1
        else:
            end = start.find(">", at)
        if end < 0:
            return "application/xml" if xml else ""
        at = start.find("<", end)
        if at < 0:
            return "application/xml" if xml else ""
    if _HTML.match(start, at):
        return "text/html"
    root = _ROOT.match(start, at)
    if root and root[1].rpartition(":")[2].lower() == "svg":
        return "image/svg+xml"
    return "application/xml" if xml or (root and "xmlns" in start[at : at + 2000]) else ""


def _json_kind(text: str, whole: bool, promised: str) -> str:
    """JSON or NDJSON, where the name or the content claims it, be it broken or not; "" otherwise."""
    claimed = promised if promised in {JSON, NDJSON} else ""
    if not (_OBJECT.match(text) or _ARRAY.match(text)):
        return claimed
    start = len(text) - len(text.lstrip())
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except RecursionError:
        return claimed or JSON
    except ValueError as error:
        cut = not whole and getattr(error, "pos", 0) > len(text) * 0.5
        # A broken JSON is one only if nobody says that it is something else (a log, a script, a note).
        return claimed or (JSON if cut or (not promised and _OBJECT.match(text)) else "")
    rest = text[end:]
    if not rest.strip():
        return claimed or JSON
    following = rest.lstrip()[0]
    if "\n" in rest[: len(rest) - len(rest.lstrip())] and following in "{[":
        return NDJSON if promised != JSON else JSON
    return claimed


def _table_kind(text: str, whole: bool) -> str:
    """CSV or TSV if the first lines split into as many cells each, for a file whose name says nothing."""
    lines = text.splitlines()[: 21 if whole else -1][:20]
    if len(lines) < 3:
        return PLAIN
    for delimiter, fewest in (("\t", 2), (";", 2), (",", 3 if len(lines) < 5 else 2)):
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        except csv.Error:
            continue
        if len(widths) == 1 and next(iter(widths)) >= fewest:
            return TSV if delimiter == "\t" else CSV
    return PLAIN
