"""Pauses: to add one holds starts back, to delete it resumes them. Django's own log says who did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from uploads.admin import formatting
from uploads.admin.base import TypedModelAdmin
from uploads.admin.site import site
from uploads.codes import Refused
from uploads.i18n import phrases
from uploads.jobs.lifecycle import pauses
from uploads.models import Pause

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    AnyForm = forms.ModelForm[Pause]
else:
    AnyForm = forms.ModelForm


class PauseForm(AnyForm):
    """One kind of file, or all."""

    kind = forms.ChoiceField(label=_("kind"), required=False)

    class Meta:
        model = Pause
        fields = ("kind", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["kind"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        field.choices = [("", _("all kinds")), *((kind, kind) for kind in pauses.kinds())]


@admin.register(Pause, site=site)
class PauseAdmin(TypedModelAdmin[Pause]):
    form = PauseForm
    list_display = ("kind_told", formatting.when("since", _("since")), "by", "note")
    list_select_related = ("by",)

    @admin.display(description=_("kind"))
    def kind_told(self, pause: Pause) -> str:
        return pause.kind or str(_("all kinds"))

    def has_change_permission(self, request: HttpRequest, obj: Pause | None = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """As Django's; a pause that somebody else has just made is no error."""
        try:
            return super().add_view(request, form_url, extra_context)
        except Refused as refused:
            self.message_user(request, phrases.translated(refused.detail), messages.WARNING)
            return redirect("admin:uploads_pause_changelist")

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        obj.pk = pauses.pause(obj.kind, _acting(request), obj.note).pk

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        pauses.resume(obj.pk, _acting(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        for pause in queryset:
            try:
                pauses.resume(pause.pk, _acting(request))
            except Refused as refused:
                self.message_user(request, phrases.translated(refused.detail))  # somebody else was faster


def _acting(request: HttpRequest) -> User:
    user: Any = request.user
    found: User = user
    return found
