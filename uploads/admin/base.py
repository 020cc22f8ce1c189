"""What our admin pages share: history is read-only, and a count stops where nobody reads on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_POST

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern

    TypedModelAdmin = admin.ModelAdmin
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator

    class TypedModelAdmin(admin.ModelAdmin):
        """Django's, which takes its type argument at run time too."""

        def __class_getitem__(cls, _model: object) -> type:
            return cls


M = TypeVar("M", bound=Model)
COUNT_AT_MOST = 10_000


class AtLeast(int):
    """A count that was not carried to its end: calculates as a number, reads "10000+"."""

    def __str__(self) -> str:
        return f"{int.__repr__(self)}+"


class BoundedPaginator(AnyPaginator):
    """Counts no further than COUNT_AT_MOST: counting a million rows would take longer than the page.

    Rows behind that are reached by a filter or a search, as nobody turns 200 pages.
    """

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found: int = rows.order_by().values("pk")[: COUNT_AT_MOST + 1].count()
        return AtLeast(COUNT_AT_MOST) if found > COUNT_AT_MOST else found


class HistoryAdmin(TypedModelAdmin[M]):
    """Rows that only the machinery writes: to be found and read, never added, edited or removed here."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # facets count every filter's every choice over the whole table
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """As Django's; but an action that exists and is not this user's is refused, not overlooked.

        Raises BadRequest for keys and filters that no page of ours makes and that Django stumbles over.
        """
        if any("\x00" in value for values in request.GET.lists() for value in values[1]):
            raise BadRequest("A filter holds a NUL character.")
        if request.method == "POST":
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                try:
                    self.opts.pk.to_python(key)
                except ValidationError as wrong:
                    raise BadRequest("A selected row has no key of this list.") from wrong
            known = set(self.actions or ())
            offered = self.get_actions(request)
            if any(name in known and name not in offered for name in request.POST.getlist("action")):
                raise PermissionDenied
        return super().changelist_view(request, extra_context)

    # What the buttons of a row's page may do: names of actions that take one row as well as many.
    buttons: tuple[str, ...] = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.button_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_do"
        return [path("<path:object_id>/do/<slug:verb>/", view, name=name), *super().get_urls()]

    def button_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponseBase:
        """A button on a row's page is the action of that name with one row selected."""
        if verb not in self.buttons:
            raise Http404
        action = self.get_actions(request).get(verb)
        if action is None or not self.has_view_permission(request):
            raise PermissionDenied
        key = unquote(object_id)
        row = self.get_object(request, key)
        if row is None:
            raise Http404
        answer: object = action[0](self, request, self.get_queryset(request).filter(pk=row.pk))
        if isinstance(answer, HttpResponseBase):
            return answer
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", row.pk)

    def _may(self, request: HttpRequest, act: str) -> bool:
        """Whether this user holds our own permission `act`, such as "retry", on this model."""
        user = request.user
        return user.is_active and user.has_perm(f"{self.opts.app_label}.{act}_{self.opts.model_name}")
