"""Filters of the lists. None counts, and none asks for all distinct values of a column of a million rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django.db.models import QuerySet
    from django.http import HttpRequest

_RECENT = 1_000


class _RecentValues(admin.SimpleListFilter):
    """The values that the newest rows have in one column; any other can be put into the address."""

    field: ClassVar[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        newest = model_admin.model.objects.order_by(*model_admin.opts.ordering)
        found = set(newest.values_list(self.field, flat=True)[:_RECENT]) | {self.value() or ""}
        return [(value, value) for value in sorted(found) if value]

    def has_output(self) -> bool:
        return True  # also without rows, lest the filter in the address be forgotten

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset


class KindFilter(_RecentValues):
    title = _("kind")
    parameter_name = field = "kind"


class ContentTypeFilter(_RecentValues):
    title = _("content type")
    parameter_name = field = "content_type"


class OwnerFilter(admin.SimpleListFilter):
    """One owner, by exact user name, typed into a field: there may be thousands."""

    title = _("owner")
    parameter_name = "owner"
    template = "admin/uploads/owner_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return []

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        # Looked up first: nobody of this name must not cost a walk over all rows.
        owner = get_user_model().objects.filter(username=self.value()).first()
        return queryset.filter(owner=owner) if owner else queryset.none()

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        others: Iterable[tuple[str, Any]] = changelist.params.items()
        yield {
            "value": self.value() or "",
            "selected": bool(self.value()),
            "clear": changelist.get_query_string(remove=[self.parameter_name]),
            "kept": [(key, value) for key, value in others if key not in (self.parameter_name, PAGE_VAR)],
        }


class ContradictionFilter(admin.SimpleListFilter):
    title = _("name contradicts content")
    parameter_name = "contradiction"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "yes":
            return queryset.exclude(contradiction="")
        return queryset.filter(contradiction="") if self.value() == "no" else queryset


class ReviewFilter(admin.SimpleListFilter):
    """Open records first: the list is an operator's work, the rest is history."""

    title = _("review")
    parameter_name = "review"
    names = (("open", _("Open")), ("resolved", _("Resolved")), ("all", _("All")))

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(self.names)

    def chosen(self) -> str:
        return str(self.value()) if self.value() in ("resolved", "all") else "open"

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, title in self.names:
            yield {
                "selected": value == self.chosen(),
                "query_string": changelist.get_query_string({self.parameter_name: value}),
                "display": title,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.chosen() == "all":
            return queryset
        return queryset.filter(resolved_at__isnull=self.chosen() == "open")
