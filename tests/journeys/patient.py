"""A processor for tests: a file that says "sleep 3" takes three seconds, any other none."""

from __future__ import annotations

import time

from uploads.processing.base import Context, Json

TYPES = ("text/plain",)


def process(job: Context) -> dict[str, Json]:
    word, _space, seconds = job.path.read_text().partition(" ")
    if word == "sleep":
        time.sleep(float(seconds))
    return {"word": word}
