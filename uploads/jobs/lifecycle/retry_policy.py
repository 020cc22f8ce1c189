"""Whether a failed attempt is followed by another, and when. Budgets belong to the failure code."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from uploads.codes import FAILURE_CODES, FailureCode

_FIELDS = {"budget", "first_delay", "delay_cap"}
_LONGEST = 30 * 86_400


@cache
def table() -> dict[str, FailureCode]:
    """The failure codes with UPLOADS_BUDGETS laid over them. Raises ImproperlyConfigured for a wrong row."""
    rows = dict(FAILURE_CODES)
    overrides = settings.UPLOADS_BUDGETS
    if not isinstance(overrides, dict):
        raise ImproperlyConfigured("UPLOADS_BUDGETS must be a JSON object of failure codes.")
    for code, change in overrides.items():
        if code not in rows or not isinstance(change, dict) or not set(change) <= _FIELDS:
            raise ImproperlyConfigured(
                f"UPLOADS_BUDGETS: {code!r} must be a failure code with budget, first_delay or delay_cap."
            )
        if not all(_sensible(name, number) for name, number in change.items()):
            raise ImproperlyConfigured(
                f"UPLOADS_BUDGETS: {code!r} must hold a whole budget of at least 1 and delays of 0 to {_LONGEST} s."
            )
        rows[code] = replace(rows[code], **change)
    return rows


def _sensible(name: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) and value >= 1 if name == "budget" else 0 <= value <= _LONGEST


def delay_after(code: str, failures: int) -> float | None:
    """Seconds until the next attempt after `failures` (≥ 1) of this code, or None where none is left.

    Exponential with full jitter, so that a thousand jobs failed by one outage do not come back as one.
    """
    row = table()[code]
    if failures >= row.budget:
        return None
    ceiling = min(row.delay_cap, row.first_delay * 2 ** (failures - 1))
    if code == "worker_lost" and failures > 1:
        # The first loss runs again at once; further ones back off, lest one file fells workers in a row.
        ceiling = min(row.delay_cap, 5.0 * 2 ** (failures - 2))
    return random.uniform(ceiling / 2, ceiling) if ceiling else 0.0  # noqa: S311 - jitter, not a secret
