"""Whether an XLSX (ECMA-376) may be opened at all: calamine builds a dense grid and copies shared strings.

Every XML part is streamed through expat once, counting what a reader would have to hold. A document type
is refused (part 2 of the standard forbids it), so entities never exist here and calamine never meets one.
"""

from __future__ import annotations

import errno
import re
import struct
import zipfile
import zlib
from array import array
from pathlib import Path
from xml.parsers import expat

from uploads.processing.base import ProcessingError

MAX_MEMBERS = 5_000
MAX_XML = 128 << 20
MAX_RATIO = 200
RATIO_FREE = 16 << 20
# Cells from A1 to the last one; calamine holds each in up to 80 bytes for a moment.
MAX_GRID = 3_000_000
MAX_TEXT = 64 << 20
MAX_DEPTH = 256
_STEP = 64 * 1024
_CELL = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
_XML = (".xml", ".rels", ".vml")


def check(path: Path) -> None:
    """Raise ProcessingError if the workbook is damaged, locked, or too large to open: see the codes below."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = _parts(archive, path.stat().st_size)
            shared = array("L")
            budget = [MAX_XML]
            # Strings before the sheets that repeat them, whatever the parts are called.
            roots = [(_root(archive, one), one) for one in parts]
            for _, one in sorted(roots, key=lambda pair: pair[0] != "sst"):
                _Part(one.filename, shared).read(archive, one, budget)
    except OSError as error:
        if error.errno != errno.EINVAL:  # zipfile seeks where a damaged directory sends it
            raise
        raise _broken(error) from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError) as error:
        raise _broken(error) from error


def _broken(error: Exception) -> ProcessingError:
    return ProcessingError(
        "corrupt_file", "The workbook is damaged: it cannot be unpacked.", detail=str(error)[:500]
    )


def _parts(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """The XML parts, once the directory's own claims are within bounds."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ProcessingError("too_complex", f"The workbook has {len(members):,} parts inside.")
    if any(one.flag_bits & 1 for one in members):
        raise ProcessingError("password_protected", "The workbook is locked with a password.")
    if sum(one.compress_size for one in members) > size:
        raise ProcessingError("too_complex", "Parts of the workbook overlap each other, as in a zip bomb.")
    parts = [one for one in members if one.filename.lower().endswith(_XML)]
    total = sum(one.file_size for one in parts)
    if total > MAX_XML or (total > RATIO_FREE and total > MAX_RATIO * size):
        raise _too_much(total)
    return parts


def _too_much(size: int) -> ProcessingError:
    return ProcessingError("too_complex", f"The workbook unpacks to {size >> 20:,} MiB of XML or more.")


class _Found(Exception):
    """The name of the root element is known."""


def _root(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    """The local name of a part's root element, "" if its beginning is no XML."""
    names: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        names.append(name.rpartition(":")[2])
        raise _Found

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        with archive.open(member) as file:
            parser.Parse(file.read(_STEP), False)
    except (expat.ExpatError, _Found):
        pass
    return names[0] if names else ""


class _Part:
    """One XML part on its way through expat. `shared` holds the length of each shared string."""

    def __init__(self, name: str, shared: array[int]) -> None:
        self._name, self._shared = name, shared
        self._root, self._depth = "", 0
        self._row, self._column, self._rows, self._columns, self._cells, self._text = 0, 0, 0, 0, 0, 0
        self._refers, self._index, self._length = False, "", 0

    def read(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: list[int]) -> None:
        """Stream the part. The size is counted, not believed: a directory may say less than there is."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        claimed, real = member.file_size, 0
        member.file_size = 1 << 40  # read to the end of the stream, as calamine does
        try:
            with archive.open(member) as file:
                while block := file.read(_STEP):
                    real += len(block)
                    budget[0] -= len(block)
                    if budget[0] < 0:
                        raise _too_much(MAX_XML)
                    parser.Parse(block, False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise ProcessingError(
                "corrupt_file", "The workbook is damaged: a part of it is not well-formed XML.",
                detail=f"{self._name}: {error}",
            ) from error  # fmt: skip
        finally:
            member.file_size = claimed
        if real != claimed:
            raise ProcessingError(
                "corrupt_file", "The workbook is damaged: a part has not the size it claims."
            )

    def _doctype(self, name: str, system: str | None, public: str | None, subset: bool) -> None:
        raise ProcessingError(
            "corrupt_file", "The workbook declares a document type or entities, which no real XLSX does.",
            detail=f"{self._name}: DOCTYPE {name[:80]} {(system or '')[:200]}",
        )  # fmt: skip

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        local = name.rpartition(":")[2]
        if self._depth == 1:
            self._root = local
        elif self._depth > MAX_DEPTH:
            raise ProcessingError("too_complex", "The workbook's XML is nested too deeply.")
        if self._root != "worksheet":
            return
        if local == "c":
            self._cell(attributes)
        elif local == "row":
            given = attributes.get("r", "")
            self._row = int(given) if given.isdecimal() and len(given) < 9 else self._row + 1
            self._column = 0

    def _cell(self, attributes: dict[str, str]) -> None:
        place = _CELL.fullmatch(attributes.get("r", ""))
        if place:
            self._column = 0
            for letter in place[1].upper():
                self._column = self._column * 26 + ord(letter) - 64
            self._row = int(place[2])
        else:
            self._column += 1
        self._rows, self._columns = max(self._rows, self._row), max(self._columns, self._column)
        self._cells += 1
        self._refers, self._index = attributes.get("t") == "s", ""
        grid = max(self._rows * self._columns, self._cells)
        if grid > MAX_GRID:
            raise ProcessingError(
                "too_complex",
                f"A sheet reaches over {self._rows:,} rows of {self._columns:,} columns, too many.",
            )

    def _characters(self, text: str) -> None:
        if self._root == "sst":
            self._length += len(text)
        elif self._refers and len(self._index) < 12:
            self._index += text

    def _end(self, name: str) -> None:
        self._depth -= 1
        local = name.rpartition(":")[2]
        if self._root == "sst":
            if local == "si":
                self._shared.append(self._length)
                self._length = 0
        elif self._refers and local == "c":
            index = self._index.strip()
            if index.isdecimal() and int(index) < len(self._shared):
                self._text += self._shared[int(index)]
            if self._text > MAX_TEXT:
                raise ProcessingError("too_complex", f"A sheet repeats over {MAX_TEXT >> 20} MiB of text.")
            self._refers = False
