"""Decompress a stream piece by piece, with a bound on every piece, and say where it breaks.

The decompressors are the standard library's; unlike its file objects this reader bounds its memory, knows
the place in the packed file, and tells a cut stream from a damaged one.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from uploads.processing.base import ProcessingError
from uploads.processing.processors.archive.budget import Budget, human
from uploads.processing.processors.archive.decoders import LZMA_MEMORY, Decoder

_PIECE = 64 * 1024


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Inflated:
    """The unpacked bytes of `source`, readable in pieces; each is spent from `budget`.

    `magic` set: further streams may follow the first, as gzip, bzip2 and xz allow. `label` names the stream
    in messages. `trailing` says whether something else stands behind the end.
    """

    def __init__(
        self, source: Readable, new_decoder: Callable[[], Decoder], budget: Budget, label: str,
        magic: bytes = b"",
    ) -> None:  # fmt: skip
        self._source = source
        self._new_decoder = new_decoder
        self._budget = budget
        self._label = label
        self._magic = magic
        self._decoder: Decoder | None = new_decoder()
        self._pending = b""
        self._packed = 0
        self.size = 0
        self.trailing = False

    def read(self, size: int = _PIECE, /) -> bytes:
        """Return at most `size` bytes (and at most 64 KiB), b"" at the end.

        Raises ProcessingError: corrupt_file with the place, too_complex; and BudgetSpent.
        """
        size = max(1, min(size, _PIECE))
        while self._decoder is not None:
            data = b""
            if self._decoder.needs_input:
                data = self._pending or self._more()
                self._pending = b""
                if not data:
                    message = f"{self._label} is cut short at byte {self._packed:,} of its packed data."
                    raise ProcessingError("corrupt_file", message, detail="ended before its end marker")
            try:
                out = self._decoder.decompress(data, size)
            except lzma.LZMAError as error:
                if "emory" in str(error):
                    raise self._too_greedy(error) from error
                raise self._damaged(error) from error
            except (zlib.error, OSError, ValueError, EOFError) as error:
                raise self._damaged(error) from error
            if self._decoder.eof:
                self._pending = self._decoder.unused_data
                self._decoder = self._next()
            if out:
                self.size += len(out)
                self._budget.spend(len(out))
                return out
        return b""

    def drain(self) -> None:
        """Read to the end, so that the last check sum is looked at too."""
        while self.read():
            pass

    def _more(self) -> bytes:
        data = self._source.read(_PIECE)
        self._packed += len(data)
        return data

    def _next(self) -> Decoder | None:
        """Return a decoder for the stream behind the one that ended; None if there is none."""
        if not self._magic:
            return None
        rest = self._pending.lstrip(b"\0")
        while len(rest) < len(self._magic):
            more = self._more()
            if not more:
                break
            rest = (rest + more).lstrip(b"\0")
        self._pending = rest
        if rest.startswith(self._magic):
            return self._new_decoder()
        self.trailing = bool(rest)
        return None

    def _damaged(self, error: Exception) -> ProcessingError:
        message = f"{self._label} is damaged near byte {self._packed:,} of its packed data."
        return ProcessingError("corrupt_file", message, detail=str(error))

    def _too_greedy(self, error: lzma.LZMAError) -> ProcessingError:
        message = f"{self._label} needs more than {human(LZMA_MEMORY)} of memory to unpack."
        return ProcessingError("too_complex", message, detail=str(error))


class Peeked:
    """`source` with its first bytes (at least `wanted`, if there are) read ahead and kept in `head`."""

    def __init__(self, source: Readable, wanted: int) -> None:
        self._source = source
        self.head = b""
        while len(self.head) < wanted and (piece := source.read(wanted)):
            self.head += piece
        self._held = self.head

    def read(self, size: int, /) -> bytes:
        if self._held:
            piece, self._held = self._held[:size], self._held[size:]
            return piece
        return self._source.read(size)
