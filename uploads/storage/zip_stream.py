"""Many files as one zip (PKWARE's APPNOTE 6.3), made while it is sent: no more than a piece is in memory.

Entries are deflated at level 0, that is, not compressed: unlike "stored" ones their end shows in the data, so
that even programs which unpack a stream can read them without knowing sizes beforehand.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

PIECE = 256 * 1024
LEFT_OUT = "not-included.txt"
_EARLIEST, _LATEST = 1980, 2107  # years a zip can tell


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: the name it gets, where its bytes are, when it came. `path` None: it has no file."""

    name: str
    path: Path | None
    modified: datetime


class _Outlet:
    """What zipfile writes to: it cannot seek, and is emptied after each write."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back,"""

    def close(self) -> None:
        """and nothing is open."""

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def stream(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The bytes of a zip with these files, in order. What has no file is named in a text at its end.

    Names that occur again get a number. Raises OSError in mid-stream where a file cannot be read to its end:
    the zip is then cut short, which every reader notices.
    """
    outlet, taken, missing = _Outlet(), {LEFT_OUT.casefold()}, []
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:
        for entry in entries:
            try:
                file = entry.path.open("rb") if entry.path else None
            except FileNotFoundError:
                file = None
            if file is None:
                missing.append(entry.name)
                continue
            info = zipfile.ZipInfo(_unique(entry.name, taken), _time(entry.modified))
            info.compress_type = zipfile.ZIP_DEFLATED
            info._compresslevel = 0  # type: ignore[attr-defined]  # 3.13 calls it compress_level, and reads both
            info.external_attr = 0o644 << 16
            with file, archive.open(info, "w", force_zip64=True) as into:
                while piece := file.read(PIECE):
                    into.write(piece)
                    yield outlet.take()
            yield outlet.take()
        if missing:
            archive.writestr(LEFT_OUT, "\n".join(missing) + "\n")
    yield outlet.take()


def _unique(name: str, taken: set[str]) -> str:
    """A name no other entry has, on file systems that fold case too; `taken` learns it."""
    name = name.replace("/", "_").replace("\\", "_").strip(". ") or "file"
    stem, dot, suffix = name.rpartition(".")
    if not (dot and stem):
        stem, suffix = name, ""
    unique, number = name, 1
    while unique.casefold() in taken:
        number += 1
        unique = f"{stem} ({number})" + (f".{suffix}" if suffix else "")
    taken.add(unique.casefold())
    return unique


def _time(moment: datetime) -> tuple[int, int, int, int, int, int]:
    at = moment.astimezone(ZoneInfo("UTC"))
    if not _EARLIEST <= at.year <= _LATEST:
        return (_EARLIEST, 1, 1, 0, 0, 0)
    return (at.year, at.month, at.day, at.hour, at.minute, at.second)
