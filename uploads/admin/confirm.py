"""The page between choosing an action and doing it: what is about to move, and a note where one is asked for.

The page carries the selection as it was posted, not a field for each row of all pages (thousands would
pass Django's limit of fields), and the moment it was shown: rows that came later are not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from uploads.admin.base import BoundedPaginator

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.db.models import QuerySet
    from django.http import HttpRequest

_LISTED = 100


class Question:
    """Asks whether `action` shall be done to `queryset`; `seen` names the column of a row's birth."""

    def __init__(
        self,
        admin: ModelAdmin[Any],
        request: HttpRequest,
        queryset: QuerySet[Any],
        *,
        action: str,
        seen: str,
    ) -> None:
        self.admin, self.request, self.queryset = admin, request, queryset
        self.action, self.seen = action, seen

    @property
    def answered(self) -> bool:
        return self.request.POST.get("post") == "yes"

    @property
    def note(self) -> str:
        return self.request.POST.get("note", "").strip()

    def rows(self) -> QuerySet[Any]:
        """The rows that were there when the page was shown."""
        posted = self.request.POST.get("seen_until", "")
        if not posted:
            return self.queryset
        try:
            until = parse_datetime(posted)
        except ValueError:
            until = None
        if until is None or timezone.is_naive(until):
            raise BadRequest("seen_until is not a time.")
        return self.queryset.filter(**{f"{self.seen}__lte": until})

    def page(self, *, title: str, text: str, button: str, note: str = "") -> TemplateResponse:
        """The confirmation; with `note`, it asks for one under that label."""
        until = timezone.now()
        rows = self.queryset.filter(**{f"{self.seen}__lte": until})
        context = {
            **self.admin.admin_site.each_context(self.request),
            "title": title,
            "subtitle": None,
            "text": text,
            "button": button,
            "note_label": note,
            "opts": self.admin.opts,
            "rows": rows[:_LISTED],
            "count": BoundedPaginator(rows, _LISTED).count,
            "listed": _LISTED,
            "action": self.action,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "selected": self.request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": self.request.POST.get("select_across", "0"),
            "seen_until": until.isoformat(),
            "media": self.admin.media,
        }
        return TemplateResponse(self.request, "admin/uploads/confirm.html", context)
