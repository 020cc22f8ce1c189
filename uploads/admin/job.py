"""Upload jobs: found by what an operator knows of one, read as a story, moved by the lifecycle's verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.models import DELETION
from django.core.exceptions import PermissionDenied
from django.db.models import F, Prefetch
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from uploads.admin import bulk_actions, confirm, formatting, job_detail, search
from uploads.admin.base import HistoryAdmin
from uploads.admin.filters import ContentTypeFilter, ContradictionFilter, KindFilter, OwnerFilter
from uploads.admin.site import site
from uploads.codes import Refused
from uploads.i18n import phrases
from uploads.jobs.lifecycle import execution
from uploads.models import ACTIVE, ErrorRecord, State, UploadJob
from uploads.models.job import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.utils.safestring import SafeString


class PriorityForm(ActionForm):
    """The bar of actions, with a priority for the one that sets it."""

    priority = forms.TypedChoiceField(
        label=_("Priority:"),
        required=False,
        choices=[("", "-"), *((number, str(number)) for number in reversed(PRIORITIES))],
    )


@admin.register(UploadJob, site=site)
class JobAdmin(HistoryAdmin[UploadJob]):
    """The list and page of jobs. No date_hierarchy: it truncates the date of every row, a million calls."""

    list_display = (
        "file", "state_told", "last_error", formatting.when("created_at", _("created")), "duration", "size_told",
        "owner_link", "type_told", "attempt",
    )  # fmt: skip
    list_select_related = ("owner",)
    list_filter = (
        ("state", admin.ChoicesFieldListFilter),
        KindFilter,
        ContentTypeFilter,
        ("created_at", admin.DateFieldListFilter),
        ContradictionFilter,
        OwnerFilter,
    )
    sortable_by = ("created_at",)  # the one order with an index
    search_fields = ("filename",)  # shows the box; what it finds is get_search_results
    search_help_text = _("Part of a file name, a SHA-256 or its beginning, a job's id, or a user name.")
    action_form = PriorityForm
    actions = ("retry", "cancel", "prioritise", "delete_selected")
    buttons = ("retry", "cancel")
    change_form_template = "admin/uploads/job.html"
    fieldsets = (
        (None, {"fields": (
            "file", ("state_told", "owner_link"), ("size_told", "download"),
            ("content_type", "declared_type"), ("kind", "contradiction"), "priority", "digest", "id",
        )}),
        (_("Times"), {"fields": (
            (formatting.when("created_at", _("created")), formatting.when("queued_at", _("queued"))),
            (formatting.when("run_after", _("not before")), formatting.when("woken_at", _("woken"))),
            (formatting.when("started_at", _("started")), formatting.when("lease_until", _("lease until"))),
            (formatting.when("finished_at", _("finished")), "duration"),
        )}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[UploadJob]:
        """The rows with their last error's code; results and tracebacks are long and stay behind."""
        last = ErrorRecord.objects.filter(attempt=F("job__attempt")).only("code", "attempt", "job_id")
        attribute: str = "last_errors"  # of the model; a literal would be taken for a second definition
        rows = super().get_queryset(request).defer("result")
        return rows.prefetch_related(Prefetch("errors", last, to_attr=attribute))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return search.found(queryset, search_term, job_id="id"), False

    # ------------------------------------------------------------ columns

    @admin.display(description=_("file name"))
    def file(self, job: UploadJob) -> SafeString:
        return formatting.name(job.filename)

    @admin.display(description=_("state"))
    def state_told(self, job: UploadJob) -> SafeString:
        told = format_html('<span class="wf-state wf-{}">{}</span>', job.state, job.get_state_display())
        if job.state not in (State.RUNNING, State.RECEIVING):
            return told
        done = job_detail.percent(job)
        return format_html(
            '{} <progress class="wf-progress" max="100" value="{}" aria-label="{}"></progress> {} % {}',
            told, done, _("progress"), done, job.note,
        )  # fmt: skip

    @admin.display(description=_("owner"))
    def owner_link(self, job: UploadJob) -> SafeString:
        return formatting.owner(job.owner.get_username(), "admin:uploads_uploadjob_changelist")

    @admin.display(description=_("type"))
    def type_told(self, job: UploadJob) -> SafeString:
        return format_html('{} <span class="quiet">{}</span>', job.content_type, job.kind)

    @admin.display(description=_("size"))
    def size_told(self, job: UploadJob) -> str:
        return formatting.size(job.size)

    @admin.display(description=_("duration"))
    def duration(self, job: UploadJob) -> str:
        return formatting.duration(job)

    @admin.display(description=_("last error"))
    def last_error(self, job: UploadJob) -> str:
        return job.last_error.code if job.last_error else ""

    @admin.display(description="SHA-256")
    def digest(self, job: UploadJob) -> SafeString:
        return format_html('<code class="wf-name">{}</code>', job.sha256 or "-")

    @admin.display(description=_("download"))
    def download(self, job: UploadJob) -> SafeString | str:
        if job.state == State.RECEIVING:
            return ""
        return format_html('<a href="{}">{}</a>', formatting.file_url(job.pk), _("The file as it was sent"))

    # ------------------------------------------------------------ acts

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "retry")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "cancel")

    def has_delete_permission(self, request: HttpRequest, obj: UploadJob | None = None) -> bool:
        return self._may(request, "delete")

    @admin.action(description=_("Retry the selected jobs"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[UploadJob]) -> None:
        def act(job: UploadJob) -> None:
            execution.retry(job.pk)
            bulk_actions.note(request, job, "Retried.")

        rows, skipped = bulk_actions.in_states(queryset, (State.FAILED, State.CANCELLED))
        bulk_actions.tell(
            request, self, bulk_actions.on_each(rows, act, skipped=skipped), gettext("queued again")
        )

    @admin.action(description=_("Cancel the selected jobs"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[UploadJob]) -> None:
        def act(job: UploadJob) -> None:
            execution.cancel(job.pk)
            bulk_actions.note(request, job, "Cancelled.")

        rows, skipped = bulk_actions.in_states(queryset, ACTIVE)
        bulk_actions.tell(
            request, self, bulk_actions.on_each(rows, act, skipped=skipped), gettext("cancelled")
        )

    def has_prioritise_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "prioritise")

    @admin.action(description=_("Set the priority of the selected jobs"), permissions=["prioritise"])
    def prioritise(self, request: HttpRequest, queryset: QuerySet[UploadJob]) -> None:
        chosen = request.POST.get("priority", "")
        if chosen not in map(str, PRIORITIES):
            self.message_user(request, gettext("Choose a priority from 0 to 9."), messages.ERROR)
            return
        priority = int(chosen)

        def act(job: UploadJob) -> None:
            execution.prioritise(job.pk, priority)
            bulk_actions.note(request, job, f"Priority set to {priority}.")

        rows, skipped = bulk_actions.in_states(queryset, ACTIVE)
        done = gettext("given priority %d") % priority
        bulk_actions.tell(request, self, bulk_actions.on_each(rows, act, skipped=skipped), done)

    @admin.action(description=_("Delete the selected jobs"), permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[UploadJob]) -> HttpResponse | None:
        """Django's action by name and page, but each job goes through the lifecycle, with its files."""
        asked = confirm.Question(self, request, queryset, action="delete_selected", seen="created_at")
        if not asked.answered:
            return asked.page(
                title=gettext("Delete the selected jobs?"),
                text=gettext("Jobs are removed with their files and artifacts. Error records stay."),
                button=gettext("Yes, delete them"),
            )

        def act(job: UploadJob) -> None:
            bulk_actions.note(request, job, "Deleted.", DELETION)
            execution.delete(job.pk)

        bulk_actions.tell(request, self, bulk_actions.on_each(asked.rows(), act), gettext("deleted"))
        return None

    def delete_model(self, request: HttpRequest, obj: UploadJob) -> None:
        execution.delete(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[UploadJob]) -> None:
        bulk_actions.on_each(queryset, lambda job: execution.delete(job.pk))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """As Django's; a job that somebody else deleted meanwhile is no error."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except Refused as refused:
            self.message_user(request, phrases.translated(refused.detail), messages.WARNING)
            return redirect("admin:uploads_uploadjob_changelist")

    def get_deleted_objects(
        self, objs: Iterable[UploadJob], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """What the confirmation names: jobs. Their attempts and artifacts need no permission of their own."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        listed = [f"{job} ({job.pk})" for job in objs]
        return listed, {str(self.opts.verbose_name_plural): len(listed)}, set(), []

    # ------------------------------------------------------------ the page of one job

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        told = job_detail.of_job(object_id) if self.has_view_permission(request) else {}
        if told:
            told["can_retry"] = told["retryable"] and self.has_retry_permission(request)
            told["can_cancel"] = told["cancellable"] and self.has_cancel_permission(request)
            told["can_see_errors"] = request.user.has_perm("uploads.view_errorrecord")
        return super().change_view(request, object_id, form_url, {**told, **(extra_context or {})})
