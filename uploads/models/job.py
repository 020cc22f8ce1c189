"""The upload job: one uploaded file and what becomes of it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from datetime import datetime

    from uploads.models.error import ErrorRecord


class State(models.TextChoices):
    RECEIVING = "receiving", _("receiving")
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


NORMAL_PRIORITY = 5
PRIORITIES = range(10)  # 9 goes first

TERMINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
ACTIVE = (State.RECEIVING, State.QUEUED, State.RUNNING)


class JobQuerySet(models.QuerySet["UploadJob"]):
    def owned_by(self, user_id: int) -> JobQuerySet:
        return self.filter(owner_id=user_id)

    def receiving(self) -> JobQuerySet:
        return self.filter(state=State.RECEIVING)

    def queued(self) -> JobQuerySet:
        return self.filter(state=State.QUEUED)

    def due(self) -> JobQuerySet:
        """Queued and allowed to start, by the database's clock."""
        return self.queued().filter(run_after__lte=Now())

    def unpaused(self) -> JobQuerySet:
        """Without those whose start an operator has paused."""
        from uploads.models.pause import Pause  # only this query needs it

        return self.filter(~Exists(Pause.objects.filter(Q(kind="") | Q(kind=OuterRef("kind")))))

    def running(self, attempt: int | None = None) -> JobQuerySet:
        """Running; with `attempt`, only while that attempt is the current one (the fence)."""
        rows = self.filter(state=State.RUNNING)
        return rows if attempt is None else rows.filter(attempt=attempt)

    def active(self) -> JobQuerySet:
        return self.filter(state__in=ACTIVE)

    def with_story(self) -> JobQuerySet:
        """With what the faces show beside the row: its artifacts and the last attempt's error."""
        from uploads.models.error import ErrorRecord  # the models refer to each other

        last = ErrorRecord.objects.filter(attempt=F("job__attempt"))
        return self.prefetch_related("artifacts", models.Prefetch("errors", last, to_attr="last_errors"))


class UploadJob(models.Model):
    """One uploaded file and what becomes of it. Only `uploads.jobs` writes `state`."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="jobs", verbose_name=_("owner")
    )
    filename = models.CharField(_("file name"), max_length=255, help_text=_("As sent, made safe to show."))
    size = models.BigIntegerField(_("size"), help_text=_("Bytes: declared while receiving, then counted."))
    sha256 = models.CharField("SHA-256", max_length=64, blank=True, default="")
    declared_type = models.CharField(_("declared type"), max_length=127, blank=True, default="")
    content_type = models.CharField(_("content type"), max_length=127, blank=True, default="")
    contradiction = models.CharField(
        _("contradiction"), max_length=300, blank=True, default="",
        help_text=_("Where the file's name and its content disagree about its type."),
    )  # fmt: skip
    kind = models.CharField(
        _("kind"), max_length=40, blank=True, default="",
        help_text=_("What the content is; guessed from the file's name until somebody has looked."),
    )  # fmt: skip
    priority = models.PositiveSmallIntegerField(
        _("priority"),
        default=NORMAL_PRIORITY,
        db_default=NORMAL_PRIORITY,
        help_text=_("0 to 9; 9 goes first."),
    )

    state = models.CharField(_("state"), max_length=10, choices=State)
    progress = models.PositiveSmallIntegerField(_("progress"), default=0, help_text=_("Percent."))
    note = models.CharField(_("note"), max_length=200, blank=True, default="")
    attempt = models.PositiveIntegerField(_("attempt"), default=0, help_text=_("Number of the latest one."))
    budget_from = models.PositiveIntegerField(
        _("budgets count from"), default=0,
        help_text=_("Failed attempts up to this number no longer count: the job was retried after it."),
    )  # fmt: skip
    result = models.JSONField(_("result"), null=True, blank=True)

    created_at = models.DateTimeField(_("created"), db_default=Now())
    queued_at = models.DateTimeField(_("queued"), null=True, blank=True)
    run_after = models.DateTimeField(_("not before"), null=True, blank=True)
    woken_at = models.DateTimeField(_("woken"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("upload job")
        verbose_name_plural = _("upload jobs")
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=["owner", "-created_at", "-id"], name="job_by_owner"),
            models.Index(fields=["-created_at", "-id"], name="job_by_time"),
            models.Index(fields=["run_after"], name="job_queued", condition=Q(state="queued")),
            models.Index(fields=["owner", "size"], name="job_owner_size"),
            models.Index(
                fields=["owner", "state"], name="job_active", condition=Q(state__in=[str(s) for s in ACTIVE])
            ),
            models.Index(fields=["state", "-created_at"], name="job_by_state"),
            models.Index(fields=["sha256"], name="job_by_sha256"),
        )
        constraints = (
            models.CheckConstraint(name="job_state_known", condition=Q(state__in=State.values)),
            models.CheckConstraint(name="job_size_counts", condition=Q(size__gte=0)),
            models.CheckConstraint(name="job_priority_known", condition=Q(priority__lte=9)),
            models.CheckConstraint(name="job_progress_is_percent", condition=Q(progress__lte=100)),
            models.CheckConstraint(
                name="job_running_iff_leased",
                condition=Q(
                    state="running", lease_until__isnull=False, started_at__isnull=False, attempt__gte=1
                )
                | (~Q(state="running") & Q(lease_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="job_queued_iff_due",
                condition=Q(state="queued", run_after__isnull=False, queued_at__isnull=False)
                | (~Q(state="queued") & Q(run_after__isnull=True)),
            ),
            models.CheckConstraint(
                name="job_terminal_iff_finished",
                condition=Q(state__in=[str(s) for s in TERMINAL], finished_at__isnull=False)
                | Q(state__in=[str(s) for s in ACTIVE], finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="job_succeeded_iff_result",
                condition=Q(state="succeeded", result__isnull=False)
                | (~Q(state="succeeded") & Q(result__isnull=True)),
            ),
        )  # fmt: skip
        permissions = (
            ("retry_uploadjob", "Can retry an upload job"),
            ("cancel_uploadjob", "Can cancel an upload job"),
            ("prioritise_uploadjob", "Can change the priority of an upload job"),
        )

    def __str__(self) -> str:
        return self.filename

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL

    def without_story(self) -> UploadJob:
        """This row, known to be new: it has neither artifacts nor errors, and nobody needs to look for them."""
        from uploads.models.artifact import Artifact  # the models refer to each other

        none = Artifact.objects.none()
        none._result_cache = []  # looked for, and not found
        self._prefetched_objects_cache = {"artifacts": none}
        self.__dict__["last_errors"] = []  # as Prefetch sets it, whom the type checker knows
        return self

    @property
    def next_attempt_at(self) -> datetime | None:
        """When the next attempt is due, for a job that waits after a failed one."""
        return self.run_after if self.state == State.QUEUED and self.attempt else None

    @property
    def last_error(self) -> ErrorRecord | None:
        """The error record of the latest attempt, unless the job went on to succeed or run anew."""
        if self.state not in (State.FAILED, State.QUEUED, State.CANCELLED):
            return None
        # with_story() has looked already, for all rows at once.
        found: list[ErrorRecord] | None = getattr(self, "last_errors", None)
        if found is None:
            found = list(self.errors.filter(attempt=self.attempt))
        return found[0] if found else None
