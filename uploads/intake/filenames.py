"""A client's file name is data, never a path: made safe to show, to download and to store."""

from __future__ import annotations

import re
import unicodedata

from uploads.processing.sanitize import clean_text

UNNAMED = "unnamed"
LONGEST = 255  # characters in the row, and bytes in a name on the file systems that people download to

_RESERVED = re.compile(r'[<>:"|?*]')
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: with any extension, in any case.
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|\Z)", re.IGNORECASE)


def safe_filename(raw: str) -> str:
    """The last component of a client's name without what could mislead, of at most 255 bytes; never empty.

    Control and bidi characters go, characters that Windows reserves become "_", its device names get a
    "_" in front, and a long name keeps its extension.
    """
    # A NUL, a line break or a tab is no white space here: it goes, rather than become a space.
    bare = "".join(c for c in raw if unicodedata.category(c) not in {"Cc", "Cs"})
    name = unicodedata.normalize("NFC", clean_text(re.split(r"[/\\]", bare)[-1], 1_000))
    name = _RESERVED.sub("_", name).rstrip(". ").lstrip()
    if not name.strip("."):
        return UNNAMED
    if _DEVICES.match(name):
        name = f"_{name}"
    return _shorten(name)


def _shorten(name: str) -> str:
    if len(name.encode()) <= LONGEST:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension.encode()) > 20:
        stem, dot, extension = name, "", ""
    room = LONGEST - len(f"…{dot}{extension}".encode())
    return f"{stem.encode()[:room].decode(errors='ignore').rstrip()}…{dot}{extension}"
