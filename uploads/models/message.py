"""A message of the queue: a wake-up for one job, or a task of somebody else's for django-q2."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Message(models.Model):
    """Written in the transaction that makes a job due, and removed when a pusher takes it.

    `job` is no foreign key: a message whose job has gone wakes nobody, and nobody has to clean up.
    """

    queue = models.CharField(_("queue"), max_length=100)
    priority = models.PositiveSmallIntegerField(_("priority"))
    due = models.DateTimeField(_("due"))
    job = models.UUIDField(_("job id"), null=True, blank=True)
    payload = models.TextField(
        _("payload"), blank=True, default="", help_text=_("A signed django-q2 task, where it wakes no job.")
    )

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        indexes = (
            models.Index(fields=["queue", "priority", "due"], name="message_next"),
            models.Index(fields=["job"], name="message_job", condition=Q(job__isnull=False)),
        )
        constraints = (
            models.CheckConstraint(name="message_priority_known", condition=Q(priority__lte=9)),
            models.CheckConstraint(
                name="message_job_or_payload",
                condition=Q(job__isnull=False, payload="") | (Q(job__isnull=True) & ~Q(payload="")),
            ),
        )

    def __str__(self) -> str:
        return str(self.job or self.pk)
