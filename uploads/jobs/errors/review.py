"""Reviewing error records: an operator marks one as dealt with, or takes that back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db.models.functions import Now

from uploads.models import ErrorRecord

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def resolve(error_ids: Iterable[int], user: User, note: str = "") -> int:
    """Mark open error records as resolved by `user`; how many moved (resolved ones stay as they are)."""
    return ErrorRecord.objects.filter(pk__in=list(error_ids), resolved_at__isnull=True).update(
        resolved_at=Now(), resolved_by=user, resolution_note=note[:5_000]
    )


def reopen(error_ids: Iterable[int]) -> int:
    """Open resolved error records again; how many moved. The note stays, as history."""
    return ErrorRecord.objects.filter(pk__in=list(error_ids), resolved_at__isnull=False).update(
        resolved_at=None, resolved_by=None
    )
