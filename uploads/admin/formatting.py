"""How the admin writes sizes, times and names for a person."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode

if TYPE_CHECKING:
    from uuid import UUID

    from django.utils.safestring import SafeString

    from uploads.models import UploadJob

NOTHING = "-"
JSON_CHARACTERS = 100_000


def size(count: int | None) -> str:
    """Bytes as "1.2 MB"; a dash where unknown."""
    return NOTHING if count is None else filesizeformat(count)


def seconds(amount: float | None) -> str:
    """Seconds as "0.25 s", "12 s", "3 min 5 s" or "2 h 10 min"; a dash where unknown."""
    if amount is None:
        return NOTHING
    if amount < 10:
        return f"{max(amount, 0):.2f} s"
    whole = round(amount)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def between(begin: Any, end: Any) -> str:
    """The time from `begin` to `end`, or to now; a dash where it did not begin."""
    if begin is None:
        return NOTHING
    passed: timedelta = (end or timezone.now()) - begin
    return seconds(passed.total_seconds())


def when(column: str, label: Any) -> Any:
    """A function of a row: a column that writes a time of a row to the second, in the site's zone, sorted by itself."""

    @admin.display(description=label, ordering=column)
    def told(row: Any) -> str:
        return moment(getattr(row, column))

    told.__name__ = column  # a page's field is called by it
    return told


def moment(time: datetime | None) -> str:
    """A time as "2026-11-24 21:01:43"; a dash for none."""
    return timezone.localtime(time).strftime("%Y-%m-%d %H:%M:%S") if time else NOTHING


def name(text: str) -> SafeString:
    """A stranger's file name: escaped, with a direction of its own, and broken where it is long."""
    return format_html('<bdi class="wf-name">{}</bdi>', text)


def pretty(value: Any) -> str:
    """A result as indented JSON, cut off at JSON_CHARACTERS. To be escaped by whoever shows it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= JSON_CHARACTERS else f"{text[:JSON_CHARACTERS]}\n… cut off here"


def owner(username: str, changelist: str) -> SafeString:
    """A user name that leads to what else is theirs in the list whose URL is named `changelist`."""
    return format_html(
        '<a href="{}?{}">{}</a>', reverse(changelist), urlencode({"owner": username}), username
    )


def file_url(job_id: UUID) -> str:
    return f"/api/jobs/{job_id}/file"


def artifact_url(job_id: UUID, artifact: str) -> str:
    return f"/api/jobs/{job_id}/artifacts/{artifact}"


def duration(job: UploadJob) -> str:
    """How long the latest attempt took, or has been taking; a dash for a job that waits for one."""
    if job.state == "running" or job.finished_at:
        return between(job.started_at, job.finished_at)
    return NOTHING
