"""A resumable upload: how far it has come, and who may write on."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from uploads.models.job import UploadJob


class Concat(models.TextChoices):
    """What an upload is in a concatenation (tus 1.0.0): an upload of its own, a part, or the whole."""

    NONE = "", _("none")
    PARTIAL = "partial", _("part")
    FINAL = "final", _("whole")


class Transfer(models.Model):
    """What tus 1.0.0 has to know of an upload beside its job, which has the same id.

    The row outlives its job until `expires_at` (and as long again), so that a client which comes back
    learns that its upload has gone, rather than that there never was one: hence no constraint in the
    database. `offset` counts bytes that are fsynced; it never runs ahead of them.
    """

    job = models.OneToOneField(
        UploadJob, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="transfer",
        verbose_name=_("job"),
    )  # fmt: skip
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner")
    )
    offset = models.BigIntegerField(_("offset"), default=0, help_text=_("Bytes that are here for good."))
    length = models.BigIntegerField(_("length"), null=True, blank=True, help_text=_("Null: not yet told."))
    generation = models.BigIntegerField(
        _("generation"), default=0, help_text=_("Number of the latest request that may write.")
    )
    metadata = models.TextField(_("metadata"), blank=True, default="", help_text=_("Upload-Metadata."))
    concat = models.CharField(_("concatenation"), max_length=7, blank=True, default="", choices=Concat)
    parts = models.JSONField(_("parts"), default=list, blank=True, help_text=_("Ids of a whole's parts."))
    expires_at = models.DateTimeField(_("expires"), db_index=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("resumable upload")
        verbose_name_plural = _("resumable uploads")
        constraints = (
            models.CheckConstraint(
                name="transfer_offset_within_length",
                condition=Q(offset__gte=0) & (Q(length__isnull=True) | Q(length__gte=F("offset"))),
            ),
            models.CheckConstraint(name="transfer_concat_known", condition=Q(concat__in=Concat.values)),
        )

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def whole(self) -> bool:
        """Whether all bytes are here."""
        return self.length is not None and self.offset == self.length
