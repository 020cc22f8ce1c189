"""One running supervisor and its cluster."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Node(models.Model):
    """One running `manage.py qcluster`: which boot, which PID namespace, and its heartbeat."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=200)
    boot_id = models.CharField(_("boot"), max_length=64)
    pid_namespace = models.CharField(_("PID namespace"), max_length=64)
    pid = models.PositiveIntegerField(_("process id"))
    workers = models.PositiveIntegerField(_("workers"))
    started_at = models.DateTimeField(_("started"))
    beat_at = models.DateTimeField(_("last heartbeat"), db_index=True)
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True)
    restarts = models.PositiveIntegerField(_("cluster restarts"), default=0)
    note = models.CharField(_("note"), max_length=300, blank=True, default="")

    class Meta:
        verbose_name = _("node")
        verbose_name_plural = _("nodes")
        ordering = ("-beat_at",)

    def __str__(self) -> str:
        return self.name
