"""One act on many rows: a transaction for each, and an honest count of what moved and what did not.

A row that somebody else moved meanwhile is skipped with its reason. Memory does not grow with the rows;
time is bounded too, since a connection without a byte for UPLOADS_IDLE_TIMEOUT is shut down.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import Count, Model, QuerySet
from django.utils.translation import gettext as _

from uploads.codes import Refused
from uploads.i18n import phrases
from uploads.models import State

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.http import HttpRequest

SECONDS = 12.0
_CHUNK = 200


class Skipped(Exception):
    """The row stays as it is; the message is the reason an operator reads."""


@dataclass(slots=True)
class Tally:
    """How many rows moved, how many were skipped for which reason, and whether time ran out."""

    moved: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    cut_short: bool = False


def on_each(
    rows: QuerySet[Any],
    act: Callable[[Any], None],
    *,
    skipped: Counter[str] | None = None,
    seconds: float | None = None,
) -> Tally:
    """Do `act` to each row in a transaction of its own; a row for which it is refused is skipped.

    `skipped` are those that were set aside before; at most `seconds` (SECONDS) are spent.
    """
    tally = Tally(skipped=skipped or Counter())
    until = time.monotonic() + (SECONDS if seconds is None else seconds)
    for row in _each(rows):
        if time.monotonic() > until:
            tally.cut_short = True
            break
        try:
            with transaction.atomic():
                act(row)
        except (Refused, Skipped) as reason:
            tally.skipped[
                phrases.translated(reason.detail) if isinstance(reason, Refused) else str(reason)
            ] += 1
        else:
            tally.moved += 1
    return tally


def in_states(
    jobs: QuerySet[Any], states: Collection[State], *, state: str = "state"
) -> tuple[QuerySet[Any], Counter[str]]:
    """The rows whose job (its column `state`) is in `states`, and how many are not, by reason.

    One query for those that stay: a selection of all pages may hold a million of them.
    """
    others = jobs.exclude(**{f"{state}__in": states}).order_by().values(state).annotate(count=Count("pk"))
    reasons: Counter[str] = Counter()
    for row in others.prefetch_related(None):
        told = _("the job is %s") % State(row[state]).label if row[state] else _("the job was deleted")
        reasons[told] = row["count"]
    return jobs.filter(**{f"{state}__in": states}), reasons


def _each(rows: QuerySet[Any]) -> Iterator[Model]:
    """The rows by key, a chunk at a time, with no cursor open while they are moved."""
    ordered = rows.prefetch_related(None).order_by("pk")
    last = None
    while True:
        chunk = list((ordered if last is None else ordered.filter(pk__gt=last))[:_CHUNK])
        yield from chunk
        if len(chunk) < _CHUNK:
            return
        last = chunk[-1].pk


def note(request: HttpRequest, row: Model, message: str, flag: int = CHANGE) -> None:
    """Write the act on `row` into the admin's log, in the transaction that moves it."""
    acting: Any = request.user.pk
    LogEntry.objects.log_actions(acting, [row], flag, message, single_object=True)


def tell(request: HttpRequest, page: ModelAdmin[Any], tally: Tally, done: str) -> None:
    """Say what happened; `done` is what a moved row was, such as "queued again"."""
    sentences = [
        _("%(moved)d %(what)s %(done)s.")
        % {
            "moved": tally.moved,
            "done": done,
            "what": page.opts.verbose_name if tally.moved == 1 else page.opts.verbose_name_plural,
        }
    ]
    if tally.skipped:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in tally.skipped.most_common(8))
        sentences.append(
            _("%(count)d skipped: %(reasons)s") % {"count": tally.skipped.total(), "reasons": reasons}
        )
    if tally.cut_short:
        sentences.append(_("Time was up before the end: run the action again for the rest."))
    clean = tally.moved and not tally.skipped and not tally.cut_short
    page.message_user(request, " ".join(sentences), messages.SUCCESS if clean else messages.WARNING)
