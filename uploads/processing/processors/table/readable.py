"""A CSV as DuckDB can read it: in place where it knows the encoding, else in transcoded pieces, one at a time."""

from __future__ import annotations

from collections.abc import Iterator

from uploads.processing.base import Context
from uploads.processing.processors.shared.encoding import Survey, chunks

# Bytes of a piece on disk; the limit on output bounds it too.
PIECE = 32 << 20
# Lines of one cell that are looked over for the end of its record.
TRIES = 10_000


def readable(job: Context, found: Survey, quote: str) -> Iterator[tuple[str, str]]:
    """(path, DuckDB's encoding) of the whole file, or of each piece of it in turn.

    A piece is a file in the artifacts directory, ends with a record, and is gone before the next one comes:
    the disk never holds more than one. Raises OSError.
    """
    native = found.native
    if native:
        yield str(job.path), native
        return
    path = job.artifacts_dir / ".piece.csv"
    limit = min(PIECE, job.limits.output_bytes // 4)
    try:
        for piece in _pieces(job, found, quote, limit):
            path.write_bytes(piece)
            yield str(path), "utf-8"
    finally:
        path.unlink(missing_ok=True)


def _pieces(job: Context, found: Survey, quote: str, limit: int) -> Iterator[bytes]:
    """UTF-8 pieces of about `limit` bytes, cut at a line end where no quote is open.

    A stray quote may hide every such place; then a piece ends at any line end, and the reader finds the quote.
    """
    held: list[bytes] = []
    size, rest = 0, ""
    for text in chunks(job.path, found):
        text = rest + text.replace("\0", "\ufffd")
        end = _record_end(text, quote)
        if not end and len(text) > limit:
            end = _line_end(text, len(text))
        held.append(text[:end].encode("utf-8", "replace"))
        rest = text[end:]
        size += len(held[-1])
        if size >= limit:
            yield b"".join(held)
            held, size = [], 0
    held.append(rest.encode("utf-8", "replace"))
    if any(held):
        yield b"".join(held)


def _line_end(text: str, before: int) -> int:
    """Where the last line that ends before `before` ends; 0 where none does."""
    # A CR at the very end may be half of a CR LF.
    return max(text.rfind("\n", 0, before), text.rfind("\r", 0, min(before, len(text) - 1))) + 1


def _record_end(text: str, quote: str) -> int:
    """Where the last record of `text` ends that is known to; 0 where none is. `text` starts with a record."""
    end = _line_end(text, len(text))
    quotes = text.count(quote, 0, end)
    for _ in range(TRIES):
        if quotes % 2 == 0 or not end:
            return end
        earlier = _line_end(text, end - 1)
        quotes -= text.count(quote, earlier, end)
        end = earlier
    return 0
