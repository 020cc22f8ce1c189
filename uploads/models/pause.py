"""An operator's pause: no job, or none of one kind, is started until somebody resumes."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Pause(models.Model):
    """Starts are paused while the row is there; `kind` "" means all kinds."""

    kind = models.CharField(
        _("kind"), max_length=40, blank=True, default="", unique=True, help_text=_("Empty: all kinds.")
    )
    note = models.CharField(_("note"), max_length=300, blank=True, default="")
    since = models.DateTimeField(_("since"), db_default=Now())
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True,
        related_name="+", verbose_name=_("by"),
    )  # fmt: skip

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        ordering = ("kind",)

    def __str__(self) -> str:
        return self.kind or "all"
