"""API tokens: made here and shown once, revoked by deleting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from uploads.admin.base import TypedModelAdmin
from uploads.admin.site import site
from uploads.models import ApiToken

if TYPE_CHECKING:
    from django.http import HttpRequest


class TokenForm(forms.ModelForm[ApiToken] if TYPE_CHECKING else forms.ModelForm):  # type: ignore[misc]
    """Whose token, what for, and until when."""

    class Meta:
        model = ApiToken
        fields = ("user", "name", "expires_at")

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

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Issue the token. It is told in this answer's message and nowhere else.

        Raises PermissionDenied where it would lend the rights of another member of staff.
        """
        acting: Any = request.user
        owner: User = obj.user
        if owner.is_staff and owner != acting and not acting.is_superuser:
            raise PermissionDenied
        issued, token = ApiToken.issue(owner, obj.name)
        if obj.expires_at:
            issued.expires_at = obj.expires_at
            issued.save(update_fields=["expires_at"])
        obj.pk, obj.prefix, obj.digest, obj.created_at = (
            issued.pk, issued.prefix, issued.digest, issued.created_at,
        )  # fmt: skip
        told = gettext("The token, shown this once: {} Copy it now.")
        self.message_user(request, format_html(told, format_html("<code>{}</code>", token)), messages.WARNING)
