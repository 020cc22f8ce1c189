"""The structured report of a failed attempt, and how it travels in a django-q2 task's failure.

django-q2 keeps of an exception only `f"{exception} : {traceback}"`. So the exception's text *is* the
report, as one JSON object; the hook reads it back from the start of the task's result.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any
from uuid import UUID

from uploads.codes import FAILURE_CODES

_BOUNDS = {"message": 500, "detail": 8_000, "exception_type": 200, "traceback": 64_000, "kind": 40,
           "content_type": 127, "worker": 200}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FailureReport:
    """Why an attempt failed. Texts are bounded and free of NUL (PostgreSQL refuses it)."""

    job: str
    attempt: int
    code: str
    message: str
    detail: str = ""
    exception_type: str = ""
    traceback: str = ""
    kind: str = ""
    content_type: str = ""
    worker: str = ""
    peak_memory: int | None = None
    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    bytes_written: int | None = None

    def __post_init__(self) -> None:
        if self.code not in FAILURE_CODES:
            raise ValueError(f"{self.code!r} is not a failure code")
        for name, bound in _BOUNDS.items():
            object.__setattr__(self, name, _clean(getattr(self, name), bound))

    @property
    def job_id(self) -> UUID:
        return UUID(self.job)

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> FailureReport:
        """Read a report from the start of `text`; raises ValueError where there is none."""
        try:
            found, _end = json.JSONDecoder().raw_decode(text)
        except RecursionError as wrong:
            raise ValueError("the report is nested without end") from wrong
        if not isinstance(found, dict):
            raise ValueError("the report is not an object")
        known: dict[str, Any] = {f.name: found[f.name] for f in fields(cls) if f.name in found}
        try:
            return cls(**known)
        except TypeError as wrong:
            raise ValueError(f"the report is not whole: {wrong}") from wrong


class AttemptFailed(Exception):
    """Raised by the task, so that django-q2 calls the failure hook; its text is the report."""

    def __init__(self, report: FailureReport) -> None:
        self.report = report
        super().__init__(report.dumps())


def _clean(text: str, bound: int) -> str:
    """Within the bound (the end of a traceback tells more than its start), and storable anywhere."""
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    if len(text) <= bound:
        return text
    return text[: bound // 4 - 1] + "…" + text[-(bound - bound // 4) :]
