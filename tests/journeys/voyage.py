"""A processor that is half way through for a minute, so that a picture of it can be taken."""

from __future__ import annotations

import time

from uploads.processing.base import Context, Json

TYPES = ("text/plain",)


def process(job: Context) -> dict[str, Json]:
    job.progress(60, "reading all rows")
    time.sleep(60)
    return {"lines": 1}
