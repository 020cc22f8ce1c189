"""Any file that no other processor takes: what it is, its digest, and how it begins."""

from __future__ import annotations

import hashlib

from uploads.processing.base import MIB, Context, Json, Limits

TYPES: tuple[str, ...] = ("*/*",)
LIMITS = Limits(memory_bytes=256 * MIB, cpu_seconds=60, wall_seconds=240, output_bytes=MIB)

EMPTY = "application/x-empty"
SHOWN = 64
_BLOCK = 1 << 20


def process(job: Context) -> dict[str, Json]:
    """Gives `content_type`, `sha256` (hexadecimal) and `first_bytes` (up to 64, hexadecimal).

    An empty file gives {"empty": true}. Raises OSError only.
    """
    if job.content_type == EMPTY or job.size == 0:
        return {"empty": True}
    digest, done, first = hashlib.sha256(), 0, b""
    with job.path.open("rb") as file:
        while block := file.read(_BLOCK):
            first = first or block[:SHOWN]
            digest.update(block)
            done += len(block)
            job.progress(100 * done / job.size)
    return {
        "content_type": job.content_type,
        "sha256": digest.hexdigest(),
        "first_bytes": first.hex(),
    }
