"""A file derived from an upload."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from uploads.models.job import UploadJob


class Artifact(models.Model):
    """A thumbnail, extracted text or preview; `attempt` says under which directory its bytes live."""

    job = models.ForeignKey(UploadJob, models.CASCADE, related_name="artifacts", verbose_name=_("job"))
    attempt = models.PositiveIntegerField(_("attempt"))
    name = models.CharField(_("name"), max_length=80)
    content_type = models.CharField(_("content type"), max_length=127)
    size = models.BigIntegerField(_("size"))

    class Meta:
        verbose_name = _("artifact")
        verbose_name_plural = _("artifacts")
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=["job", "name"], name="artifact_once"),)

    def __str__(self) -> str:
        return self.name
