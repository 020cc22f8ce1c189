"""The figures of the admin's index: what an operator on call asks first. Each is bounded or from an index."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from uploads.admin import formatting
from uploads.admin.base import COUNT_AT_MOST, AtLeast
from uploads.codes import FAILURE_CODES
from uploads.models import ErrorRecord, Node, Pause, State, UploadJob

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User
    from django.db.models import QuerySet

_SHOWN_NODES = 20


def figures(user: User | AnonymousUser) -> dict[str, Any]:
    """What this user may see of: `states`, `oldest` due job and its `waiting` time, `errors`, `pauses`, `nodes`."""
    now = timezone.now()
    shown: dict[str, Any] = {}
    if user.has_perm("uploads.view_uploadjob"):
        shown["states"] = _states()
        shown["oldest"] = oldest = UploadJob.objects.due().order_by("run_after").defer("result").first()
        shown["waiting"] = formatting.between(oldest.run_after, now) if oldest else ""
    if user.has_perm("uploads.view_errorrecord"):
        shown["errors"] = _errors(now - timedelta(days=1))
        shown["open_errors"] = _bounded(ErrorRecord.objects.filter(resolved_at__isnull=True))
        shown["errors_url"] = reverse("admin:uploads_errorrecord_changelist")
    if user.has_perm("uploads.view_pause"):
        shown["pauses"] = list(Pause.objects.select_related("by"))
    if user.has_perm("uploads.view_node"):
        nodes = [(node, life_of(node)) for node in _nodes()]
        shown["nodes"] = [{"row": node, "life": life} for node, life in nodes]
        shown["live"] = sum(life[0] == "live" for _node, life in nodes)
    return shown


def life_of(node: Node) -> tuple[str, str]:
    """A word and its label: "live", "stopped", or "silent" for as long as a lease, thus taken for lost."""
    if node.stopped_at:
        return "stopped", _("stopped")
    silent = timezone.now() - node.beat_at > timedelta(seconds=settings.UPLOADS_LEASE_SECONDS)
    return ("silent", _("silent")) if silent else ("live", _("live"))


def _states() -> list[dict[str, Any]]:
    url = reverse("admin:uploads_uploadjob_changelist")
    return [
        {
            "state": state.value,
            "label": state.label,
            "count": _bounded(UploadJob.objects.filter(state=state)),
            "url": f"{url}?{urlencode({'state__exact': state.value})}",
        }
        for state in State
    ]


def _errors(since: datetime) -> list[dict[str, Any]]:
    url = reverse("admin:uploads_errorrecord_changelist")
    rows = (
        ErrorRecord.objects.filter(resolved_at__isnull=True, occurred_at__gte=since)
        .order_by()
        .values("code")
        .annotate(count=Count("pk"), by_itself=Count("pk", filter=Q(will_retry=True)))
    )
    return [
        {
            **row,
            "title": FAILURE_CODES[row["code"]].title,
            "own_fault": FAILURE_CODES[row["code"]].files_own_fault,
            "url": f"{url}?{urlencode({'code__exact': row['code'], 'occurred_at__gte': since.isoformat()})}",
        }
        for row in sorted(rows, key=lambda row: -row["count"])
    ]


def _nodes() -> list[Node]:
    """Running nodes, the silent ones of the last day too: a lost node is what one looks for."""
    recent = timezone.now() - timedelta(days=1)
    return list(Node.objects.filter(stopped_at__isnull=True, beat_at__gte=recent)[:_SHOWN_NODES])


def _bounded(rows: QuerySet[Any]) -> int:
    found: int = rows.order_by().values("pk")[: COUNT_AT_MOST + 1].count()
    return AtLeast(COUNT_AT_MOST) if found > COUNT_AT_MOST else found
