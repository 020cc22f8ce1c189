"""Who may see and do what: owners with their own jobs, operators (staff with the permission) with all."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from uploads.codes import Refused
from uploads.models import JobQuerySet, UploadJob

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

# What an operator needs for somebody else's job; an owner needs none of it.
PERMISSIONS = {
    "view": "uploads.view_uploadjob",
    "retry": "uploads.retry_uploadjob",
    "cancel": "uploads.cancel_uploadjob",
    "delete": "uploads.delete_uploadjob",
}


def is_operator(user: User | AnonymousUser, permission: str = "uploads.view_uploadjob") -> bool:
    return bool(user.is_active and user.is_staff and user.has_perm(permission))


def own(user: User) -> JobQuerySet:
    """The jobs of this user, with what the faces show beside the row."""
    rows: JobQuerySet = UploadJob.objects.owned_by(user.pk).with_story()
    return rows


def job_for(user: User, job_id: UUID, act: str = "view") -> UploadJob:
    """The job, if this user may `view`, `retry`, `cancel` or `delete` it.

    Raises Refused: not_found for somebody else's job (its existence is nobody's business), not_allowed
    for an operator who may see it but not do this.
    """
    job: UploadJob | None = UploadJob.objects.filter(pk=job_id).with_story().first()
    if job is not None and job.owner_id == user.pk:
        return job
    if job is None or not is_operator(user):
        raise Refused("not_found", "There is no such job.")
    if not is_operator(user, PERMISSIONS[act]):
        raise Refused("not_allowed", f"You may not {act} other people's jobs.")
    return job
