"""One run of a job by a worker."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from uploads.models.job import UploadJob
from uploads.models.node import Node


class Outcome(models.TextChoices):
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    RELEASED = "released", _("released")


class Attempt(models.Model):
    """One run of a job: written when it starts, so that a file that kills its worker is counted."""

    job = models.ForeignKey(UploadJob, models.CASCADE, related_name="attempts", verbose_name=_("job"))
    number = models.PositiveIntegerField(_("number"))
    node = models.ForeignKey(
        Node, models.SET_NULL, null=True, blank=True, related_name="attempts", verbose_name=_("node")
    )
    worker = models.CharField(_("worker"), max_length=200, help_text=_("Node name and process id."))
    pid = models.PositiveIntegerField(_("process id"))
    pid_started = models.BigIntegerField(
        _("process start"), default=0, help_text=_("Clock ticks since boot: tells a reused process id.")
    )
    started_at = models.DateTimeField(_("started"))
    deadline = models.DateTimeField(_("deadline"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome, blank=True, default="")
    peak_memory = models.BigIntegerField(_("peak memory"), null=True, blank=True, help_text=_("Bytes."))
    cpu_seconds = models.FloatField(_("CPU seconds"), null=True, blank=True)
    wall_seconds = models.FloatField(_("wall seconds"), null=True, blank=True)
    bytes_written = models.BigIntegerField(_("bytes written"), null=True, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ("job", "number")
        constraints = (
            models.UniqueConstraint(fields=["job", "number"], name="attempt_once"),
            models.CheckConstraint(
                name="attempt_finished_iff_outcome",
                condition=Q(outcome="", finished_at__isnull=True)
                | (~Q(outcome="") & Q(finished_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="attempt_outcome_known", condition=Q(outcome__in=["", *Outcome.values])
            ),
        )

    def __str__(self) -> str:
        return f"{self.number}"
