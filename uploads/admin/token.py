"""API tokens: made here and shown once, revoked by deleting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from uploads.admin.base import TypedModelAdmin
from uploads.admin.site import site
from uploads.models import ApiToken

if TYPE_CHECKING:
    from django.http import HttpRequest

    AnyForm = forms.ModelForm[ApiToken]
else:
    AnyForm = forms.ModelForm


class TokenForm(AnyForm):
    """Whose token, what for, and until when. `acting` is the operator who makes it."""

    acting: User

    class Meta:
        model = ApiToken
        fields = ("user", "name", "expires_at")

    def clean_user(self) -> User:
        """A token has all rights of its user, so nobody but a superuser makes one for other staff."""
        owner: User = self.cleaned_data["user"]
        if owner.is_staff and owner != self.acting and not self.acting.is_superuser:
            raise forms.ValidationError(
                _("Only a superuser makes a token for another member of staff."), code="not_allowed"
            )
        return owner

    def clean_expires_at(self) -> Any:
        until = self.cleaned_data["expires_at"]
        if until and until <= timezone.now():
            raise forms.ValidationError(_("This time has passed."), code="expired")
        return until


@admin.register(ApiToken, site=site)
class TokenAdmin(TypedModelAdmin[ApiToken]):
    """A token is made and revoked; what it may do is its user's, so there is nothing to change."""

    form = TokenForm
    list_display = ("prefix", "user", "name", "created_at", "last_used_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("prefix", "name", "user__username")
    autocomplete_fields = ("user",)
    fields = ("user", "name", "prefix", "created_at", "last_used_at", "expires_at")

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        return self.fields if obj else ("user", "name", "expires_at")

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def get_form(
        self, request: HttpRequest, obj: ApiToken | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.acting = request.user  # Django makes the class anew for each request
        return form

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Issue the token. It is told in a message (a cookie until it is shown) and nowhere else."""
        issued, token = ApiToken.issue(obj.user, obj.name)
        if obj.expires_at:
            issued.expires_at = obj.expires_at
            issued.save(update_fields=["expires_at"])
        obj.pk, obj.prefix, obj.digest, obj.created_at = (
            issued.pk, issued.prefix, issued.digest, issued.created_at,
        )  # fmt: skip
        told = gettext("The token, shown this once: {} Copy it now.")
        self.message_user(request, format_html(told, format_html("<code>{}</code>", token)), messages.WARNING)
