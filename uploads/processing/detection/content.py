"""What a file really is, from its content: bounded reads, no parsing, no trust in its name.

libmagic says what a binary file is where the machine has it, `filetype` where not; text kinds, zip families,
OLE, Parquet and tar follow rules of our own, so that both machines answer alike.
"""

from __future__ import annotations

import io
import re
import struct
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import filetype

from uploads.processing.detection.extensions import conflict
from uploads.processing.detection.text import clean_utf8, is_text, text_kind
from uploads.processing.sanitize import clean_text

magic: Any
try:
    import magic
except ImportError:  # no libmagic on this machine
    magic = None

HEAD = 64 * 1024
# A zip whose directory is larger is not worth opening just to name it: 22,000 members and more.
ZIP_DIRECTORY = 1 << 20

EMPTY = "application/x-empty"
UNKNOWN = "application/octet-stream"
ZIP = "application/zip"
PARQUET = "application/vnd.apache.parquet"
ENCRYPTED = "application/encrypted"

_OFFICE = "application/vnd.openxmlformats-officedocument."
_MEMBERS = (
    ("xl/", _OFFICE + "spreadsheetml.sheet"),
    ("word/", _OFFICE + "wordprocessingml.document"),
    ("ppt/", _OFFICE + "presentationml.presentation"),
    ("AndroidManifest.xml", "application/vnd.android.package-archive"),
    ("META-INF/MANIFEST.MF", "application/java-archive"),
)
_MIMETYPE = re.compile(r"application/(epub\+zip|vnd\.oasis\.opendocument\.[a-z.-]{1,40})")
_LOCAL_HEADER = re.compile(rb"PK\x03\x04.{22}(.)\x00..", re.S)
# What tarfile reads a number from: octal digits and what Python allows around them, or a mark of base 256.
_CHECKSUM = re.compile(rb"[\x80\xff]|[0-7_oO+\-\s]*(\x00|[0-7_oO+\-\s]\Z)|[0-7_oO+\-\s]{8}")
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_OLE_ENTRIES = (
    ("EncryptedPackage", ENCRYPTED),
    ("Workbook", "application/vnd.ms-excel"),
    ("WordDocument", "application/msword"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
)
_TEXTUAL = (
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
)

# One word for a thing, whichever library found it.
_CANONICAL = {
    "application/x-gzip": "application/gzip",
    "application/x-zstd": "application/zstd",
    "application/x-rar-compressed": "application/x-rar",
    "application/vnd.rar": "application/x-rar",
    "application/x-dosexec": "application/vnd.microsoft.portable-executable",
    "application/x-msdownload": "application/vnd.microsoft.portable-executable",
    "application/x-pie-executable": "application/x-executable",
    "application/x-sharedlib": "application/x-executable",
    "application/x-object": "application/x-executable",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "image/x-ms-bmp": "image/bmp",
    "image/vnd.microsoft.icon": "image/x-icon",
    "audio/wav": "audio/x-wav",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "video/x-m4v": "video/mp4",
    "text/rtf": "application/rtf",
}


@dataclass(frozen=True, slots=True)
class Detected:
    """`content_type` in lower case; `contradiction` is one sentence, or "" when the name does not lie."""

    content_type: str
    contradiction: str


def detect(path: Path, filename: str) -> Detected:
    """What the file at `path` is, and whether the uploader's `filename` says otherwise.

    Reads at most a few hundred KiB. Hostile content raises nothing; an OSError of our storage passes.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(HEAD)
        content_type = _content_type(file, head, filename)
    if not conflict(filename, content_type):
        return Detected(content_type, "")
    return Detected(
        content_type,
        f'Named "{" ".join(clean_text(filename, 100).split())}", but its content is {content_type}.',
    )


def _content_type(file: BinaryIO, head: bytes, filename: str) -> str:
    if not head:
        return EMPTY
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(file, head)
    if head.startswith(b"PAR1"):
        return PARQUET
    if head.startswith(_OLE):
        return _ole_kind(file, head)
    if _is_tar(head):
        return "application/x-tar"
    whole = len(head) < HEAD
    if clean_utf8(head):
        textual = next((kind for mark, kind in _TEXTUAL if head.startswith(mark)), "")
        return textual or text_kind(head, whole, filename)
    guess = _library(head)
    if guess != UNKNOWN:
        return guess
    return text_kind(head, whole, filename) if is_text(head, filename) else UNKNOWN


def _library(head: bytes) -> str:
    """What libmagic or filetype says of a binary file, in our words; UNKNOWN for text and for nothing."""
    if magic is not None:
        try:
            guess = str(magic.from_buffer(head, mime=True))
        except magic.MagicException:
            guess = UNKNOWN
    else:
        guess = str(filetype.guess_mime(head) or UNKNOWN)
    guess = _CANONICAL.get(guess, guess)
    # Both libraries name some texts; those are ours to tell apart. A type without "/" is an error message.
    ours = guess.startswith("text/") or guess in {"application/json", "application/x-ndjson", "image/svg+xml"}
    if ours or not re.fullmatch(r"[a-z]+/[a-z0-9][a-z0-9.+_-]{0,100}", guess):
        return UNKNOWN
    return UNKNOWN if guess in {EMPTY, "application/csv", "message/rfc822"} else guess


class _Bounded(io.RawIOBase):
    """A file that refuses to be read in one large piece, so that zipfile cannot load a huge directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise zipfile.BadZipFile("The directory lies before the start.")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if size > ZIP_DIRECTORY:
            raise zipfile.BadZipFile("The directory is too large to look into.")
        return self._file.read(ZIP_DIRECTORY if size < 0 else size)


def _zip_kind(file: BinaryIO, head: bytes) -> str:
    """Which of the formats that are a zip inside: from its directory, else from the first bytes."""
    stored = _MIMETYPE.match(head[38:100].decode("latin-1")) if head[30:38] == b"mimetype" else None
    if stored:
        return stored[0]
    try:
        with zipfile.ZipFile(_Bounded(file)) as archive:
            names = [one.filename for one in archive.infolist()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, struct.error):
        names = [
            head[found.end() : found.end() + found[1][0]].decode("latin-1")
            for found in _LOCAL_HEADER.finditer(head)
        ]
    office = "[Content_Types].xml" in names
    for prefix, kind in _MEMBERS:
        if kind.startswith(_OFFICE) and not office:
            continue
        if any(name.startswith(prefix) for name in names):
            return kind
    return ZIP


def _ole_kind(file: BinaryIO, head: bytes) -> str:
    """Which program's compound file ([MS-CFB]): by the names in the first sector of its directory."""
    shift, sector = int.from_bytes(head[30:32], "little"), int.from_bytes(head[48:52], "little")
    directory = b""
    if shift in (9, 12):
        # A sector far behind the end is no place to seek to on every file system.
        file.seek(min((sector + 1) << shift, file.seek(0, io.SEEK_END)))
        directory = file.read(HEAD)
    for name, kind in _OLE_ENTRIES:
        wide = name.encode("utf-16-le")
        if wide in directory or wide in head:
            return kind
    return "application/x-ole-storage"


def _is_tar(head: bytes) -> bool:
    """Whether the first block is a tar header with a right checksum; old tars have no mark."""
    if not _CHECKSUM.match(head, 148):
        return False  # as of nearly all that is none, and without an exception
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True
