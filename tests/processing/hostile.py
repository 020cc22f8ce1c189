"""A processor that does what its file says, good or bad: the first line of the file names it."""

from __future__ import annotations

from uploads.processing.base import Context, Json

TYPES = ("text/plain",)


def process(job: Context) -> dict[str, Json]:
    """Do what the file says."""
    action, *rest = job.path.read_text().splitlines()
    return globals()["do_" + action](job, *rest)


def do_nothing(job: Context) -> dict[str, Json]:
    return {"size": job.size, "filename": job.filename}
