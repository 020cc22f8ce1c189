"""ZIP (PKWARE's APPNOTE 6.3): the central directory through zipfile, the contents through our own bounds.

zipfile believes what the directory says of sizes and places; here each claim is held against the file.
"""

from __future__ import annotations

import codecs
import errno
import io
import stat
import struct
import zipfile
from typing import cast

from uploads.processing.base import MIB, ProcessingError
from uploads.processing.processors.archive.inventory import Entry, Inventory
from uploads.processing.sanitize import clean_text

# zipfile reads the whole central directory and makes about 500 bytes of each entry (46 bytes or more):
# 700,000 entries at the very most, in 350 MB.
MAX_DIRECTORY = 32 * MIB

ENCRYPTED = 0x1
LOCAL = struct.Struct("<4s22xHH")
# Before zipfile names an entry without the UTF-8 flag; looked up now, since a sandbox imports nothing.
codecs.lookup("cp437")


class _GuardedFile(io.BufferedReader):
    """A file that gives no more than MAX_DIRECTORY at once, which is how zipfile reads a directory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            message = f"The zip's directory is {size:,} bytes long; at most {MAX_DIRECTORY:,} are accepted."
            raise ProcessingError("too_complex", message)
        return super().read(size)


def read_directory(raw: io.FileIO | io.BytesIO, size: int) -> list[zipfile.ZipInfo]:
    """Return the central directory of the `size` bytes in `raw`, which is closed.

    Raises ProcessingError: corrupt_file for a directory that is missing or damaged, too_complex for one that
    is too long, or for entries that lie over each other.
    """
    try:
        with _GuardedFile(cast(io.RawIOBase, raw)) as file, zipfile.ZipFile(file) as archive:
            _check_places(archive, size)
            return archive.filelist
    except zipfile.BadZipFile as error:
        if "not a zip" in str(error):
            message = f"The zip is cut short: it ends at byte {size:,} without its directory."
        else:
            message = f"The zip's directory is damaged: {clean_text(error, 100)}."
        raise ProcessingError("corrupt_file", message, detail=str(error)) from error
    except OSError as error:
        if error.errno not in {None, errno.EINVAL}:  # a negative place is the file's fault
            raise
        raise _bad_directory(error) from error
    except (struct.error, ValueError, IndexError, OverflowError, NotImplementedError) as error:
        raise _bad_directory(error) from error


def _bad_directory(error: Exception) -> ProcessingError:
    detail = f"{type(error).__name__}: {error}"
    return ProcessingError("corrupt_file", "The zip's directory is damaged.", detail=detail)


def _check_places(archive: zipfile.ZipFile, size: int) -> None:
    """Hold the places of all entries against each other (CVE-2024-0450) and against the file's end."""
    spans = sorted(
        (
            one.header_offset,
            one.header_offset + LOCAL.size + len(one.orig_filename) + one.compress_size,
            index,
        )
        for index, one in enumerate(archive.filelist)
    )
    end_of_all = min(archive.start_dir, size)
    previous_end, previous = 0, ""
    for start, end, index in spans:
        name = clean_text(archive.filelist[index].filename, 80)
        if start < 0 or end > end_of_all:
            message = (
                f'The zip is damaged: "{name}" should lie at bytes {start:,} to {end:,}, '
                f"but the data end at {end_of_all:,}."
            )
            raise ProcessingError("corrupt_file", message)
        if start < previous_end:
            message = f'The zip is a bomb: "{name}" lies over "{previous}" at byte {start:,}.'
            raise ProcessingError("too_complex", message)
        previous_end, previous = end, name


def take_stock(directory: list[zipfile.ZipInfo], inventory: Inventory) -> None:
    """Take down all entries. Raises ProcessingError: password_protected when every file is encrypted."""
    for one in directory:
        inventory.add(
            Entry(
                name=one.orig_filename,
                kind=kind_of(one),
                size=one.file_size,
                packed=one.compress_size,
                modified=_moment(one.date_time),
                encrypted=bool(one.flag_bits & ENCRYPTED),
            )
        )
    if inventory.encrypted and inventory.encrypted >= inventory.kinds["file"] + inventory.kinds["link"]:
        raise ProcessingError("password_protected", "Every file in the zip is locked with a password.")


def kind_of(one: zipfile.ZipInfo) -> str:
    """Return file, dir, link or other; Unix modes count only where a Unix wrote them."""
    if one.orig_filename.endswith("/"):
        return "dir"
    mode = one.external_attr >> 16 if one.create_system in {3, 19} else 0
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "dir"
    return "file" if stat.S_ISREG(mode) or not stat.S_IFMT(mode) else "other"


def _moment(parts: tuple[int, int, int, int, int, int]) -> str | None:
    """Return a local time without zone in ISO 8601; None for the many zips without one."""
    year, month, day, hour, minute, second = parts
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return None
    if (year, month, day) == (1980, 1, 1):
        return None
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
