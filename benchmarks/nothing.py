"""A processor that does nothing, to measure what surrounds it."""

from __future__ import annotations

from uploads.processing.base import Context, Json

TYPES = ("text/plain",)


def process(job: Context) -> dict[str, Json]:
    """Nothing in, nothing out."""
    return {}
