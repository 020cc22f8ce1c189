"""Metrics that processes count by themselves, summed right across all of them at /metrics.

What the database knows better (states, queue depth and age) is read there at scrape time instead.
Import this only after settings: prometheus-client reads PROMETHEUS_MULTIPROC_DIR when it is imported.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram

UPLOADS = Counter("wharfinger_uploads", "Uploads acknowledged.", ["door"])
UPLOAD_BYTES = Counter("wharfinger_upload_bytes", "Bytes of uploads acknowledged.", ["door"])
REFUSALS = Counter("wharfinger_refusals", "Requests turned away.", ["code"])
REQUESTS = Histogram(
    "wharfinger_request_seconds",
    "Time to answer a request.",
    ["method", "route", "status"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)
ATTEMPT_SECONDS = Histogram(
    "wharfinger_attempt_seconds",
    "Wall time of an attempt by kind of file and outcome (a failure code, or succeeded).",
    ["kind", "outcome"],
    buckets=(0.01, 0.05, 0.2, 1, 5, 20, 60, 300),
)
FAILURES = Counter("wharfinger_failures", "Failed attempts recorded.", ["code"])


def open_files() -> None:
    """Open this process's files now, not at its first refusal: that may be one for want of disk.

    Raises OSError.
    """
    REFUSALS.labels("internal_error")
    REQUESTS.labels("GET", "-", 500)
