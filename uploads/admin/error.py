"""Error records: each failed attempt, reviewed by an operator; retried, resolved with a note, reopened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from uploads.admin import bulk_actions, confirm, formatting, search
from uploads.admin.base import HistoryAdmin
from uploads.admin.filters import ContentTypeFilter, KindFilter, OwnerFilter, ReviewFilter
from uploads.admin.site import site
from uploads.codes import FAILURE_CODES
from uploads.jobs.errors import review
from uploads.jobs.lifecycle import execution
from uploads.models import ErrorRecord, State

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.utils.safestring import SafeString

_OTHERS = 50


@admin.register(ErrorRecord, site=site)
class ErrorAdmin(HistoryAdmin[ErrorRecord]):
    """The list and page of error records: open ones unless asked otherwise."""

    list_display = (
        "title", "message", "file", formatting.when("occurred_at", _("occurred")), "then", "owner_link", "worker",
        "attempt", formatting.when("resolved_at", _("resolved")),
    )  # fmt: skip
    list_select_related = ("owner",)
    list_filter = (
        ReviewFilter,
        ("code", admin.ChoicesFieldListFilter),
        KindFilter,
        ContentTypeFilter,
        ("occurred_at", admin.DateFieldListFilter),
        ("will_retry", admin.BooleanFieldListFilter),
        OwnerFilter,
    )
    sortable_by = ("occurred_at",)
    search_fields = ("filename",)  # shows the box; what it finds is get_search_results
    search_help_text = _(
        "Part of a file name or message, a SHA-256 or its beginning, a job's id, or a user name."
    )
    actions = ("retry", "retry_and_resolve", "resolve", "reopen")
    buttons = actions
    change_form_template = "admin/uploads/error.html"
    fieldsets = (
        (None, {"fields": ("title", "message", "operator_advice", "detail")}),
        (_("File"), {"fields": (
            "file", ("job_link", "owner_link"), ("content_type", "size_told"), "kind", "digest", "job_uuid",
        )}),
        (_("Attempt"), {"fields": (
            ("attempt", "worker"), (formatting.when("occurred_at", _("occurred")), "then"), "exception_type",
        )}),
        (_("Review"), {"fields": (
            (formatting.when("resolved_at", _("resolved")), "resolved_by"), "resolution_note",
        )}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ErrorRecord]:
        return super().get_queryset(request).defer("traceback", "detail")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return search.found(queryset, search_term, job_id="job_uuid", also=("message",)), False

    # ------------------------------------------------------------ columns

    @admin.display(description=_("code"))
    def title(self, error: ErrorRecord) -> SafeString:
        return format_html('<code class="wf-code">{}</code> {}', error.code, FAILURE_CODES[error.code].title)

    @admin.display(description=_("file name"))
    def file(self, error: ErrorRecord) -> SafeString:
        return formatting.name(error.filename)

    @admin.display(description=_("then"))
    def then(self, error: ErrorRecord) -> str:
        return str(_("tried again") if error.will_retry else _("given up"))

    @admin.display(description=_("owner"))
    def owner_link(self, error: ErrorRecord) -> SafeString | str:
        if error.owner is None:
            return ""
        return formatting.owner(error.owner.get_username(), "admin:uploads_errorrecord_changelist")

    @admin.display(description=_("size"))
    def size_told(self, error: ErrorRecord) -> str:
        return formatting.size(error.size)

    @admin.display(description="SHA-256")
    def digest(self, error: ErrorRecord) -> SafeString:
        return format_html('<code class="wf-name">{}</code>', error.sha256 or "-")

    @admin.display(description=_("job"))
    def job_link(self, error: ErrorRecord) -> SafeString | str:
        if error.job is None:
            return str(_("deleted"))
        url = reverse("admin:uploads_uploadjob_change", args=[error.job_id])
        return format_html(
            '<a href="{}">{}</a> ({})',
            url,
            formatting.name(error.job.filename),
            error.job.get_state_display(),
        )

    @admin.display(description=_("what to do"))
    def operator_advice(self, error: ErrorRecord) -> str:
        return error.operator_advice

    # ------------------------------------------------------------ acts

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "retry")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "resolve")

    def has_retry_and_resolve_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "retry") and self._may(request, "resolve")

    @admin.action(description=_("Retry the jobs of the selected records"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[ErrorRecord]) -> None:
        self._retry(request, queryset, resolve=False)

    @admin.action(
        description=_("Retry the jobs, and resolve the selected records"), permissions=["retry_and_resolve"]
    )
    def retry_and_resolve(self, request: HttpRequest, queryset: QuerySet[ErrorRecord]) -> None:
        self._retry(request, queryset, resolve=True)

    def _retry(self, request: HttpRequest, queryset: QuerySet[ErrorRecord], *, resolve: bool) -> None:
        """Each job once, however many of its records are selected: the others share in what it did."""
        retried: set[UUID] = set()

        def act(error: ErrorRecord) -> None:
            again = error.job_uuid in retried
            if not again:
                execution.retry(error.job_uuid)
                if error.job is not None:  # as the rows were filtered; a type checker cannot know
                    bulk_actions.note(request, error.job, f"Retried, from error record {error.pk}.")
            if resolve and review.resolve([error.pk], user, "Retried."):
                bulk_actions.note(request, error, "Retried the job; resolved.")
            elif again:
                raise bulk_actions.Skipped(gettext("another record of a job that was retried"))
            else:
                bulk_actions.note(request, error, "Retried the job.")
            retried.add(error.job_uuid)

        user: Any = request.user
        rows, skipped = bulk_actions.in_states(
            queryset.select_related("job").defer("traceback", "detail", "job__result"),
            (State.FAILED, State.CANCELLED),
            state="job__state",
        )
        done = gettext("retried and resolved") if resolve else gettext("retried")
        bulk_actions.tell(request, self, bulk_actions.on_each(rows, act, skipped=skipped), done)

    @admin.action(description=_("Resolve the selected records with a note"), permissions=["resolve"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[ErrorRecord]) -> HttpResponse | None:
        asked = confirm.Question(self, request, queryset, action="resolve", seen="occurred_at")
        if not asked.answered:
            return asked.page(
                title=gettext("Resolve the selected records?"),
                text=gettext("They leave the list of open records and can be reopened."),
                button=gettext("Resolve"),
                note=gettext("What was found, or done"),
            )
        user: Any = request.user

        def act(error: ErrorRecord) -> None:
            if not review.resolve([error.pk], user, asked.note):
                raise bulk_actions.Skipped(gettext("resolved already"))
            bulk_actions.note(request, error, f"Resolved: {asked.note}" if asked.note else "Resolved.")

        bulk_actions.tell(request, self, bulk_actions.on_each(asked.rows(), act), gettext("resolved"))
        return None

    @admin.action(description=_("Reopen the selected records"), permissions=["resolve"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[ErrorRecord]) -> None:
        def act(error: ErrorRecord) -> None:
            if not review.reopen([error.pk]):
                raise bulk_actions.Skipped(gettext("open already"))
            bulk_actions.note(request, error, "Reopened.")

        bulk_actions.tell(request, self, bulk_actions.on_each(queryset, act), gettext("reopened"))

    # ------------------------------------------------------------ the page of one record

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        told: dict[str, Any] = {}
        error = self.get_object(request, object_id) if self.has_view_permission(request) else None
        if error is not None:
            movable = error.job is not None and error.job.state in (State.FAILED, State.CANCELLED)
            told = {
                "error": error,
                "others": ErrorRecord.objects.filter(job_uuid=error.job_uuid)
                .exclude(pk=error.pk)
                .defer("traceback", "detail")[:_OTHERS],
                "can_retry": movable and self.has_retry_permission(request),
                "can_resolve": self.has_resolve_permission(request),
            }
        return super().change_view(request, object_id, form_url, {**told, **(extra_context or {})})
