"""Decompressors of the standard library in one shape: fed a piece, asked for a bounded piece."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Protocol

from uploads.processing.base import MIB

# xz -9 needs 65 MiB; a header may ask for 4 GiB.
LZMA_MEMORY = 192 * MIB


class Decoder(Protocol):
    """What bz2 and lzma offer, and zlib through the adapter below."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class ZlibDecoder:
    """zlib's decompressor in the manner of bz2's; `wbits` 31 is gzip with its checks, -15 is bare deflate."""

    def __init__(self, wbits: int) -> None:
        self._raw = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._raw.eof

    @property
    def unused_data(self) -> bytes:
        return self._raw.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._raw.decompress(self._raw.unconsumed_tail + data, max_length)
        # A full piece may leave more inside, even with no input left over.
        self.needs_input = not self._raw.unconsumed_tail and len(out) < max_length
        return out


class Stored:
    """A decoder for what is not compressed; `length` bytes long."""

    unused_data = b""

    def __init__(self, length: int) -> None:
        self._left = length
        self._held = b""

    @property
    def eof(self) -> bool:
        return self._left <= 0

    @property
    def needs_input(self) -> bool:
        return not self._held and self._left > 0

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        held = self._held + data
        out, self._held = held[:max_length], held[max_length:]
        self._left -= len(out)
        return out


class ZipLzma:
    """LZMA as zips hold it: a 4-byte preface, 5 bytes of properties, then the stream (APPNOTE 5.8).

    It is given to liblzma as its old stand-alone format, for which memory can be bounded.
    `length` of the unpacked stream is -1 where an end marker tells it.
    """

    def __init__(self, length: int) -> None:
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY)
        self._length = length
        self._head: bytes | None = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._head is not None or self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if self._head is not None:
            self._head += data
            if len(self._head) < 9:
                return b""
            head, self._head = self._head, None
            data = head[4:9] + struct.pack("<q", self._length) + head[9:]
        return self._inner.decompress(data, max_length)


STREAMS: dict[str, tuple[bytes, Callable[[], Decoder]]] = {
    "gzip": (b"\x1f\x8b\x08", lambda: ZlibDecoder(31)),
    "bzip2": (b"BZh", bz2.BZ2Decompressor),
    "xz": (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)),
}


def stream_kind(head: bytes) -> str:
    """Return gzip, bzip2 or xz by the first bytes, or ""."""
    return next((kind for kind, (magic, _) in STREAMS.items() if head.startswith(magic)), "")
