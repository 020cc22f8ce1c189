"""One running supervisor and its cluster."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

# A node beats every 5 s: three beats that did not come are a silence.
BEAT_WITHIN = timedelta(seconds=15)


class NodeQuerySet(models.QuerySet["Node"]):
    """Nodes by how they are."""

    def live(self) -> NodeQuerySet:
        """Those that have not stopped and whose heart beat within BEAT_WITHIN, by the database's clock."""
        return self.filter(stopped_at__isnull=True, beat_at__gte=Now() - BEAT_WITHIN)


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

    objects = NodeQuerySet.as_manager()

    class Meta:
        verbose_name = _("node")
        verbose_name_plural = _("nodes")
        ordering = ("-beat_at",)

    def __str__(self) -> str:
        return self.name
