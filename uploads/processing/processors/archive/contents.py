"""Unpack what a zip holds into nothing, within a budget: are sizes and check sums what its directory says?"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

from uploads.processing.base import MIB, ProcessingError
from uploads.processing.processors.archive.budget import MAX_DEPTH, Budget, human, refuse_bomb
from uploads.processing.processors.archive.decoders import (
    STREAMS,
    Decoder,
    Stored,
    ZipLzma,
    ZlibDecoder,
    stream_kind,
)
from uploads.processing.processors.archive.inflate import Inflated
from uploads.processing.processors.archive.inventory import Entry, Inventory
from uploads.processing.processors.archive.zips import ENCRYPTED, LOCAL, kind_of, read_directory
from uploads.processing.sanitize import clean_text

_LOCAL_MAGIC = b"PK\x03\x04"
_UTF8 = 0x800
_END_MARKER = 0x2
# Archives inside the archive are weighed, not listed, up to this size: the layers of a bomb are small.
_NESTED_BYTES = 4 * MIB
_LINK_BYTES = 4096


def check_zip(
    file: BinaryIO,
    directory: list[zipfile.ZipInfo],
    inventory: Inventory,
    budget: Budget,
    progress: Callable[[int, int], None],
) -> list[str]:
    """Unpack every entry that is not encrypted; return the names of those whose method is not known.

    Raises ProcessingError: corrupt_file for data that break or a wrong check sum, too_complex for an entry
    that is larger than declared or hides a bomb; BudgetSpent.
    """
    unknown: list[str] = []
    for index, one in enumerate(directory):
        kind = kind_of(one)
        budget.spend(0)
        if one.flag_bits & ENCRYPTED or (kind == "dir" and not one.compress_size):
            continue
        section = _contents(file, one, inventory)
        new_decoder = _decoder(one)
        if new_decoder is None:
            unknown.append(one.filename)
            continue
        name = clean_text(one.filename, 80)
        stream = Inflated(section, new_decoder, budget, f'"{name}" in the zip')
        kept = _unpack(stream, one, name)
        if kind == "link":
            target = kept[:_LINK_BYTES].decode("utf-8", "replace")
            entry = Entry(one.orig_filename, "link", one.file_size, link=target)
            inventory.look_at_link(entry)
        elif len(kept) == one.file_size:
            _weigh(kept, 1, budget)
        progress(index + 1, len(directory))
    return unknown


class Section:
    """The packed bytes of one entry: `length` bytes of `file` from its present place."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def read(self, size: int, /) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _contents(file: BinaryIO, one: zipfile.ZipInfo, inventory: Inventory | None) -> Section:
    """Move `file` behind the local header of an entry and return its packed bytes.

    Raises ProcessingError(corrupt_file) where no local header is; a name that differs is a finding.
    """
    file.seek(one.header_offset)
    header = file.read(LOCAL.size)
    if len(header) < LOCAL.size or not header.startswith(_LOCAL_MAGIC):
        name = clean_text(one.filename, 80)
        message = f'The zip is damaged: "{name}" should begin at byte {one.header_offset:,}, but does not.'
        raise ProcessingError("corrupt_file", message)
    _, name_length, extra_length = LOCAL.unpack(header)
    raw_name = file.read(name_length)
    if inventory is not None and raw_name != _raw_name(one):
        shown = clean_text(raw_name, 80)
        inventory.find("name_mismatch", one.filename, f'In front of its data it is called "{shown}" instead.')
    file.seek(extra_length, io.SEEK_CUR)
    return Section(file, one.compress_size)


def _raw_name(one: zipfile.ZipInfo) -> bytes:
    return one.orig_filename.encode("utf-8" if one.flag_bits & _UTF8 else "cp437", "replace")


def _decoder(one: zipfile.ZipInfo) -> Callable[[], Decoder] | None:
    if one.compress_type == zipfile.ZIP_STORED:
        return lambda: Stored(one.compress_size)
    if one.compress_type == zipfile.ZIP_DEFLATED:
        return lambda: ZlibDecoder(-zlib.MAX_WBITS)
    if one.compress_type == zipfile.ZIP_BZIP2:
        return STREAMS["bzip2"][1]
    if one.compress_type == zipfile.ZIP_LZMA:
        return lambda: ZipLzma(-1 if one.flag_bits & _END_MARKER else one.file_size)
    return None


def _unpack(stream: Inflated, one: zipfile.ZipInfo, name: str) -> bytes:
    """Read an entry to its end and check it; return its contents if they may be an archive or a link."""
    crc = 0
    kept = bytearray()
    keep = one.file_size <= _NESTED_BYTES
    while piece := stream.read():
        if stream.size > one.file_size:
            message = (
                f'The zip lies: "{name}" unpacks to more than the {human(one.file_size)} it is said to have.'
            )
            raise ProcessingError("too_complex", message)
        crc = zlib.crc32(piece, crc)
        if keep:
            kept += piece
            keep = len(kept) > len(piece) or _nested_kind(piece) != "" or stream.size <= _LINK_BYTES
    if stream.size < one.file_size:
        message = f'The zip is damaged: "{name}" has {stream.size:,} bytes instead of {one.file_size:,}.'
        raise ProcessingError("corrupt_file", message)
    if crc != one.CRC:
        raise ProcessingError("corrupt_file", f'The zip is damaged: "{name}" fails its check sum.')
    return bytes(kept)


def _nested_kind(head: bytes) -> str:
    return "zip" if head.startswith(_LOCAL_MAGIC) else stream_kind(head)


def _weigh(data: bytes, depth: int, budget: Budget) -> None:
    """Add up what archives inside archives claim to hold; damage inside them is not the outer one's fault.

    Raises ProcessingError(too_complex) for a bomb or too many layers; BudgetSpent.
    """
    kind = _nested_kind(data)
    if not kind:
        return
    if depth > MAX_DEPTH:
        message = f"The archive holds archives in archives, more than {MAX_DEPTH} deep."
        raise ProcessingError("too_complex", message)
    try:
        if kind == "zip":
            _weigh_zip(data, depth, budget)
        else:
            inner = Inflated(io.BytesIO(data), STREAMS[kind][1], budget, "An inner stream", STREAMS[kind][0])
            _weigh(_first_bytes(inner), depth + 1, budget)
            inner.drain()
    except ProcessingError as error:
        if error.code != "corrupt_file":
            raise


def _weigh_zip(data: bytes, depth: int, budget: Budget) -> None:
    directory = read_directory(io.BytesIO(data), len(data))
    budget.declared += sum(one.file_size for one in directory)
    refuse_bomb(budget.declared, budget.packed)
    file = io.BytesIO(data)
    for one in directory:
        new_decoder = _decoder(one)
        if one.flag_bits & ENCRYPTED or one.file_size > _NESTED_BYTES or new_decoder is None:
            continue
        section = _contents(file, one, None)
        _weigh(_first_bytes(Inflated(section, new_decoder, budget, "An inner entry")), depth + 1, budget)


def _first_bytes(stream: Inflated) -> bytes:
    """Return the whole of an inner archive, at most 4 MiB; nothing of what is no archive."""
    head = stream.read()
    if not _nested_kind(head):
        return b""
    kept = bytearray(head)
    while len(kept) < _NESTED_BYTES and (piece := stream.read()):
        kept += piece
    return bytes(kept)
