"""tar (POSIX.1-2017 pax, GNU and old): headers through tarfile, without trusting a size in them."""

from __future__ import annotations

import errno
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, cast

from uploads.processing.base import MIB, ProcessingError
from uploads.processing.processors.archive.budget import MAX_BYTES, Budget, human
from uploads.processing.processors.archive.inflate import Readable
from uploads.processing.processors.archive.inventory import Entry, Inventory
from uploads.processing.sanitize import clean_text

# tarfile reads long names and pax records whole into memory.
_HEADER_BYTES = MIB
_HEADER_TYPES = {
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}  # fmt: skip


def is_tar(head: bytes) -> bool:
    """Whether the first 512 bytes are a tar header with a right check sum."""
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def read_tar(
    source: Readable,
    inventory: Inventory,
    budget: Budget,
    length: int | None,
    progress: Callable[[int], None],
) -> None:
    """Take down all entries of the tar in `source`.

    `length` in bytes is given for a file that can seek; a compressed stream is read through. Raises
    ProcessingError: corrupt_file with the place where it breaks, too_complex; and BudgetSpent.
    """
    ending: list[tarfile.HeaderError] = []
    tar: tarfile.TarFile | None = None
    try:
        tar = _open(source, length, _header_class(ending))
        _walk(tar, inventory, budget, length, progress)
    except RecursionError as error:
        message = "The tar chains too many extended headers to one entry."
        raise ProcessingError("too_complex", message) from error
    except OSError as error:
        if error.errno not in {None, errno.EINVAL}:  # seeking to a negative place is the file's fault
            raise
        raise _broken(tar, inventory, error) from error
    except (tarfile.TarError, ValueError, IndexError, KeyError, OverflowError, EOFError) as error:
        raise _broken(tar, inventory, error) from error
    _check_ending(tar, ending[-1] if ending else None, inventory)


def _open(source: Readable, length: int | None, header: type[tarfile.TarInfo]) -> tarfile.TarFile:
    # Of a file read in the mode with a bar tarfile asks for nothing but read().
    file = cast(IO[bytes], source)
    if length is None:
        return tarfile.open(fileobj=file, mode="r|", tarinfo=header)
    return tarfile.open(fileobj=file, mode="r:", tarinfo=header)


def _header_class(ending: list[tarfile.HeaderError]) -> type[tarfile.TarInfo]:
    """Return a TarInfo that refuses headers of absurd size, and notes in `ending` why reading stopped.

    tarfile itself treats a damaged header behind the first as the archive's end, silently.
    """

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
            try:
                found = super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                ending.append(error)
                raise
            if found.size < 0:
                raise tarfile.ReadError("negative size")
            if found.type in _HEADER_TYPES and found.size > _HEADER_BYTES:
                message = f"The tar has a name or an extended header of {human(found.size)}."
                raise ProcessingError("too_complex", message)
            return found

    return Header


def _walk(
    tar: tarfile.TarFile,
    inventory: Inventory,
    budget: Budget,
    length: int | None,
    progress: Callable[[int], None],
) -> None:
    place = 0
    while (member := tar.next()) is not None:
        # tarfile keeps every member it has seen; of a million we need none.
        vars(tar)["members"].clear()
        name = clean_text(member.name, 80)
        if member.size < 0 or tar.offset <= place:
            raise tarfile.ReadError(f"impossible size of {name}")
        place = tar.offset
        if length is not None and place > length:
            message = f'The tar is cut short: "{name}" ends at byte {place:,}, but the file at {length:,}.'
            raise ProcessingError("corrupt_file", message)
        if place > MAX_BYTES:
            message = (
                f'"{name}" in the tar is said to have {human(member.size)}; that is more than is accepted.'
            )
            raise ProcessingError("too_complex", message)
        inventory.add(_entry(member))
        budget.spend(0)
        progress(place)


def _entry(member: tarfile.TarInfo) -> Entry:
    kind = "file" if member.isreg() else "dir" if member.isdir() else "other"
    if member.issym() or member.islnk():
        kind = "link"
    return Entry(
        name=member.name,
        kind=kind,
        size=member.size if kind == "file" else 0,
        modified=_moment(member.mtime),
        link=member.linkname if kind == "link" else "",
        hard=member.islnk(),
    )


def _moment(seconds: float) -> str | None:
    """Return seconds since 1970 as ISO 8601 in UTC; None for none and for what no calendar has."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def _broken(tar: tarfile.TarFile | None, inventory: Inventory, error: Exception) -> ProcessingError:
    place, entries = tar.offset if tar is not None else 0, inventory.entries
    message = f"The tar is damaged: it breaks after {entries:,} entries, near byte {place:,}."
    if "unexpected end" in str(error) or "truncated" in str(error):
        message = f"The tar is cut short: it breaks after {entries:,} entries, near byte {place:,}."
    return ProcessingError(
        "corrupt_file", message, detail=f"{type(error).__name__}: {clean_text(error, 300)}"
    )


def _check_ending(tar: tarfile.TarFile, ending: tarfile.HeaderError | None, inventory: Inventory) -> None:
    """Hold the reason for which reading stopped against what the format asks for: two blocks of zeros."""
    # By name, since type checkers do not know these kinds of HeaderError.
    reason = type(ending).__name__
    if ending is None or reason == "EOFHeaderError":
        return
    if reason == "EmptyHeaderError":
        if inventory.entries == 0:
            raise ProcessingError("corrupt_file", "The tar is empty, without even an end marker.")
        message = "The tar has no end marker; if it was cut, then exactly between two entries."
        inventory.find("no_end_marker", "", message)
        return
    raise _broken(tar, inventory, ending)


def drain(source: Readable) -> None:
    """Read what is left, so that a compressed stream's last check sum is looked at too."""
    while source.read(65536):
        pass
