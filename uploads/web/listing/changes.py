"""The list "My uploads": which rows are shown, in pages, and what has changed since a browser last looked.

A shown row has a *version*: a key (of its id) and a digest of all that can change about it. The list's ETag
is the versions of its rows, joined; so what a browser sends back as If-None-Match says row by row what it has.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from uploads.jobs.lifecycle import permissions
from uploads.jobs.lifecycle import queue_position as jobs_line
from uploads.jobs.lifecycle.queue_position import Line, Wait
from uploads.models import ACTIVE, JobQuerySet, State, UploadJob
from uploads.web.wording import waiting

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PAGE = 25
LIVE_ROWS = 200  # of a page, the newest rows are kept live, and
LIVE_BELOW = 40  # as many further down that are under way, as the browser names them
_LEAST = timedelta(microseconds=1)

FILTERS: dict[str, tuple[Any, tuple[State, ...]]] = {
    "": (_("All"), ()),
    "active": (_("In progress"), ACTIVE),
    "succeeded": (_("Done"), (State.SUCCEEDED,)),
    "failed": (_("Failed"), (State.FAILED,)),
    "cancelled": (_("Cancelled"), (State.CANCELLED,)),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked to see: a key of FILTERS, and a part of a file name."""

    state: str = ""
    q: str = ""

    @classmethod
    def from_query(cls, query: Any) -> Wanted:
        """Read `state` and `q`; what is not known is no filter."""
        state = query.get("state", "")
        return cls(state if state in FILTERS else "", query.get("q", "").replace("\0", "").strip()[:255])

    def rows(self, user: User) -> JobQuerySet:
        """One's own jobs among these, with all that a row shows."""
        return self.among(permissions.own(user).select_related("transfer"))

    def among(self, rows: JobQuerySet) -> JobQuerySet:
        if states := FILTERS[self.state][1]:
            rows = rows.filter(state__in=states)
        return rows.filter(filename__icontains=self.q) if self.q else rows

    @property
    def is_filter(self) -> bool:
        return bool(self.state or self.q)


# ---------------------------------------------------------------- pages


def cursor_of(job: UploadJob) -> str:
    """Where a row stands in the list: its time and id, opaque to a browser."""
    return base64.urlsafe_b64encode(f"{job.created_at.isoformat()} {job.pk}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[datetime, UUID] | None:
    """What `cursor_of` wrote; None for anything else."""
    try:
        text = base64.urlsafe_b64decode(cursor[:200] + "=" * (-len(cursor[:200]) % 4)).decode()
        when, _space, job_id = text.partition(" ")
        moment = datetime.fromisoformat(when)
        return (moment, UUID(job_id)) if timezone.is_aware(moment) else None
    except (ValueError, binascii.Error, UnicodeDecodeError):
        return None


def _at(moment: datetime) -> Q:
    """Created at `moment`: SQLite compares times as texts, and ours end at the millisecond (.123 is not .123000)."""
    return Q(created_at__gt=moment - _LEAST, created_at__lt=moment + _LEAST)


def page(user: User, wanted: Wanted, after: str = "") -> tuple[list[UploadJob], bool]:
    """Up to PAGE rows, newest first, behind the cursor `after`; and whether there are more."""
    rows = wanted.rows(user)
    if place := _place(after):
        moment, job_id = place
        rows = rows.filter(Q(created_at__lte=moment - _LEAST) | _at(moment) & Q(pk__lt=job_id))
    found = list(rows[: PAGE + 1])
    return found[:PAGE], len(found) > PAGE


# ---------------------------------------------------------------- what has changed


def line_for(states: Iterable[str]) -> Line:
    """The line, where any of these jobs can stand in it."""
    return jobs_line.line() if State.QUEUED in states else jobs_line.EMPTY


SEEN = ("pk", "state", "progress", "note", "attempt", "run_after")


def key_of(job_id: UUID) -> str:
    """Twelve hex digits that tell a row from the others of its list, also as an element's id."""
    return job_id.hex[:12]


def version(job_id: UUID, state: str, progress: int, note: str, attempt: int, due: datetime | None,
            wait: Wait | None) -> str:  # fmt: skip
    """Key and digest of a row: unequal digests mean that it looks different."""
    waits = wait and waiting.shown(wait)
    seen = repr((state, progress, note, attempt, due and due.isoformat(), waits, get_language()))
    digest = hashlib.blake2s(seen.encode(), digest_size=6).digest()
    return f"{key_of(job_id)}-{base64.urlsafe_b64encode(digest).decode()}"


def version_of(job: UploadJob, wait: Wait | None) -> str:
    return version(job.pk, job.state, job.progress, job.note, job.attempt, job.run_after, wait)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are new to a browser and stand together: at the top, or right after the row `after`."""

    after: str
    jobs: list[UploadJob]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a browser has to do to show the list as it is. `pause` in milliseconds; 0: nothing can change."""

    etag: str
    pause: int
    changed: list[UploadJob]
    new: list[Group]
    gone: list[str]
    line: Line

    @property
    def news(self) -> list[UploadJob]:
        """The rows that came to an end since the browser last looked."""
        lately = timezone.now() - timedelta(minutes=1)
        fresh = (job for group in self.new for job in group.jobs if job.created_at > lately)
        return [job for job in (*self.changed, *fresh) if job.is_terminal]


def pause(states: Iterable[str]) -> int:
    """How long a browser shall wait before it asks again, in milliseconds; 0: until something happens there."""
    states = set(states)
    if State.RUNNING in states:
        return 1000
    if State.QUEUED in states:
        return 1500
    return 2000 if State.RECEIVING in states else 0


def known_versions(header: str) -> list[str]:
    """The versions in an If-None-Match header, as many as are kept live; nothing for what is not ours."""
    tag = header.strip().removeprefix("W/").strip('"')
    return [part for part in tag.split(".")[: LIVE_ROWS + LIVE_BELOW] if len(part) == 21 and part[12] == "-"]


def named(ids: str) -> list[UUID]:
    """The jobs a browser names beside the newest rows: at most LIVE_BELOW ids, each as 32 hex digits."""
    parts = ids[: LIVE_BELOW * 33].split(".")
    return [UUID(part) for part in parts if len(part) == 32 and set(part) <= set("0123456789abcdef")]


def glance(owner_id: int, wanted: Wanted, until: str, also: Sequence[UUID] = ()) -> tuple[str, int]:
    """The ETag and pause of `changes` alone, in one query."""
    now, _below, _full, states, _line = _look(owner_id, wanted, until, also)
    return _etag(now), pause(states)


def _etag(now: dict[UUID, str]) -> str:
    return f'"{".".join(now.values())}"'


def _look(
    owner_id: int, wanted: Wanted, until: str, also: Sequence[UUID]
) -> tuple[dict[UUID, str], list[UUID], bool, set[str], Line]:
    """The rows that are kept live: their versions by id, those of `also` among them, whether there are more
    than LIVE_ROWS, the states they are in, and the line."""
    everything = wanted.among(UploadJob.objects.owned_by(owner_id))
    rows = everything
    if place := _place(until):
        moment, last = place
        rows = rows.filter(Q(created_at__gte=moment + _LEAST) | _at(moment) & Q(pk__gte=last))
    seen = list(rows.values_list(*SEEN)[:LIVE_ROWS])
    full = len(seen) == LIVE_ROWS
    below = [job_id for job_id in also if full and job_id not in {row[0] for row in seen}]
    if below:
        seen += everything.filter(pk__in=below).values_list(*SEEN)
    states = {row[1] for row in seen}
    line = line_for(states)
    now = {
        pk: version(pk, state, progress, note, attempt, due, line.wait(pk))
        for pk, state, progress, note, attempt, due in seen
    }
    return now, below, full, states, line


def changes(
    user: User, wanted: Wanted, until: str, known: Sequence[str], also: Sequence[UUID] = ()
) -> Changes:
    """Compare the list down to the cursor `until` (all of it where empty) with what a browser has.

    Where that is more than LIVE_ROWS, the newest are compared, and the rows `also`.
    """
    now, below, full, states, line = _look(user.pk, wanted, until, also)
    before = {one[:12]: one for one in known}
    stale = [job_id for job_id, mark in now.items() if before.get(key_of(job_id)) != mark]
    # Between the two queries a job may move on or vanish: the next look sees to that.
    loaded: dict[UUID, UploadJob] = (
        permissions.own(user).select_related("transfer").in_bulk(stale) if stale else {}
    )
    shown = {key_of(job_id) for job_id in now}
    new: list[Group] = []
    previous, together = "", False
    for job_id in now:
        fresh = key_of(job_id) not in before and job_id in loaded
        if fresh and together:
            new[-1].jobs.append(loaded[job_id])
        elif fresh:
            new.append(Group(previous, [loaded[job_id]]))
        if key_of(job_id) in before or fresh:
            previous = key_of(job_id)
        together = fresh
    return Changes(
        etag=_etag(now),
        pause=pause(states),
        changed=[loaded[job_id] for job_id in stale if job_id in loaded and key_of(job_id) in before],
        new=new,
        # Among the newest rows, one that is missing may merely have been pushed down.
        gone=[key for key in (map(key_of, below) if full else before) if key not in shown],
        line=line,
    )
