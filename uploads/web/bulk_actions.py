"""What is done with many files at once: ticked one by one, or all that a filter shows."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from uploads.codes import Refused
from uploads.jobs.lifecycle import execution, permissions
from uploads.models import JobQuerySet, State, UploadJob
from uploads.storage import parts, zip_stream
from uploads.storage.kept import local
from uploads.web.listing.changes import Wanted

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MOST = 500  # a request: each is a transaction of its own, and somebody waits for the answer
VERBS: dict[str, Callable[[UUID], None]] = {
    "retry": execution.retry,
    "cancel": execution.cancel,
    "delete": execution.delete,
}
# To which of the chosen a verb applies; the others are passed over in silence: nobody meant them.
STATES = {
    "retry": (State.FAILED, State.CANCELLED),
    "cancel": (State.RECEIVING, State.QUEUED, State.RUNNING),
    "delete": tuple(State),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a form says: ids, or everything a filter shows that was there at `before`."""

    ids: tuple[UUID, ...]
    everything: bool
    wanted: Wanted
    before: datetime

    @classmethod
    def from_form(cls, form: Any) -> Chosen:
        """Read `job` (repeated), `all`, `state`, `q` and `before`; what is no id is passed over."""
        return cls(
            ids=tuple(filter(None, map(_id, form.getlist("job")))),
            everything=bool(form.get("all")),
            wanted=Wanted.from_query(form),
            before=_moment(form.get("before", "")),
        )

    def rows(self, user: User) -> JobQuerySet:
        """One's own jobs among them, newest first."""
        rows = (
            self.wanted.rows(user)
            if self.everything
            else permissions.own(user).filter(pk__in=self.ids[:MOST])
        )
        return rows.filter(created_at__lte=self.before)


def act(user: User, chosen: Chosen, verb: str) -> str:
    """Do it to all that are in a state for it, at most MOST; what was done, in a sentence or two."""
    rows = chosen.rows(user).filter(state__in=STATES[verb]).prefetch_related(None)
    ids = list(rows.values_list("pk", flat=True)[: MOST + 1])
    moved = 0
    for job_id in ids[:MOST]:
        try:
            VERBS[verb](job_id)
        except Refused:
            continue  # it moved on by itself meanwhile, or its file is gone
        moved += 1
    return " ".join(filter(None, [_done(verb, moved), _left(len(ids[:MOST]) - moved), _more(len(ids))]))


def _done(verb: str, moved: int) -> str:
    text = {
        "retry": ngettext(
            "%(n)s file is in the queue again.", "%(n)s files are in the queue again.", moved
        ),
        "cancel": ngettext("%(n)s file was cancelled.", "%(n)s files were cancelled.", moved),
        "delete": ngettext("%(n)s file was deleted.", "%(n)s files were deleted.", moved),
    }[verb]  # fmt: skip
    return text % {"n": moved}


def _left(left: int) -> str:
    text = ngettext("%(n)s could not be.", "%(n)s could not be.", left) % {"n": left}
    return text if left else ""


def _more(found: int) -> str:
    return _("There are more: do it again for the rest.") if found > MOST else ""


def zipped(user: User, chosen: Chosen) -> Iterator[bytes]:
    """The files as one zip, in pieces, in the order they came. Raises Refused where there is none, or too many."""
    rows = (
        chosen.rows(user).filter(queued_at__isnull=False).prefetch_related(None).order_by("created_at", "pk")
    )
    jobs = list(rows[: settings.UPLOADS_MAX_FILES * 10 + 1])
    if not jobs:
        raise Refused("not_found", _("None of these has a file to download."))
    if len(jobs) > settings.UPLOADS_MAX_FILES * 10:
        most = settings.UPLOADS_MAX_FILES * 10
        raise Refused("too_large", _("These are more than %(n)s files: choose fewer.") % {"n": most})
    return zip_stream.stream(map(_entry, jobs))


def _entry(job: UploadJob) -> zip_stream.Entry:
    whole = not parts.pending(job.pk)
    return zip_stream.Entry(job.filename, local.file_path(job.pk) if whole else None, job.created_at)


def zip_name() -> str:
    """What a download of many is called."""
    name = f"{_('uploads')}-{timezone.localtime():%Y-%m-%d-%H%M}.zip"
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return timezone.now()
    return moment if timezone.is_aware(moment) else timezone.now()
