"""Which encoding a text file is in, found in one pass over all of it in bounded memory, and how to read it.

Labels are those of the WHATWG Encoding Standard where it has one ("utf-8", "windows-1252", "utf-16le").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from charset_normalizer import from_bytes

from uploads.processing.detection.text import bom, wide

BLOCK = 1 << 20
# charset-normalizer's cost grows with the sample, its verdict hardly does.
SAMPLE = 16 * 1024
# What it may choose from: in a Western text the bytes beyond ASCII stand alone, in the others they come in runs.
# The more it may choose from, the more often a short text ends up in an exotic one.
_WESTERN = ["cp1252", "cp1250", "cp1254"]
_OTHERS = [
    "cp1251",
    "cp1253",
    "cp1255",
    "cp1256",
    "koi8_r",
    "shift_jis",
    "euc_jp",
    "gb18030",
    "big5",
    "euc_kr",
]
# With fewer foreign characters than this nobody can tell one Western encoding from another.
FEW = 24
_RUNS = re.compile(rb"[\x80-\xff]+")
_LABELS = {"cp1252": "windows-1252", "cp1250": "windows-1250", "cp1251": "windows-1251",
           "cp1253": "windows-1253", "cp1254": "windows-1254", "cp1255": "windows-1255",
           "cp1256": "windows-1256", "koi8_r": "koi8-r", "utf-16-le": "utf-16le", "utf-16-be": "utf-16be",
           "utf-32-le": "utf-32le", "utf-32-be": "utf-32be"}  # fmt: skip
_STRAY = re.compile("[\udc80-\udcff]")
_C1 = bytes(range(128, 160))
_BEYOND_ASCII = bytes(range(128, 256))
_AS_CP1252 = {0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(128, 256)}


@dataclass(slots=True)
class Survey:
    """What one pass over a file found. Line numbers count from 1 and are 0 where there is nothing to tell.

    `codec` is Python's name, `mark` the length of the byte order mark; `mixed`: UTF-8 with `strays` bytes
    that are not. `controls` counts bytes 80 to 9F.
    `long_line` is the first line of more than the asked number of bytes.
    """

    codec: str = "utf-8"
    mark: int = 0
    mixed: bool = False
    strays: int = 0
    stray_line: int = 0
    nuls: int = 0
    nul_line: int = 0
    long_line: int = 0
    controls: int = 0

    @property
    def label(self) -> str:
        """The encoding's name for a person."""
        return _LABELS.get(self.codec, self.codec)

    @property
    def native(self) -> str:
        """DuckDB's name of the encoding, "" if it does not know it: its latin-1 has no bytes 80 to 9F."""
        if self.nuls or self.strays:
            return ""
        if self.codec == "cp1252" and not self.controls:
            return "latin-1"
        return {"utf-8": "utf-8", "utf-16-le": "utf-16"}.get(self.codec, "")

    @property
    def plain_utf8(self) -> bool:
        """Whether the bytes can be read as they are: UTF-8 and without NUL."""
        return self.codec == "utf-8" and not self.strays and not self.nuls


def survey(path: Path, line_limit: int, progress: Callable[[int], None] = lambda done: None) -> Survey:
    """Look at every byte once: encoding, NULs, and the first line longer than `line_limit` bytes.

    Stops early at such a line. `progress` is told the bytes done. Raises OSError only.
    """
    found = Survey()
    with path.open("rb") as file:
        head = file.read(64 * 1024)
        mark, codec = bom(head)
        found.mark, found.codec = len(mark), codec or wide(head) or "utf-8"
    if found.codec == "utf-8":
        _survey_bytes(path, found, line_limit, progress)
    else:
        lines = _Lines(line_limit)
        for text in chunks(path, found):
            lines.feed(text.encode("utf-8", "replace"), found)
            if found.long_line:
                break
    return found


def chunks(path: Path, found: Survey) -> Iterator[str]:
    """The text in pieces of about a MiB, without its byte order mark; what is broken is U+FFFD."""
    errors = "surrogateescape" if found.mixed else "replace"
    with path.open("r", encoding=found.codec, errors=errors, newline="") as file:
        first = True
        while text := file.read(BLOCK):
            if first and found.mark and text.startswith("\ufeff"):
                text = text[1:]
            first = False
            yield text.translate(_AS_CP1252) if found.mixed and _STRAY.search(text) else text


class _Lines:
    """Counts lines over blocks, and notes where the first NUL and the first too long line are."""

    def __init__(self, limit: int) -> None:
        self._limit, self._open, self.number = limit, 0, 1

    def feed(self, block: bytes, found: Survey) -> None:
        if b"\n" not in block and b"\r" in block:
            block = block.replace(b"\r", b"\n")
        first = block.find(b"\n")
        if not found.nuls and (at := block.find(b"\0")) >= 0:
            found.nul_line = self.number + block.count(b"\n", 0, at)
        found.nuls += block.count(0)
        if self._open + (first if first >= 0 else len(block)) > self._limit and not found.long_line:
            found.long_line = self.number
        # A line inside one block cannot pass a limit that is larger than a block, so only the edges count.
        self._open = self._open + len(block) if first < 0 else len(block) - block.rfind(b"\n") - 1
        self.number += block.count(b"\n")


def _survey_bytes(path: Path, found: Survey, line_limit: int, progress: Callable[[int], None]) -> None:
    """Fill `found` for a file that has no mark: is it UTF-8, with or without strays, or something older?"""
    lines, sample, good, done, tail = _Lines(line_limit), b"", 0, 0, b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            line = lines.number
            lines.feed(block, found)
            if found.long_line:
                break
            if tail or not block.isascii():
                data = tail + block
                text, tail = _decode(data)
                stray = _STRAY.search(text)
                count = len(_STRAY.findall(text)) if stray else 0
                good += len(text) - count - len(data.translate(None, _BEYOND_ASCII))
                found.controls += len(block) - len(block.translate(None, _C1))
                if stray:
                    here = line + text.count("\n", 0, stray.start())
                    found.stray_line = found.stray_line or here
                    found.strays += count
                    sample += _around(text)[: SAMPLE - len(sample)]
            done += len(block)
            progress(done)
    if tail and not found.long_line:
        found.strays += len(tail)
        found.stray_line = found.stray_line or lines.number
        sample += tail
    if found.strays and good * 4 >= found.strays:
        found.mixed = True
    elif found.strays:
        found.codec, found.strays, found.stray_line = _legacy(sample), 0, 0


def _decode(data: bytes) -> tuple[str, bytes]:
    """Text with stray bytes as surrogates, and the cut character at the end that the next block completes."""
    keep = 0
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            keep = back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else 0
            break
        if byte < 0x80:
            break
    cut = len(data) - keep
    return data[:cut].decode("utf-8", "surrogateescape"), data[cut:]


def _around(text: str) -> bytes:
    """The lines with stray bytes, as bytes."""
    kept = [line for line in text.splitlines() if _STRAY.search(line)][:400]
    return "\n".join(line[:400] for line in kept).encode("utf-8", "surrogateescape")


def _legacy(sample: bytes) -> str:
    """The codec of a text that is not Unicode; Windows-1252 unless another reads clearly better."""
    runs = _RUNS.findall(sample)
    western = sum(map(len, runs)) < 2 * len(runs)
    if western and len(runs) < FEW:
        return "cp1252"
    candidates = _WESTERN if western else [*_OTHERS, *_WESTERN]
    best = from_bytes(sample, cp_isolation=candidates, steps=5, chunk_size=1024).best()
    if best is None or best.encoding not in candidates or str(best) == sample.decode("cp1252", "replace"):
        return "cp1252"
    return best.encoding
