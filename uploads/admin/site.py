"""Our AdminSite: only what is registered here, and an index that answers "is anything on fire?"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from uploads.admin import overview

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.template.response import TemplateResponse


class WharfingerSite(admin.AdminSite):
    """Not Django's default site, on which django-q2 puts pages that can run any code."""

    site_title = site_header = "Wharfinger"
    index_title = _("Overview")
    index_template = "admin/overview.html"
    enable_nav_sidebar = False  # five lists: the index is enough, and tables need the width
    empty_value_display = "-"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        figures = overview.figures(request.user)
        return super().index(request, {"figures": figures, **(extra_context or {})})


site = WharfingerSite(name="admin")
