"""Nodes: where the work is done, and whether they still beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from uploads.admin import formatting, overview
from uploads.admin.base import HistoryAdmin
from uploads.admin.site import site
from uploads.models import Node

if TYPE_CHECKING:
    from django.utils.safestring import SafeString


_TIMES = (
    formatting.when("beat_at", _("last heartbeat")),
    formatting.when("started_at", _("started")),
    formatting.when("stopped_at", _("stopped")),
)


@admin.register(Node, site=site)
class NodeAdmin(HistoryAdmin[Node]):
    list_display = ("name", "life", "workers", *_TIMES, "restarts", "note")
    sortable_by = ("beat_at",)
    search_fields = ("name",)
    fields = (
        "name", "life", "workers", *_TIMES, "restarts", "note", "pid", "pid_namespace", "boot_id", "id",
    )  # fmt: skip

    @admin.display(description=_("state"))
    def life(self, node: Node) -> SafeString:
        word, told = overview.life_of(node)
        return format_html('<span class="wf-state wf-{}">{}</span>', word, told)
