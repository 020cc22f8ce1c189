"""A row of the list as a template needs it: a job with its card, its place in line, and what may be done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from uploads.jobs.lifecycle.queue_position import Line, Wait
from uploads.models import ErrorRecord, State, Transfer, UploadJob
from uploads.web.cards import kinds
from uploads.web.cards.card import Card
from uploads.web.listing import changes
from uploads.web.wording import translated, waiting


@dataclass
class Row:
    """One job as shown. `wait` is None where it is not in line, or too far back."""

    job: UploadJob
    wait: Wait | None = None

    @property
    def key(self) -> str:
        return changes.key_of(self.job.pk)

    @property
    def version(self) -> str:
        return changes.version_of(self.job, self.wait)

    @property
    def whole(self) -> bool:
        """Whether all bytes came in: what was cancelled before has no file."""
        return self.job.queued_at is not None

    @property
    def error(self) -> ErrorRecord | None:
        return self.job.last_error

    @cached_property
    def reason(self) -> translated.Reason | None:
        """Why the latest attempt failed, for its reader."""
        return translated.reason(self.error) if self.error else None

    @property
    def note(self) -> translated.Said:
        """What a job under way says of itself."""
        return translated.said(self.job.note)

    @property
    def resumable(self) -> Transfer | None:
        """How far a resumable upload has come, while it is being received."""
        if self.job.state != State.RECEIVING:
            return None
        found: Transfer | None = getattr(self.job, "transfer", None)  # read with the row
        return found

    @property
    def waits_again(self) -> bool:
        """Whether it waits for a later time after a failed attempt."""
        due = self.job.next_attempt_at
        return due is not None and self.error is not None and due > timezone.now()

    @property
    def may_retry(self) -> bool:
        """Where running the same bytes again could end differently."""
        if self.job.state == State.CANCELLED:
            return self.whole
        error = self.error
        return self.job.state == State.FAILED and (error is None or error.retryable)

    @property
    def may_cancel(self) -> bool:
        return not self.job.is_terminal

    @property
    def label(self) -> str:
        """The state in a word or two."""
        job = self.job
        if job.state == State.QUEUED:
            if self.waits_again:
                return _("Will be tried again")
            return waiting.place(self.wait) if self.wait else _("Waiting")
        return {
            State.RECEIVING: _("Receiving"),
            State.RUNNING: _("Working"),
            State.SUCCEEDED: _("Done"),
            State.FAILED: _("Failed"),
            State.CANCELLED: _("Cancelled"),
        }[State(job.state)]

    @property
    def still(self) -> str:
        """About how long a waiting file still waits, where that is known."""
        return waiting.still(self.wait) if self.wait and self.job.state == State.QUEUED else ""

    @cached_property
    def card(self) -> Card | None:
        return kinds.card(self.job) if self.job.state == State.SUCCEEDED else None

    @property
    def picture(self) -> str:
        return kinds.picture(self.job) if self.job.state == State.SUCCEEDED else ""

    @property
    def tag(self) -> str:
        """Three or four letters that stand for the kind of file where it has no picture."""
        _stem, dot, suffix = self.job.filename.rpartition(".")
        letters = "".join(one for one in suffix if one.isascii() and one.isalnum()) if dot else ""
        return letters[:4].upper() if 1 <= len(letters) <= 5 else (self.job.kind[:4].upper() or "–")


def rows(jobs: Iterable[UploadJob], line: Line) -> list[Row]:
    return [Row(job, line.wait(job.pk)) for job in jobs]


def announcement(jobs: list[UploadJob]) -> str:
    """What a screen reader says of jobs that came to an end: each by name while they are few."""
    if len(jobs) <= 3:
        return " ".join(_sentence(job) for job in jobs)
    counts = Counter(job.state for job in jobs)
    done, failed, cancelled = counts[State.SUCCEEDED], counts[State.FAILED], counts[State.CANCELLED]
    parts = []
    if done:
        parts.append(ngettext("%(n)s file is done.", "%(n)s files are done.", done) % {"n": done})
    if failed:
        parts.append(ngettext("%(n)s file failed.", "%(n)s files failed.", failed) % {"n": failed})
    if cancelled:
        text = ngettext("%(n)s file was cancelled.", "%(n)s files were cancelled.", cancelled)
        parts.append(text % {"n": cancelled})
    return " ".join(parts)


def _sentence(job: UploadJob) -> str:
    name = {"name": job.filename[:80]}
    if job.state == State.SUCCEEDED:
        return _("%(name)s is done.") % name
    if job.state == State.CANCELLED:
        return _("%(name)s was cancelled.") % name
    reason = translated.sentence(job.last_error) if job.last_error else ""
    return (_("%(name)s failed.") % name) + (f" {reason}" if reason else "")
