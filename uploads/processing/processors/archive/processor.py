"""Archives: zip, tar, and gzip, bzip2 or xz around a tar or around a single file. Nothing is extracted.

Takes one archive; gives counts, sizes, the first entries, what is odd about them (paths and links that would
lead out, names that collide, inner archives), and whether its contents were checked; `listing.txt` holds
up to 100,000 entries. Formats: PKWARE's APPNOTE, POSIX pax, RFC 1952, the bzip2 and xz file formats.
"""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import PurePosixPath

from uploads.processing.base import MIB, Context, Json, Limits, ProcessingError
from uploads.processing.processors.archive.budget import MAX_DEPTH, Budget, BudgetSpent
from uploads.processing.processors.archive.contents import check_zip
from uploads.processing.processors.archive.decoders import STREAMS, stream_kind
from uploads.processing.processors.archive.inflate import Inflated, Peeked, Readable
from uploads.processing.processors.archive.inventory import Entry, Inventory
from uploads.processing.processors.archive.tars import drain, is_tar, read_tar
from uploads.processing.processors.archive.zips import read_directory, take_stock

_ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
TYPES = (
    *_ZIP_TYPES, "application/x-tar", "application/gzip",
    "application/x-gzip", "application/x-bzip2", "application/x-bzip", "application/x-xz",
    "application/x-gtar", "application/x-compressed-tar",
)  # fmt: skip
LIMITS = Limits(memory_bytes=768 * MIB, cpu_seconds=60, wall_seconds=90, output_bytes=16 * MIB)

_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_TAR_NAMES = {"gzip": "tar.gz", "bzip2": "tar.bz2", "xz": "tar.xz"}


def process(job: Context) -> dict[str, Json]:
    """Take stock of one archive, check its contents within bounds, leave `listing.txt`.

    Raises ProcessingError: corrupt_file with the place where it breaks, password_protected when every file in
    a zip is encrypted, too_complex for bombs, overlapping or lying entries, and too much of anything.
    """
    inventory = Inventory(packed=job.size)
    with job.path.open("rb") as file:
        head = file.read(2 * tarfile.BLOCKSIZE)
        file.seek(0)
        kind = stream_kind(head)
        if kind:
            result = _stream(job, file, kind, inventory)
        elif head.startswith(_ZIP_MAGICS) or job.content_type in _ZIP_TYPES:
            result = _zip(job, file, inventory)
        elif is_tar(head) or "tar" in job.content_type:
            result = _tar(job, file, inventory)
        else:
            message = "The archive is damaged: it does not begin as a zip, tar, gzip, bzip2 or xz file does."
            raise ProcessingError("corrupt_file", message)
    job.progress(95, "writing the listing")
    inventory.leave_listing(job)
    return result


def _zip(job: Context, file: io.BufferedReader, inventory: Inventory) -> dict[str, Json]:
    budget = Budget.of(job)
    job.progress(1, "reading the directory")
    directory = read_directory(io.FileIO(job.path), job.size)
    take_stock(directory, inventory)
    unknown: list[str] = []
    note = ""
    try:
        unknown = check_zip(file, directory, inventory, budget, _Progress(job, inventory).of)
    except BudgetSpent:
        note = "There is more in it than is checked here."
    if inventory.encrypted or unknown:
        note = note or "Entries that are encrypted or packed by an unknown method were not checked."
    for name in unknown:
        inventory.find("unknown_method", name, "Packed by a method that cannot be checked here.")
    return inventory.result("zip") | {"checked": _checked("part" if note else "whole", budget.spent, note)}


def _tar(job: Context, file: io.BufferedReader, inventory: Inventory) -> dict[str, Json]:
    contents, note = "whole", "A tar has no check sums of its own; its headers were followed to the end."
    try:
        read_tar(file, inventory, Budget.of(job), job.size, _Progress(job, inventory).at)
    except BudgetSpent:
        contents, note = "part", "It has more entries than could be read in the time."
    return inventory.result("tar") | {"checked": _checked(contents, 0, note)}


def _stream(job: Context, file: io.BufferedReader, kind: str, inventory: Inventory) -> dict[str, Json]:
    """Read a compressed stream to its end, through further streams inside it; a tar in it is listed."""
    budget = Budget.of(job)
    outermost = kind
    layers: list[Inflated] = []
    source: Readable = file
    note = ""
    format = outermost
    try:
        while kind:
            if len(layers) == MAX_DEPTH:
                message = f"The file is compressed over and over, more than {MAX_DEPTH} times."
                raise ProcessingError("too_complex", message)
            magic, new_decoder = STREAMS[kind]
            layers.append(Inflated(source, new_decoder, budget, f"The {kind} stream", magic))
            peeked = Peeked(layers[-1], 2 * tarfile.BLOCKSIZE)
            source, kind = peeked, stream_kind(peeked.head)
        if is_tar(peeked.head) or (_named_tar(job.filename) and not any(peeked.head)):
            format = _TAR_NAMES[outermost]
            read_tar(source, inventory, budget, None, _Progress(job, inventory).at)
        drain(source)
        for layer in reversed(layers):
            layer.drain()
    except BudgetSpent:
        note = "There is more in it than is checked here; sizes and entries are those found so far."
    if format == outermost:
        _add_single_file(job, inventory, layers)
    if layers[0].trailing:
        inventory.find("trailing_data", "", "Behind the end of the compressed data there is something else.")
    checked = _checked("part" if note else "whole", budget.spent, note)
    return inventory.result(format) | {"checked": checked}


def _named_tar(filename: str) -> bool:
    """Whether the name promises a tar: what begins with zeros may be an empty one, or just zeros."""
    return bool(re.search(r"\.(tar(\.\w+)?|tgz|tbz2?|txz)$", filename, re.I))


def _add_single_file(job: Context, inventory: Inventory, layers: list[Inflated]) -> None:
    """Take down the one file in a compressed stream, named like the upload without its suffix."""
    path = PurePosixPath(job.filename)
    inventory.add(Entry(name=path.stem or "data", kind="file", size=layers[0].size, packed=job.size))
    if len(layers) > 1:
        message = f"Compressed {len(layers)} times over; {layers[-1].size:,} bytes at the heart of it."
        inventory.find("nested_archive", path.stem, message)


def _checked(contents: str, count: int, note: str) -> dict[str, Json]:
    """Say how far contents were unpacked and checked: "whole" or "part", bytes unpacked, and why."""
    return {"contents": contents, "bytes": count, "note": note}


class _Progress:
    """Tells how far the work is, now and then, since there may be a million entries."""

    def __init__(self, job: Context, inventory: Inventory) -> None:
        self._job = job
        self._inventory = inventory
        self._calls = 0

    def of(self, done: int, total: int) -> None:
        """`done` of `total` entries were checked."""
        self._tell(100 * done / max(1, total), f"entry {done:,} of {total:,}")

    def at(self, place: int) -> None:
        """The unpacked tar was read up to byte `place`; how long it is may be unknown."""
        self._tell(100 * place / max(place, self._job.size), f"{self._inventory.entries:,} entries")

    def _tell(self, percent: float, note: str) -> None:
        if self._calls % 500 == 0:
            self._job.progress(min(90.0, percent), note)
        self._calls += 1
