"""One failed attempt, as an operator sees it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from uploads.codes import FAILURE_CODES
from uploads.models.job import UploadJob


class ErrorRecord(models.Model):
    """One failed attempt. It outlives its job, so what is needed to understand it is copied into it."""

    job = models.ForeignKey(
        UploadJob, models.SET_NULL, null=True, blank=True, related_name="errors", verbose_name=_("job")
    )
    job_uuid = models.UUIDField(_("job id"))
    attempt = models.PositiveIntegerField(_("attempt"))
    code = models.CharField(
        _("code"), max_length=30, choices=[(row.code, row.title) for row in FAILURE_CODES.values()]
    )
    message = models.CharField(_("message"), max_length=500, help_text=_("What the uploader reads."))
    detail = models.TextField(_("detail"), blank=True, default="")
    exception_type = models.CharField(_("exception"), max_length=200, blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")
    worker = models.CharField(_("worker"), max_length=200, blank=True, default="")
    will_retry = models.BooleanField(
        _("tried again by itself"), default=False, help_text=_("The code's budget allowed another attempt.")
    )
    filename = models.CharField(_("file name"), max_length=255)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True, default="")
    size = models.BigIntegerField(_("size"), default=0)
    kind = models.CharField(_("kind"), max_length=40, blank=True, default="")
    content_type = models.CharField(_("content type"), max_length=127, blank=True, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True,
        related_name="upload_errors", verbose_name=_("owner"),
    )  # fmt: skip
    occurred_at = models.DateTimeField(_("occurred"))
    resolved_at = models.DateTimeField(_("resolved"), null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True,
        related_name="+", verbose_name=_("resolved by"),
    )  # fmt: skip
    resolution_note = models.TextField(_("resolution note"), blank=True, default="")

    class Meta:
        verbose_name = _("error record")
        verbose_name_plural = _("error records")
        ordering = ("-occurred_at", "-id")
        indexes = (
            models.Index(fields=["-occurred_at", "-id"], name="error_by_time"),
            models.Index(fields=["code", "-occurred_at"], name="error_by_code"),
            models.Index(fields=["-occurred_at"], name="error_open", condition=Q(resolved_at__isnull=True)),
        )
        constraints = (models.UniqueConstraint(fields=["job_uuid", "attempt"], name="error_once_an_attempt"),)
        permissions = (
            ("retry_errorrecord", "Can retry the job of an error record"),
            ("resolve_errorrecord", "Can resolve and reopen an error record"),
        )

    def __str__(self) -> str:
        return f"{self.code}: {self.filename}"

    @property
    def advice(self) -> str:
        """What the uploader may do about it."""
        return FAILURE_CODES[self.code].uploader_advice

    @property
    def operator_advice(self) -> str:
        return FAILURE_CODES[self.code].operator_advice

    @property
    def retryable(self) -> bool:
        """Whether running the same bytes again could end differently."""
        return not FAILURE_CODES[self.code].files_own_fault and self.code != "file_missing"

    @property
    def is_resolved(self) -> bool:
        return self.resolved_at is not None
